_base_ = './deeplabv3plus_efficientnet-lite0-d16_1xb4-2k_camvid-360x480.py'
model = dict(
    type='PointRendEncoderDecoder',
    backbone=dict(out_indices=(1, 2, 3, 4, 0)),  # stride 4 first, stride 2 last
    point_head=dict(
        type='PointRendHead',
        in_index=[0, 4, 'decode_head'],
        in_channels=[24, 16, 128],
        num_points=2048,
        oversample_ratio=8,
        importance_sample_ratio=1.0,
        coarse_from='initial',
        coarse_window=3,
        detach=True,
        mlp=dict(type='PointMLP', hidden_channels=128, num_layers=2, residual=True),
        loss_decode=[
            dict(type='CrossEntropyLoss', avg_non_ignore=True),
            dict(type='LovaszLoss', reduction='none', loss_name='loss_lovasz'),
        ],
    ),
)
