_base_ = [
    './_base_/models/deeplabv3plus_r18-d16.py',
    './_base_/datasets/camvid_360x480.py',
    './_base_/schedules/schedule_20k.py',
    './_base_/default_runtime.py',
]
model = dict(
    data_preprocessor=dict(size=(360, 480)),
    decode_head=dict(num_classes=11),
    auxiliary_head=dict(num_classes=11),
)
