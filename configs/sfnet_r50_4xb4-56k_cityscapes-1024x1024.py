_base_ = [
    './_base_/models/sfnet_r50.py',
    './_base_/datasets/cityscapes_1024x1024.py',
    './_base_/schedules/schedule_56k.py',
    './_base_/default_runtime.py',
]
model = dict(data_preprocessor=dict(size=(1024, 1024)))
