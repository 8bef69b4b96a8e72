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
        type='MixVisionTransformer',
        embed_dims=32,
        num_layers=(2, 2, 2, 2),
        num_heads=(1, 2, 5, 8),
        qkv_bias=True,
        drop_path_rate=0.1,
        init_cfg=dict(
            type='Pretrained',
            checkpoint='https://download.openmmlab.com/mmsegmentation/v0.5/pretrain/'
            'segformer/mit_b0_20220624-7e0fe6dd.pth',
        ),
    ),
    decode_head=dict(
        _delete_=True,
        type='SegformerHead',
        in_channels=[32, 64, 160, 256],
        in_index=[0, 1, 2, 3],
        channels=256,
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
        in_channels=[32, 256],
    ),
)
optim_wrapper = dict(paramwise_cfg=dict(custom_keys=dict(head=dict(lr_mult=10))))
