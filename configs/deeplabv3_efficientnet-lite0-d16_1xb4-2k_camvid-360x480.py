# No decoder: logits come at the output stride of the backbone.
_base_ = './deeplabv3plus_efficientnet-lite0-d16_1xb4-2k_camvid-360x480.py'
model = dict(decode_head=dict(c1_in_channels=0, c1_channels=0))
