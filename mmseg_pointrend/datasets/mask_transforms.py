"""Training masks for refinement: a region of a label map, and a worse copy of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from mmcv.transforms import BaseTransform
from mmengine.structures import PixelData
from mmseg.datasets.transforms import PackSegInputs
from mmseg.registry import TRANSFORMS

from mmseg_pointrend.errors import check_arguments

UNKNOWN = 255
"""In binary labels: neither inside nor outside."""
REMOVED, KEPT = 0.1, 0.1
"""Share of a contour's points that are cut off in one piece, and of the rest that are
kept."""
SHORTEST_CONTOUR = 10
"""Points."""
ROUNDS, STROKES = 250, 4
"""Rounds of random strokes at most, and strokes in a round."""
BRUSH = 3, 10
"""Diameters, the last one excluded."""


@TRANSFORMS.register_module()
class RandomRegion(BaseTransform):
    """Cut out a window around the edge of a region, and make its labels binary.

    A region is a connected piece of one class; classes are equally likely. Its pixels
    become 1, others 0, ignored ones 255.

    Args:
        crop_size: (H, W) of the window; a smaller image is padded with zeros, which
            are not known.
        min_area: pixels of the smallest region that is taken, if there is a larger one.
        ignore_index: label of ignored pixels.

    Raises:
        InputError: ``crop_size`` or ``min_area`` is no such value.
    """

    def __init__(
        self, crop_size: Sequence[int], min_area: int = 64, ignore_index: int = 255
    ) -> None:
        sizes = isinstance(crop_size, Sequence) and len(crop_size) == 2
        rules = (
            (sizes and all(type(i) is int and i > 0 and i % 8 == 0 for i in crop_size),
             f'{crop_size=}', 'the height and width of a window, multiples of 8'),
            (type(min_area) is int and min_area > 0, f'{min_area=}',
             'a positive number of pixels'),
        )  # fmt: skip
        check_arguments(rules, 'RandomRegion.')
        self.crop_size = tuple(crop_size)
        self.min_area = min_area
        self.ignore_index = ignore_index

    def transform(self, results: dict[str, Any]) -> dict[str, Any] | None:
        """Replace ``img`` (H, W, 3) and ``gt_seg_map`` (H, W).

        Returns:
            The results; None, for another image, if all pixels are ignored.
        """
        labels = results['gt_seg_map']
        kinds = [kind for kind in np.unique(labels) if kind != self.ignore_index]
        if not kinds:
            return None
        inside = (labels == np.random.choice(kinds)).astype(np.uint8)
        _, pieces, figures, _ = cv2.connectedComponentsWithStats(inside, connectivity=8)
        areas = figures[1:, cv2.CC_STAT_AREA]
        large = np.flatnonzero(areas >= self.min_area)
        piece = np.random.choice(large) if len(large) else areas.argmax()
        region = (pieces == 1 + piece).astype(np.uint8)
        edge = cv2.morphologyEx(region, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8))
        places = np.argwhere(edge & region if (edge & region).any() else region)
        center = places[np.random.randint(len(places))]
        truth = np.where(labels == self.ignore_index, UNKNOWN, region).astype(np.uint8)
        window = tuple(
            slice(start := self.start(at, count, size), start + size)
            for at, count, size in zip(
                center, labels.shape, self.crop_size, strict=True
            )
        )
        height, width = self.crop_size
        image = results['img'][window]
        pad = 0, height - image.shape[0], 0, width - image.shape[1], cv2.BORDER_CONSTANT
        results['img'] = cv2.copyMakeBorder(image, *pad, value=0)
        results['gt_seg_map'] = cv2.copyMakeBorder(truth[window], *pad, value=UNKNOWN)
        results['img_shape'] = self.crop_size
        return results

    def start(self, at: int, count: int, size: int) -> int:
        """Put ``at`` anywhere in a window of an axis of ``count`` pixels."""
        return int(np.clip(at - np.random.randint(size), 0, max(count - size, 0)))


@TRANSFORMS.register_module()
class PerturbMask(BaseTransform):
    """Make the mask that a refiner is given: a worse copy of the true one.

    As Cheng et al. (CascadePSP, section 3.6) do it: contours lose a piece and most of
    their points, then random boxes are dilated and eroded, until the IoU with the truth
    has come down to a number drawn from a range. It never falls below the range; what
    is not known does not count.

    Args:
        iou: the range.

    Raises:
        InputError: it is no range in [0, 1].
    """

    def __init__(self, iou: Sequence[float] = (0.8, 1.0)) -> None:
        pair = isinstance(iou, Sequence) and len(iou) == 2
        right = pair and 0 <= iou[0] <= iou[1] <= 1
        check_arguments([(right, f'{iou=}', 'two numbers, 0 to 1')], 'PerturbMask.')
        self.lowest, self.highest = iou

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Add ``coarse_mask`` (H, W), uint8, 0 or 1."""
        labels = results['gt_seg_map']
        known, truth = labels != UNKNOWN, (labels == 1).astype(np.uint8)
        target = np.random.uniform(self.lowest, self.highest)
        mask = with_fewer_points(truth)
        iou = overlap(mask, truth, known)
        if iou < target:
            mask, iou = truth.copy(), 1.0
        for _ in range(ROUNDS):
            if iou <= target:
                break
            other = with_strokes(mask)
            below = overlap(other, truth, known)
            if below >= self.lowest:
                mask, iou = other, below
        results['coarse_mask'] = mask
        return results


