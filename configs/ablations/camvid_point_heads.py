# Point heads that differ in one thing, trained side by side on one frozen network:
# tools/train.py THIS --cfg-options load_from=PLAIN_CHECKPOINT, then tools/score.py THIS
_base_ = '../pointrend_deeplabv3plus_efficientnet-lite0-d16_1xb4-2k_camvid-360x480.py'
custom_imports = dict(
    imports=['mmseg_pointrend', 'mmseg_pointrend.studies.accuracy.point_heads']
)
res2 = dict(in_index=[0], in_channels=[24])
mlp = dict(hidden_channels=256, num_layers=3, residual=False)
sampling = dict(oversample_ratio=3, importance_sample_ratio=0.75)
cross_entropy = dict(loss_decode=[dict(type='CrossEntropyLoss', avg_non_ignore=True)])
paper = dict(coarse_window=1, mlp=mlp, **cross_entropy, **sampling, **res2)
model = dict(
    type='PointHeadComparison',
    variants=dict(
        paper=paper,
        paper_current={**paper, 'coarse_from': 'current'},
        paper_each_layer={**paper, 'mlp': dict(mlp, coarse_pred_each_layer=True)},
        paper_decoder=dict(paper, in_index=[0, 'decode_head'], in_channels=[24, 128]),
        paper_stride_2=dict(paper, in_index=[0, 4], in_channels=[24, 16]),
        paper_stride_8=dict(paper, in_index=[0, 1], in_channels=[24, 40]),
        paper_residual={**paper, 'mlp': dict(mlp, residual=True)},
        current=dict(coarse_from='current'),
        no_window=dict(coarse_window=1),
        window_5=dict(coarse_window=5),
        cross_entropy=cross_entropy,
        res2=res2,
        no_stride_2=dict(in_index=[0, 'decode_head'], in_channels=[24, 128]),
        wide=dict(mlp=dict(hidden_channels=256, num_layers=3)),
        points_300=dict(num_points=300),
        paper_points=sampling,
        uniform=dict(importance_sample_ratio=0.0),
        probability_margin=dict(uncertainty='probability_margin'),
        entropy=dict(uncertainty='entropy'),
    ),
)
optim_wrapper = dict(
    paramwise_cfg=dict(custom_keys=dict(variants=dict(lr_mult=4))),
)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, begin=0, end=20, by_epoch=False),
    dict(type='PolyLR', eta_min=1e-6, power=0.9, begin=20, end=300, by_epoch=False),
]
train_cfg = dict(max_iters=300, val_interval=300)
