_base_ = [
    './sfnet_efficientnet-lite0_1xb4-2k_camvid-360x480.py',
    './_base_/point_heads/tuned.py',
]
model = dict(
    type='PointRendEncoderDecoder',
    backbone=dict(out_indices=(1, 2, 3, 4, 0)),
    point_head=dict(
        _base_.point_head,
        fine_from='backbone',
        in_index=[0, 4, 'decode_head'],
        in_channels=[24, 16, 64],
    ),
)