@TRANSFORMS.register_module()
class PackMaskInputs(PackSegInputs):
    """``PackSegInputs`` that adds ``coarse_mask``, (1, H, W)."""

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Pack the results."""
        packed = super().transform(results)
        mask = PixelData(data=results['coarse_mask'][None])
        packed['data_samples'].coarse_mask = mask.to_tensor()
        return packed


def overlap(mask: np.ndarray, truth: np.ndarray, known: np.ndarray) -> float:
    """Compute the IoU of masks (H, W) where the truth is known; 1 if it has none."""
    union = np.count_nonzero((mask | truth)[known])
    return np.count_nonzero((mask & truth)[known]) / union if union else 1.0


def with_fewer_points(truth: np.ndarray) -> np.ndarray:
    """Draw a mask (H, W) anew from some points of its contours."""
    contours, _ = cv2.findContours(truth, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    sampled = []
    for contour in contours:
        if len(contour) < SHORTEST_CONTOUR:
            continue
        cut = int(len(contour) * REMOVED)
        # A piece whose ends are close changes the shape the most.
        distances = np.linalg.norm(contour[:-cut] - contour[cut:], axis=(1, 2))
        close = np.argsort(distances)[: math.ceil(0.1 * len(distances))]
        start = np.random.choice(close)
        rest = np.delete(contour, slice(start, start + cut), axis=0)
        count = max(int(len(rest) * KEPT), 3)
        chosen = np.sort(np.random.choice(len(rest), count, replace=False))
        sampled.append(rest[chosen])
    return cv2.fillPoly(np.zeros_like(truth), sampled, 1) if sampled else truth.copy()


def with_strokes(mask: np.ndarray) -> np.ndarray:
    """Dilate or erode a mask (H, W) in some random boxes; some get or lose a speck."""
    mask = mask.copy()
    height, width = mask.shape
    for _ in range(STROKES):
        top, left = np.random.randint(height), np.random.randint(width)
        bottom = np.random.randint(top + 1, height + 1)
        right = np.random.randint(left + 1, width + 1)
        if np.random.rand() < 0.25:
            mask[(top + bottom) // 2, (left + right) // 2] = np.random.randint(2)
        change = cv2.dilate if np.random.rand() < 0.5 else cv2.erode
        box = mask[top:bottom, left:right]
        box[:] = change(box, random_brush())
    return mask


def random_brush() -> np.ndarray:
    """Make a structuring element: a square, a disc or an ellipse."""
    size = np.random.randint(*BRUSH)
    shape, width, height = (
        (cv2.MORPH_RECT, size, size),
        (cv2.MORPH_ELLIPSE, size, size),
        (cv2.MORPH_ELLIPSE, size, size // 2),
        (cv2.MORPH_ELLIPSE, size // 2, size),
    )[np.random.randint(4)]
    return cv2.getStructuringElement(shape, (width, height))
