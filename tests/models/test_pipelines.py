"""What a test pipeline does to an image is undone, or refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from mmengine.dataset import Compose
from mmseg.registry import TRANSFORMS

from mmseg_pointrend.errors import InputError
from tests.helpers import tiny_model

SIZE = 60, 90
RIGHT = {
    'nothing': [],
    'Resize': [dict(type='Resize', scale=(120, 77), keep_ratio=False)],
    'keep_ratio': [dict(type='Resize', scale=(61, 61), keep_ratio=True)],
    'RandomFlip': [dict(type='RandomFlip', prob=1.0, direction='vertical')],
    'ResizeToMultiple': [
        dict(type='Resize', scale=(75, 50), keep_ratio=True),
        dict(type='ResizeToMultiple', size_divisor=32),
    ],
    'Pad that adds nothing': [dict(type='Pad', size_divisor=30)],
}
WRONG = {
    'Pad to a divisor': [dict(type='Pad', size_divisor=32)],
    'Pad to a size': [dict(type='Pad', size=(128, 128))],
    'Resize, then Pad': [
        dict(type='Resize', scale=(45, 30), keep_ratio=True),
        dict(type='Pad', size=(64, 64)),
    ],
    'CenterCrop': [dict(type='CenterCrop', crop_size=(40, 40))],
    'CenterCrop of the same shape': [dict(type='CenterCrop', crop_size=(45, 30))],
    'RandomCrop': [dict(type='RandomCrop', crop_size=(40, 40))],
    'Resize, then crop': [
        dict(type='Resize', scale=(180, 120), keep_ratio=True),
        dict(type='CenterCrop', crop_size=(90, 60)),
    ],
}


def through(pipeline: list[dict]) -> dict:
    """What the data set and the collate function make of an image."""
    steps = [
        dict(type='LoadImageFromNDArray'),
        *pipeline,
        dict(type='PackSegInputs'),
    ]
    image = np.random.default_rng(0).integers(0, 256, (*SIZE, 3), dtype=np.uint8)
    sample = Compose([TRANSFORMS.build(step) for step in steps])(dict(img=image))
    return dict(inputs=[sample['inputs']], data_samples=[sample['data_samples']])


@pytest.mark.parametrize('mode', ['whole', 'slide'])
@pytest.mark.parametrize('pipeline', RIGHT.values(), ids=RIGHT)
def test_a_resized_image_has_labels_of_the_size_of_its_file(pipeline, mode):
    model = tiny_model()
    model.test_cfg.update(mode=mode, crop_size=(48, 64), stride=(32, 32))
    with torch.no_grad():
        [result] = model.test_step(through(pipeline))
    assert result.pred_sem_seg.data.shape == (1, *SIZE)


@pytest.mark.parametrize('step', ['test_step', 'val_step'])
@pytest.mark.parametrize('pipeline', WRONG.values(), ids=WRONG)
def test_a_padded_or_cropped_image_is_refused(pipeline, step):
    with pytest.raises(InputError, match=r'data_preprocessor\.test_cfg=dict\(size_div'):
        getattr(tiny_model(), step)(through(pipeline))
