# Road (0) or sidewalk (1) in one channel; every other class is ignored.
_base_ = [
    '../pointrend_deeplabv3plus_r18-d16_4xb2-80k_cityscapes-512x1024.py',
    '../_base_/point_heads/tuned.py',
]
metainfo = dict(classes=('road', 'sidewalk'))
binary = dict(
    num_classes=2,
    out_channels=1,
    threshold=0.5,
)
model = dict(
    decode_head=dict(loss_decode=dict(use_sigmoid=True), **binary),
    auxiliary_head=dict(loss_decode=dict(use_sigmoid=True), **binary),
    point_head=dict(
        _base_.point_head,
        _delete_=True,
        in_index=[0, 'decode_head'],
        in_channels=[64, 128],
        loss_decode=[
            dict(type='CrossEntropyLoss', use_sigmoid=True, avg_non_ignore=True),
            dict(
                type='LovaszLoss',
                loss_type='binary',
                reduction='none',
                loss_name='loss_lovasz',
            ),
        ],
    ),
)
train_dataloader = dict(dataset=dict(metainfo=metainfo))
val_dataloader = dict(dataset=dict(metainfo=metainfo))
test_dataloader = val_dataloader
