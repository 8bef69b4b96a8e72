_base_ = './small_deeplabv3plus_r18-d16.py'
model = dict(
    type='PointRendEncoderDecoder',
    point_head=dict(
        type='PointRendHead',
        in_index=[0, 'decode_head'],
        in_channels=[24, 64],
        num_points=1024,
        coarse_window=3,
        coarse_from='initial',
        mlp=dict(type='PointMLP', hidden_channels=64, num_layers=2, residual=True),
    ),
)
