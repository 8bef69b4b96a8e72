_base_ = [
    '../pointrend_deeplabv3plus_r50-d8_4xb2-80k_cityscapes-512x1024.py',
    '../_base_/point_heads/tuned.py',
]
model = dict(
    pretrained='mmcls://mobilenet_v2',
    backbone=dict(
        _delete_=True,
        type='MobileNetV2',
        widen_factor=1.0,
        strides=(1, 2, 2, 1, 1, 1, 1),
        dilations=(1, 1, 1, 2, 2, 4, 4),
        out_indices=(1, 2, 4, 6),
        norm_cfg=_base_.norm_cfg,
    ),
    decode_head=dict(in_channels=320, c1_in_channels=24),
    auxiliary_head=dict(in_channels=96),
    point_head=dict(
        _base_.point_head,
        _delete_=True,
        in_index=[0, 'decode_head'],
        in_channels=[24, 512],
    ),
)
