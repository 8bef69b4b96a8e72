_base_ = [
    './deeplabv3plus_efficientnet-lite0-d16_1xb4-2k_camvid-360x480.py',
    './_base_/refiners/cascadepsp_r18-w32.py',
]
name = 'cascadepsp_r18-w32_1xb8-1500_camvid-128x128'
model = dict(
    _delete_=True,
    type='RefinedSegmentor',
    segmentor=_base_.model,
    refiner=_base_.refiner,
    refiner_checkpoint=f'work_dirs/{name}/iter_1500.pth',
    refinement=dict(size=480, enlarge=False, min_area=64),
)
