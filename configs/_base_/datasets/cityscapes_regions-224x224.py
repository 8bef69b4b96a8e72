_base_ = './cityscapes_512x1024.py'
crop_size = (224, 224)
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    dict(
        type='RandomResize', scale=(2048, 1024), ratio_range=(0.5, 2.0), keep_ratio=True
    ),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PhotoMetricDistortion'),
    dict(type='RandomRegion', crop_size=crop_size),
    dict(type='PerturbMask', iou=(0.8, 1.0)),
    dict(type='PackMaskInputs'),
]
train_dataloader = dict(batch_size=6, dataset=dict(pipeline=train_pipeline))
val_dataloader = val_evaluator = None
test_dataloader = test_evaluator = None
