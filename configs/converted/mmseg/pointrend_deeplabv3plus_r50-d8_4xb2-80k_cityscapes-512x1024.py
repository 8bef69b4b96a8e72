_base_ = '../../pointrend_deeplabv3plus_r50-d8_4xb2-80k_cityscapes-512x1024.py'
model = dict(
    point_head=dict(
        num_points=2048,
        subdivision_num_points=8196,
        coarse_from='initial',
        padding_mode='zeros',
        mlp=dict(coarse_pred_each_layer=True),
    ),
    test_cfg=dict(resize_logits=True),
)
