_base_ = './deeplabv3plus_efficientnet-lite0-d16_1xb4-2k_camvid-360x480.py'
model = dict(backbone=dict(output_stride=8), decode_head=dict(dilations=(1, 6, 12, 18)))
