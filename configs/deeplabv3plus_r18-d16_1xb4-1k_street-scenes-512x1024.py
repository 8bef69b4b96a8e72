# Drawn scenes whose labels are exact: tools/make_street_scenes.py DIR --size 512 1024
_base_ = './deeplabv3plus_r18-d16_demo-256x512.py'
data_root, crop_size, max_iters = 'data/street_scenes', (256, 512), 1000
resize = dict(scale=(1024, 512), ratio_range=(0.9, 1.1), keep_ratio=True)
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    dict(type='RandomResize', **resize),
    dict(type='RandomCrop', crop_size=crop_size),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackSegInputs'),
]
train_dataloader = dict(dataset=dict(data_root=data_root, pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(data_root=data_root))
test_dataloader = val_dataloader
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, end=50, by_epoch=False),
    dict(
        type='PolyLR', eta_min=1e-5, power=0.9, begin=50, end=max_iters, by_epoch=False
    ),
]
train_cfg = dict(max_iters=max_iters, val_interval=max_iters)
model = dict(data_preprocessor=dict(size=crop_size))
