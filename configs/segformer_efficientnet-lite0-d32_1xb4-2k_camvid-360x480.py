# SegFormer's all-MLP head; its Mix Transformer has no weights that pip installs.
_base_ = './deeplabv3plus_efficientnet-lite0-d16_1xb4-2k_camvid-360x480.py'
model = dict(
    backbone=dict(output_stride=32),
    decode_head=dict(
        _delete_=True,
        type='SegformerHead',
        in_channels=[24, 40, 112, 320],
        in_index=[0, 1, 2, 3],
        channels=128,
        dropout_ratio=0.1,
        num_classes=11,
        norm_cfg=_base_.norm_cfg,
        align_corners=False,
    ),
)
