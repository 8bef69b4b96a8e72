_base_ = './pointrend_deeplabv3plus_cityscapes.py'
test_evaluator = [
    dict(
        type='CityscapesMetric',
        output_dir='work_dirs/cityscapes_official',
        keep_results=True,
    ),
    dict(type='BoundaryIoUMetric'),
]
