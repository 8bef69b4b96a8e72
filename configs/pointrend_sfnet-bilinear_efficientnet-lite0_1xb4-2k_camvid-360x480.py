_base_ = './pointrend_sfnet_efficientnet-lite0_1xb4-2k_camvid-360x480.py'
model = dict(neck=dict(flow=False))
