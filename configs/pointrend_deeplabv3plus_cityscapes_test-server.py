_base_ = [
    './_base_/models/pointrend_deeplabv3plus_r50-d16.py',
    './_base_/datasets/cityscapes_test-server.py',
    './_base_/schedules/schedule_80k.py',
    './_base_/default_runtime.py',
]
model = dict(data_preprocessor=dict(size=(512, 1024)))
