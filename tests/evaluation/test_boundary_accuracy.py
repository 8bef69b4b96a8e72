from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest
import torch
from mmseg.registry import METRICS

from mmseg_pointrend.errors import InputError

CLASSES = 'a', 'b', 'c', 'd'


def metric(**keys: Any) -> Any:
    made = METRICS.build(dict(type='BoundaryAccuracyMetric', **keys))
    made.dataset_meta = dict(classes=CLASSES)
    return made


def score(*pairs: tuple[np.ndarray, np.ndarray]) -> float:
    made = metric()
    for truth, prediction in pairs:
        maps = zip(('gt_sem_seg', 'pred_sem_seg'), (truth, prediction), strict=True)
        sample = {
            key: dict(data=torch.from_numpy(one.astype(np.int64))[None])
            for key, one in maps
        }
        made.process(None, [sample])
    return made.evaluate(len(pairs))['mBA']


def by_class(truth: np.ndarray, prediction: np.ndarray) -> float:
    """The definition: the gradient of each class's mask, one after the other."""
    height, width = truth.shape
    accuracies = []
    for i in range(5):
        radius = 1 + int(((height + width) / 300 - 1) / 5 * i)
        size = 2 * radius + 1
        disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))
        near = np.zeros(truth.shape, bool)
        for kind in np.unique(truth):
            mask = (truth == kind).astype(np.uint8)
            near |= cv2.morphologyEx(mask, cv2.MORPH_GRADIENT, disc) > 0
        accuracies.append((truth == prediction)[near].mean())
    return 100 * float(np.mean(accuracies))


def blobs(size: tuple[int, int], seed: int) -> np.ndarray:
    noise = np.random.default_rng(seed).random((4, *size)).astype(np.float32)
    return np.stack([cv2.GaussianBlur(one, (0, 0), 6) for one in noise]).argmax(0)


@pytest.mark.parametrize('size', [(60, 80), (360, 480), (700, 900)])
def test_one_pass_over_the_labels_is_exact(size):
    truth, prediction = blobs(size, 0), blobs(size, 0)
    prediction[:, 3:] = prediction[:, :-3].copy()
    assert 0 < score((truth, prediction)) < 100
    assert score((truth, prediction)) == pytest.approx(
        by_class(truth, prediction), abs=0.006
    )


def test_binary_masks_are_the_case_of_two_classes():
    truth, prediction = blobs((200, 300), 1) > 1, blobs((200, 300), 1) > 1
    prediction[3:] = prediction[:-3].copy()
    wanted = by_class(truth, prediction)
    assert score((truth, prediction)) == pytest.approx(wanted, abs=0.006)
    assert score((truth, truth)) == 100
    assert score((truth, ~truth)) == 0


def test_the_border_of_the_image_is_no_boundary_and_images_count_the_same():
    half = np.zeros((60, 60), int)
    half[:, 30:] = 1
    wrong_at_the_border = half.copy()
    wrong_at_the_border[:2] = wrong_at_the_border[:, :10] = 2
    # At radius 1 four columns, of which two rows of 60 are wrong.
    assert score((half, wrong_at_the_border)) == pytest.approx(100 * 58 / 60, abs=0.01)
    assert score((half, half), (half, 1 - half)) == 50


def test_an_image_without_a_boundary_is_left_out():
    half = np.zeros((60, 60), int)
    half[:, 30:] = 1
    blank = np.zeros((60, 60), int)
    assert score((half, half), (blank, blank + 1)) == 100
    assert np.isnan(score((blank, blank)))


def test_void_does_not_count_and_makes_no_boundary():
    truth = np.zeros((60, 60), int)
    truth[:, 30:] = 1
    truth[20:40] = 255
    prediction = np.where(truth == 255, 3, truth)
    prediction[0, 30] = 0
    only = truth.copy()
    only[:, 30:] = 255
    assert np.isnan(score((only, only)))
    assert score((truth, prediction)) == pytest.approx(100 * (1 - 1 / 80), abs=0.01)


def test_samples_without_labels_are_named():
    sample = dict(pred_sem_seg=dict(data=torch.zeros(1, 4, 4, dtype=torch.int64)))
    with pytest.raises(InputError, match='BoundaryAccuracyMetric needs labels but a'):
        metric().process(None, [sample])
