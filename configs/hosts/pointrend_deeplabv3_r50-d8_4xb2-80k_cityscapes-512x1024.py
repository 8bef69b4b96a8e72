_base_ = [
    '../pointrend_deeplabv3plus_r50-d8_4xb2-80k_cityscapes-512x1024.py',
    '../_base_/point_heads/tuned.py',
]
model = dict(
    decode_head=dict(
        _delete_=True,
        type='ASPPHead',
        in_channels=2048,
        in_index=3,
        channels=512,
        dilations=(1, 12, 24, 36),
        dropout_ratio=0.1,
        num_classes=19,
        norm_cfg=_base_.norm_cfg,
        align_corners=False,
    ),
    point_head=dict(
        _base_.point_head,
        _delete_=True,
        in_index=[0, 'decode_head'],
        in_channels=[256, 512],
    ),
)
