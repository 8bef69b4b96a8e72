_base_ = '../mmseg/pointrend_fpn_r50_4xb2-80k_cityscapes-512x1024.py'
model = dict(
    data_preprocessor=dict(
        mean=[103.53, 116.28, 123.675], std=[1.0, 1.0, 1.0], bgr_to_rgb=False
    ),
    pretrained='open-mmlab://detectron2/resnet50_caffe',
    backbone=dict(
        type='ResNet',
        style='caffe',
        norm_cfg=dict(type='BN', requires_grad=False),
        norm_eval=True,
    ),
    decode_head=dict(norm_cfg=dict(type='GN', num_groups=32)),
    point_head=dict(
        subdivision_num_points=8192, mlp=dict(coarse_pred_each_layer=False)
    ),
)
