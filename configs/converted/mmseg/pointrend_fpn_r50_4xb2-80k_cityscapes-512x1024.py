_base_ = '../../hosts/pointrend_fpn_r50_4xb2-80k_cityscapes-512x1024.py'
model = dict(
    decode_head=dict(dropout_ratio=-1),
    point_head=dict(
        _delete_=True,
        type='PointRendHead',
        in_index=[0],
        in_channels=[256],
        num_points=2048,
        subdivision_num_points=8196,
        coarse_from='initial',
        padding_mode='zeros',
        mlp=dict(type='PointMLP', hidden_channels=256, coarse_pred_each_layer=True),
    ),
    test_cfg=dict(resize_logits=True),
)
