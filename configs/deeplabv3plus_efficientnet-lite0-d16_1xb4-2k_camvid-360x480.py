_base_ = [
    './_base_/models/deeplabv3plus_efficientnet-lite0-d16.py',
    './_base_/datasets/camvid_240x320-crops.py',
    './_base_/schedules/schedule_2k_adamw.py',
    './_base_/default_runtime.py',
]
model = dict(data_preprocessor=dict(size=(240, 320)), decode_head=dict(num_classes=11))
