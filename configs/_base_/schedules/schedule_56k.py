# SFNet's: 300 epochs of Cityscapes with 16 images a step.
_base_ = './schedule_80k.py'
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, begin=0, end=200, by_epoch=False),
    dict(type='PolyLR', eta_min=1e-4, power=1.0, begin=200, end=56000, by_epoch=False),
]
train_cfg = dict(max_iters=56000, val_interval=8000)
default_hooks = dict(visualization=dict(type='FlowVisualizationHook'))
