"""Maps of the points of the last step, at the pixels of the file."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample

from mmseg_pointrend.engine.prediction.model import Predictor
from mmseg_pointrend.rendering import refinement
from tests.helpers import tiny_model


def as_read(file: tuple[int, int], image: tuple[int, int], **meta: Any) -> dict:
    """An image of a file, resized, as a pipeline gives it."""
    sample = SegDataSample(
        gt_sem_seg=PixelData(data=torch.randint(0, 5, (1, *file))),
        metainfo=dict(
            ori_shape=file,
            img_shape=image,
            scale_factor=(image[1] / file[1], image[0] / file[0]),
            **meta,
        ),
    )
    inputs = torch.randint(0, 256, (3, *image), dtype=torch.uint8)
    return dict(inputs=inputs, data_samples=sample)


def tiny_binary_model(**kwargs: Any) -> Any:
    """A model of one channel that gives both labels."""
    model = tiny_model(num_classes=2, out_channels=1, **kwargs)
    coarse = model.decode_head(model.extract_feat(torch.randn(1, 3, 64, 96)))
    with torch.no_grad():
        model.decode_head.conv_seg.bias -= coarse.median() + 0.85  # logit of 0.3
    return model


@pytest.mark.parametrize('align_corners', [False, True])
@pytest.mark.parametrize(
    ('file', 'image', 'meta'),
    [
        ((64, 96), (64, 96), {}),
        ((61, 90), (61, 90), {}),  # padded
        ((50, 77), (64, 96), {}),  # resized
        ((101, 150), (61, 90), dict(flip=True, flip_direction='horizontal')),
    ],
)
def test_a_map_has_the_pixels_that_the_last_step_chose(
    monkeypatch, align_corners, file, image, meta
):
    """Their numbers are taken where they are chosen."""
    model = tiny_model(align_corners=align_corners)
    model.data_preprocessor.test_cfg = dict(size_divisor=16)
    chosen, choose = [], refinement.label_and_find_hardest

    def note(logits, grid, *args, **kwargs):
        labels, hardest = choose(logits, grid, *args, **kwargs)
        one = torch.zeros(grid.size, dtype=torch.bool)
        one.view(-1)[hardest[0]] = True
        chosen.append(one)
        return labels, hardest

    monkeypatch.setattr(refinement, 'label_and_find_hardest', note)
    found = Predictor(model, points=True)(as_read(file, image, **meta))
    assert found.points.shape == found.labels.shape == file
    [wanted] = chosen
    wanted = wanted[: file[0], : file[1]]  # without padding
    wanted = wanted.flip(1) if meta else wanted
    assert wanted.sum() == 128
    assert torch.equal(torch.from_numpy(found.points), wanted)
    assert 'renderer' not in vars(model.point_head)


@pytest.mark.parametrize('budget', [0, 40, 10**6])
@pytest.mark.parametrize('mode', ['slide', 'resized logits'])
def test_points_of_windows_and_of_logits_that_are_resized(mode, budget):
    model = tiny_model(subdivision_num_points=budget)
    model.data_preprocessor.test_cfg = dict(size_divisor=16)
    model.test_cfg.resize_logits = mode != 'slide'
    windows = 1
    if mode == 'slide':
        model.test_cfg.update(mode=mode, crop_size=(64, 48), stride=(64, 48))
        windows = 2
    points = Predictor(model, points=True)(as_read((61, 90), (61, 90))).points
    assert points.sum() == min(budget * windows, 61 * 90)
    larger = Predictor(model, points=True)(as_read((122, 180), (61, 90))).points
    assert larger.shape == (122, 180)
    assert larger.sum() == 4 * min(budget * windows, 61 * 90)


def test_probabilities_of_one_channel_are_those_of_the_second_class():
    model = tiny_binary_model()
    found = Predictor(model, probabilities=True)(as_read((64, 96), (64, 96)))
    assert found.probabilities.shape == (1, 64, 96)
    assert found.points is None
    labels = found.probabilities[0] > model.decode_head.threshold
    assert (labels == found.labels).mean() > 0.999
    assert 0 < labels.mean() < 1
