_base_ = './deeplabv3plus_efficientnet-lite0-d16_1xb4-2k_camvid-360x480.py'
model = dict(
    type='PointRendEncoderDecoder',
    point_head=dict(type='PointRendHead', in_index=[0], in_channels=[24]),
)
