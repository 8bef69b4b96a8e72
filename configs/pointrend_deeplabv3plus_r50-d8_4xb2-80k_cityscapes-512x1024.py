_base_ = './pointrend_deeplabv3plus_cityscapes.py'
model = dict(
    backbone=dict(dilations=(1, 1, 2, 4), strides=(1, 2, 1, 1)),
    decode_head=dict(dilations=(1, 12, 24, 36)),
)
