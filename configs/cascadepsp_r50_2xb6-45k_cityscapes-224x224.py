_base_ = [
    './_base_/refiners/cascadepsp_r50.py',
    './_base_/datasets/cityscapes_regions-224x224.py',
    './_base_/schedules/schedule_45k_adam.py',
    './_base_/default_runtime.py',
]
model = _base_.refiner
