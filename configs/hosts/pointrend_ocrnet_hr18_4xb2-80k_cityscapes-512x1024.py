_base_ = ['../pointrend_deeplabv3plus_cityscapes.py', '../_base_/point_heads/tuned.py']
channels = (18, 36, 72, 144)
every_stage = dict(
    in_channels=channels,
    in_index=(0, 1, 2, 3),
    input_transform='resize_concat',
    dropout_ratio=-1,
    num_classes=19,
    norm_cfg=_base_.norm_cfg,
    align_corners=False,
)
model = dict(
    data_preprocessor=dict(test_cfg=dict(size_divisor=32)),
    pretrained='open-mmlab://msra/hrnetv2_w18',
    backbone=dict(
        _delete_=True,
        type='HRNet',
        norm_cfg=_base_.norm_cfg,
        extra=dict(
            stage1=dict(
                num_modules=1,
                num_branches=1,
                block='BOTTLENECK',
                num_blocks=(4,),
                num_channels=(64,),
            ),
            stage2=dict(
                num_modules=1,
                num_branches=2,
                block='BASIC',
                num_blocks=(4, 4),
                num_channels=channels[:2],
            ),
            stage3=dict(
                num_modules=4,
                num_branches=3,
                block='BASIC',
                num_blocks=(4, 4, 4),
                num_channels=channels[:3],
            ),
            stage4=dict(
                num_modules=3,
                num_branches=4,
                block='BASIC',
                num_blocks=(4, 4, 4, 4),
                num_channels=channels,
            ),
        ),
    ),
    decode_head=[
        dict(
            type='FCNHead',
            channels=sum(channels),
            kernel_size=1,
            num_convs=1,
            concat_input=False,
            loss_decode=dict(type='CrossEntropyLoss', loss_weight=0.4),
            **every_stage,
        ),
        dict(type='OCRHead', channels=512, ocr_channels=256, **every_stage),
    ],
    auxiliary_head=None,
    point_head=dict(
        _base_.point_head,
        _delete_=True,
        in_index=[0, 'decode_head'],
        in_channels=[18, 512],
    ),
)
