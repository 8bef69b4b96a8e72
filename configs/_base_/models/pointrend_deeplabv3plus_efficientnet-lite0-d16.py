_base_ = ['./deeplabv3plus_efficientnet-lite0-d16.py', '../point_heads/tuned.py']
model = dict(
    type='PointRendEncoderDecoder',
    backbone=dict(out_indices=(1, 2, 3, 4, 0)),  # stride 4 first, stride 2 last
    point_head=dict(
        **_base_.point_head, in_index=[0, 4, 'decode_head'], in_channels=[24, 16, 128]
    ),
)
