_base_ = './pointrend_fpn_r50-caffe_4xb2-80k_cityscapes-512x1024.py'
model = dict(
    pretrained='open-mmlab://detectron2/resnet101_caffe', backbone=dict(depth=101)
)
