_base_ = './cityscapes_512x1024.py'
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(2048, 1024), keep_ratio=True),
    dict(type='PackSegInputs'),
]
tta_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(
        type='TestTimeAug',
        transforms=[
            _base_.tta_scales,
            _base_.tta_flips,
            [dict(type='PackSegInputs')],
        ],
    ),
]
test_dataloader = dict(
    dataset=dict(
        data_prefix=dict(_delete_=True, img_path='leftImg8bit/test'),
        pipeline=test_pipeline,
    )
)
test_evaluator = dict(
    _delete_=True,
    type='CityscapesMetric',
    output_dir='work_dirs/cityscapes_test_server',
    format_only=True,
    keep_results=True,
)
