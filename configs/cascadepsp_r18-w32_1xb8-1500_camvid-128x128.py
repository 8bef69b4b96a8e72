_base_ = [
    './_base_/refiners/cascadepsp_r18-w32.py',
    './_base_/datasets/camvid_regions-128x128.py',
    './_base_/schedules/schedule_45k_adam.py',
    './_base_/default_runtime.py',
]
model = _base_.refiner
optim_wrapper = dict(optimizer=dict(lr=1e-3))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, end=100, by_epoch=False),
    dict(type='PolyLR', eta_min=1e-6, power=0.9, begin=100, end=1500, by_epoch=False),
]
train_cfg = dict(max_iters=1500)
default_hooks = dict(
    logger=dict(interval=20), checkpoint=dict(interval=100, max_keep_ckpts=1)
)
