_base_ = './deeplabv3plus_r18-d16.py'
norm_cfg = dict(type='BN', requires_grad=True)
model = dict(
    pretrained=None,
    backbone=dict(stem_channels=32, base_channels=32, norm_cfg=norm_cfg),
    decode_head=dict(
        in_channels=256, channels=64, c1_in_channels=32, norm_cfg=norm_cfg
    ),
    auxiliary_head=dict(in_channels=128, channels=32, norm_cfg=norm_cfg),
)
