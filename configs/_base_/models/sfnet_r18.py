_base_ = './sfnet_r50.py'
channels = 128
head = dict(_base_.head, in_channels=channels, channels=channels)
model = dict(
    pretrained='open-mmlab://resnet18_v1c',
    backbone=dict(depth=18),
    neck=dict(in_channels=[64, 128, 256, 512], channels=channels),
    decode_head=dict(in_channels=4 * channels, channels=channels),
    auxiliary_head=[dict(head, in_index=i, dropout_ratio=0.1) for i in range(3)],
)
