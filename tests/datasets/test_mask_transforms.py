from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from mmseg.registry import TRANSFORMS

from mmseg_pointrend.datasets.mask_transforms import overlap
from mmseg_pointrend.errors import InputError


def scene(size: tuple[int, int] = (120, 160)) -> dict[str, Any]:
    """Each class has its colour; a void stripe on the left."""
    labels = np.zeros(size, np.uint8)
    labels[40:, 60:] = 1
    labels[60:90, 80:110] = 2
    labels[100:103, 20:23] = 3
    labels[:, :10] = 255
    image = np.repeat(labels[..., None], 3, axis=2)
    return dict(img=image, gt_seg_map=labels, seg_fields=['gt_seg_map'])


def region(crop_size: Any = (64, 64), **keys: Any) -> Any:
    return TRANSFORMS.build(dict(type='RandomRegion', crop_size=crop_size, **keys))


@pytest.mark.parametrize('size', [(120, 160), (40, 200), (30, 30)])
def test_a_region_is_one_piece_of_one_class_around_its_edge(size):
    np.random.seed(0)
    kinds = set()
    for _ in range(60):
        results = region()(scene(size))
        labels, image = results['gt_seg_map'], results['img']
        assert labels.shape == (64, 64)
        assert image.shape == (64, 64, 3)
        assert set(np.unique(labels)) <= {0, 1, 255}
        inside = np.unique(image[labels == 1])
        assert len(inside) == 1
        assert inside[0] != 255
        kinds.add(int(inside[0]))
        assert (image[labels == 0] != inside[0]).all()
        known = (image[..., 0] == 255) == (labels == 255)
        assert known[: size[0], : size[1]].all()
        assert (labels[size[0] :] == 255).all()
        assert (labels[:, size[1] :] == 255).all()
    assert kinds == {int(kind) for kind in np.unique(scene(size)['gt_seg_map'])} - {255}


def test_pieces_of_a_class_are_apart_and_small_ones_are_left_out():
    np.random.seed(0)
    labels = np.full((64, 64), 255, np.uint8)
    labels[:20, :20] = labels[40:, 40:] = labels[30, 30] = 4
    image = np.zeros((64, 64, 3), np.uint8)
    sizes = set()
    for _ in range(30):
        results = region(min_area=4)(dict(img=image, gt_seg_map=labels))
        sizes.add(int((results['gt_seg_map'] == 1).sum()))
    assert sizes == {400, 576}
    labels[:] = 255
    labels[3, 3] = 4
    results = region(min_area=4)(dict(img=image, gt_seg_map=labels))
    assert (results['gt_seg_map'] == 1).sum() == 1
    assert region()(dict(img=image, gt_seg_map=np.full((9, 9), 255, np.uint8))) is None


@pytest.mark.parametrize('iou', [(0.8, 1.0), (0.5, 0.6), (0.9, 0.9), (1.0, 1.0)])
def test_the_iou_with_the_truth_comes_down_to_the_range(iou):
    np.random.seed(0)
    perturb = TRANSFORMS.build(dict(type='PerturbMask', iou=iou))
    found = []
    for _ in range(20):
        results = perturb(region()(scene()))
        labels, mask = results['gt_seg_map'], results['coarse_mask']
        assert mask.dtype == np.uint8
        assert set(np.unique(mask)) <= {0, 1}
        truth = (labels == 1).astype(np.uint8)
        found.append(overlap(mask, truth, labels != 255))
        union = ((mask == 1) | (labels == 1)) & (labels != 255)
        both = (mask == 1) & (labels == 1)
        assert found[-1] == pytest.approx(both.sum() / union.sum())
    assert min(found) >= iou[0]
    assert np.quantile(found, 0.7) <= min(iou[1] + 0.05, 1)
    assert (np.ptp(found) > 0.1) == (iou == (0.8, 1.0))


def test_masks_differ_from_time_to_time_and_seeds_bring_them_back():
    perturb = TRANSFORMS.build(dict(type='PerturbMask'))
    labels = region()(scene())['gt_seg_map']
    masks = []
    for seed in (1, 2, 1):
        np.random.seed(seed)
        masks.append(perturb(dict(gt_seg_map=labels))['coarse_mask'])
    assert (masks[0] == masks[2]).all()
    assert (masks[0] != masks[1]).any()


@pytest.mark.parametrize('value', [0, 1, 255])
def test_labels_of_one_value_are_perturbed_too(value):
    np.random.seed(0)
    perturb = TRANSFORMS.build(dict(type='PerturbMask'))
    labels = np.full((16, 16), value, np.uint8)
    assert perturb(dict(gt_seg_map=labels))['coarse_mask'].shape == (16, 16)


def test_the_mask_is_packed_beside_the_labels():
    pack = TRANSFORMS.build(dict(type='PackMaskInputs'))
    perturb = TRANSFORMS.build(dict(type='PerturbMask'))
    results = perturb(region()(scene()))
    packed = pack(dict(results, img_path='a.png', ori_shape=(120, 160)))
    sample = packed['data_samples']
    assert packed['inputs'].shape == (3, 64, 64)
    assert sample.coarse_mask.data.shape == sample.gt_sem_seg.data.shape == (1, 64, 64)
    assert sample.coarse_mask.data.equal(torch.from_numpy(results['coarse_mask'])[None])


@pytest.mark.parametrize(
    ('cfg', 'sentence'),
    [
        (dict(type='RandomRegion', crop_size=64), 'crop_size=64: give the height and'),
        (dict(type='RandomRegion', crop_size=(60, 64)), r'crop_size=\(60, 64\): give'),
        (dict(type='RandomRegion', crop_size=(64, 64), min_area=0), 'min_area=0: give'),
        (dict(type='PerturbMask', iou=0.8), 'iou=0.8: give two numbers'),
        (dict(type='PerturbMask', iou=(0.9, 0.8)), r'iou=\(0.9, 0.8\): give two'),
    ],
)
def test_bad_arguments_are_named(cfg, sentence):
    with pytest.raises(InputError, match=rf'^{cfg["type"]}\.{sentence}'):
        TRANSFORMS.build(cfg)
