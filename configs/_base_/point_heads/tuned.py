# The head that did best on photographs (docs/results.md). PointRendHead's defaults are
# the paper's. in_index and in_channels are those of the host.
point_head = dict(
    type='PointRendHead',
    num_points=2048,
    oversample_ratio=8,
    importance_sample_ratio=1.0,
    coarse_from='initial',
    coarse_window=3,
    detach=True,
    mlp=dict(type='PointMLP', hidden_channels=128, num_layers=2, residual=True),
    loss_decode=[
        dict(type='CrossEntropyLoss', avg_non_ignore=True),
        dict(type='LovaszLoss', reduction='none', loss_name='loss_lovasz'),
    ],
)
