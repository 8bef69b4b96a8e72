# CascadePSP's: 45000 steps of 12 regions.
_base_ = './schedule_80k.py'
optim_wrapper = dict(
    optimizer=dict(_delete_=True, type='Adam', lr=2.25e-4, weight_decay=1e-4)
)
param_scheduler = [
    dict(type='MultiStepLR', milestones=[22500, 37500], gamma=0.1, by_epoch=False)
]
train_cfg = dict(max_iters=45000)
default_hooks = dict(checkpoint=dict(save_best=None))
val_cfg = test_cfg = None
