_base_ = './deeplabv3plus_r50-d16.py'
model = dict(
    type='PointRendEncoderDecoder',
    point_head=dict(
        type='PointRendHead',
        in_index=[0],
        in_channels=[256],
        mlp=dict(type='PointMLP', hidden_channels=256, num_layers=3),
        uncertainty='logit_margin',
        num_points=None,
        oversample_ratio=3,
        importance_sample_ratio=0.75,
        subdivision_num_points=8096,
        scale_factor=2,
        coarse_from='current',
    ),
)
