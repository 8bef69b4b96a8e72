# MMSegmentation's own PointHead, as its configs/point_rend sets it up, to compare with.
_base_ = './deeplabv3plus_efficientnet-lite0-d16_1xb4-2k_camvid-360x480.py'
model = dict(
    type='CascadeEncoderDecoder',
    num_stages=2,
    decode_head=[
        {{_base_.model.decode_head}},
        dict(
            type='PointHead',
            in_index=[0],
            in_channels=[24],
            channels=256,
            dropout_ratio=-1,
            num_classes=11,
            align_corners=False,
        ),
    ],
    train_cfg=dict(num_points=2048, oversample_ratio=3, importance_sample_ratio=0.75),
    test_cfg=dict(subdivision_steps=2, subdivision_num_points=8196, scale_factor=2),
)
