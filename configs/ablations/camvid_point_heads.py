# Point heads that differ in one thing, trained side by side on one frozen network:
# tools/train.py THIS --cfg-options load_from=PLAIN_CHECKPOINT
_base_ = '../pointrend_deeplabv3plus_efficientnet-lite0-d16_1xb4-2k_camvid-360x480.py'
custom_imports = dict(
    imports=['mmseg_pointrend', 'mmseg_pointrend.comparison.point_heads']
)
model = dict(
    type='PointHeadComparison',
    backbone=dict(out_indices=(1, 2, 3, 4, 0)),
    point_head=dict(num_points=1024, coarse_from='initial'),
    variants=dict(
        points_300=dict(num_points=300),
        stride_2=dict(in_index=[0, 4], in_channels=[24, 16]),
        stride_8=dict(in_index=[0, 1], in_channels=[24, 40]),
        decoder=dict(in_index=[0, 'decode_head'], in_channels=[24, 128]),
    ),
)
