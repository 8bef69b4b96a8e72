_base_ = './camvid_360x480.py'
crop_size = (128, 128)
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    dict(
        type='RandomResize', scale=(480, 360), ratio_range=(0.75, 2.0), keep_ratio=True
    ),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PhotoMetricDistortion'),
    dict(type='RandomRegion', crop_size=crop_size),
    dict(type='PerturbMask', iou=(0.8, 1.0)),
    dict(type='PackMaskInputs'),
]
train_dataloader = dict(batch_size=8, dataset=dict(pipeline=train_pipeline))
val_dataloader = val_evaluator = None
test_dataloader = test_evaluator = None
