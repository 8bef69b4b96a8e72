_base_ = [
    '../_base_/models/pointrend_deeplabv3plus_r50-d16.py',
    '../_base_/datasets/cityscapes_512x1024.py',
    '../_base_/schedules/schedule_80k_adamw.py',
    '../_base_/default_runtime.py',
    '../_base_/point_heads/tuned.py',
]
model = dict(
    data_preprocessor=dict(size=(512, 1024), test_cfg=dict(size_divisor=32)),
    pretrained=None,
    backbone=dict(
        _delete_=True,
        type='SwinTransformer',
        embed_dims=96,
        depths=(2, 2, 6, 2),
        num_heads=(3, 6, 12, 24),
        drop_path_rate=0.3,
        init_cfg=dict(
            type='Pretrained',
            checkpoint='https://download.openmmlab.com/mmsegmentation/v0.5/pretrain/'
            'swin/swin_tiny_patch4_window7_224_20220317-1cdeb081.pth',
        ),
    ),
    decode_head=dict(
        _delete_=True,
        type='UPerHead',
        in_channels=[96, 192, 384, 768],
        in_index=[0, 1, 2, 3],
        channels=512,
        pool_scales=(1, 2, 3, 6),
        dropout_ratio=0.1,
        num_classes=19,
        norm_cfg=_base_.norm_cfg,
        align_corners=False,
    ),
    auxiliary_head=dict(in_channels=384),
    point_head=dict(
        _base_.point_head,
        _delete_=True,
        in_index=[0, 'decode_head'],
        in_channels=[96, 512],
    ),
)
