_base_ = [
    '../sfnet_r18_4xb4-56k_cityscapes-1024x1024.py',
    '../_base_/point_heads/tuned.py',
]
model = dict(
    type='PointRendEncoderDecoder',
    point_head=dict(
        _base_.point_head,
        fine_from='backbone',
        in_index=[0, 'decode_head'],
        in_channels=[64, 128],
    ),
)
