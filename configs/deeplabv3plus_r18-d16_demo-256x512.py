_base_ = [
    './_base_/models/small_deeplabv3plus_r18-d16.py',
    './_base_/datasets/street_scenes_256x512.py',
    './_base_/schedules/schedule_demo.py',
    './_base_/default_runtime.py',
]
randomness = dict(seed=0)
model = dict(data_preprocessor=dict(size=(128, 256)))
