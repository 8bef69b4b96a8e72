_base_ = './deeplabv3plus_r18-d16.py'
norm_cfg = dict(type='BN', requires_grad=True)
model = dict(
    pretrained=None,
    backbone=dict(stem_channels=24, base_channels=24, norm_cfg=norm_cfg),
    decode_head=dict(
        in_channels=192,
        channels=64,
        c1_in_channels=24,
        c1_channels=24,
        dropout_ratio=0,
        norm_cfg=norm_cfg,
    ),
    auxiliary_head=None,
)
