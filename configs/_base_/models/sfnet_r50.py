# Strides, dilations and losses are those of the authors' code, which keeps 100000
# pixels of a GPU: min_kept counts for each of its four images.
norm_cfg = dict(type='SyncBN', requires_grad=True)
channels, num_classes = 256, 19
head = dict(
    type='FCNHead',
    in_channels=channels,
    channels=channels,
    num_convs=1,
    concat_input=False,
    num_classes=num_classes,
    norm_cfg=norm_cfg,
    align_corners=False,
    sampler=dict(type='OHEMPixelSampler', thresh=0.7, min_kept=25000),
)
model = dict(
    type='EncoderDecoder',
    data_preprocessor=dict(
        type='SegDataPreProcessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
        pad_val=0,
        seg_pad_val=255,
        test_cfg=dict(size_divisor=32),
    ),
    pretrained='open-mmlab://resnet50_v1c',
    backbone=dict(
        type='ResNetV1c',
        depth=50,
        num_stages=4,
        out_indices=(0, 1, 2, 3),
        dilations=(1, 1, 2, 4),
        strides=(1, 2, 2, 2),
        norm_cfg=norm_cfg,
        norm_eval=False,
        style='pytorch',
    ),
    neck=dict(
        type='SemanticFlowFPN',
        in_channels=[256, 512, 1024, 2048],
        channels=channels,
        pool_scales=(1, 2, 3, 6),
        align_corners=False,
        norm_cfg=norm_cfg,
    ),
    decode_head=dict(head, in_channels=4 * channels, in_index=4, dropout_ratio=0),
    auxiliary_head=[dict(head, in_index=i, dropout_ratio=0.1) for i in range(3)],
    train_cfg=dict(),
    test_cfg=dict(mode='whole'),
)
