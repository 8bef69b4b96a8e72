_base_ = './deeplabv3plus_efficientnet-lite0-d16_1xb4-2k_camvid-360x480.py'
norm_cfg = _base_.norm_cfg
head = dict(
    type='FCNHead',
    in_channels=64,
    channels=64,
    num_convs=1,
    concat_input=False,
    num_classes=11,
    norm_cfg=norm_cfg,
)
neck = dict(in_channels=[24, 40, 112, 320], channels=64, norm_cfg=norm_cfg)
model = dict(
    data_preprocessor=dict(test_cfg=dict(size_divisor=32)),
    backbone=dict(output_stride=32),
    neck=dict(type='SemanticFlowFPN', **neck),
    decode_head=dict(head, _delete_=True, in_channels=256, in_index=4),
    auxiliary_head=[dict(head, in_index=i) for i in range(3)],
)
optim_wrapper = dict(
    paramwise_cfg=dict(custom_keys={'neck': dict(lr_mult=4), 'head': dict(lr_mult=4)})
)
default_hooks = dict(visualization=dict(type='FlowVisualizationHook'))
