_base_ = './deeplabv3plus_r18-d16.py'
norm_cfg = dict(type='BN', requires_grad=True)
model = dict(
    pretrained=None,
    backbone=dict(
        stem_channels=24,
        base_channels=24,
        num_stages=3,
        out_indices=(0, 1, 2),
        strides=(1, 2, 2),
        dilations=(1, 1, 1),
        norm_cfg=norm_cfg,
    ),
    decode_head=dict(
        in_index=2,
        in_channels=96,
        channels=64,
        c1_in_channels=24,
        c1_channels=24,
        dropout_ratio=0,
        norm_cfg=norm_cfg,
    ),
    auxiliary_head=None,
)
