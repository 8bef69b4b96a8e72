_base_ = './deeplabv3_efficientnet-lite0-d16_1xb4-2k_camvid-360x480.py'
model = dict(backbone=dict(output_stride=32))
