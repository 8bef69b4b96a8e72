_base_ = ['../pointrend_deeplabv3plus_cityscapes.py', '../_base_/point_heads/tuned.py']
model = dict(
    data_preprocessor=dict(test_cfg=dict(size_divisor=32)),
    backbone=dict(dilations=(1, 1, 1, 1), strides=(1, 2, 2, 2)),
    neck=dict(
        type='FPN', in_channels=[256, 512, 1024, 2048], out_channels=256, num_outs=4
    ),
    decode_head=dict(
        _delete_=True,
        type='FPNHead',
        in_channels=[256, 256, 256, 256],
        in_index=[0, 1, 2, 3],
        feature_strides=[4, 8, 16, 32],
        channels=128,
        dropout_ratio=0.1,
        num_classes=19,
        norm_cfg=_base_.norm_cfg,
        align_corners=False,
    ),
    auxiliary_head=None,
    point_head=dict(
        _base_.point_head,
        _delete_=True,
        in_index=[0, 'decode_head'],
        in_channels=[256, 128],
    ),
)
