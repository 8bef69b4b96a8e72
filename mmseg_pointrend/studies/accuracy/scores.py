"""Figures of a way to predict, summed over a data set."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from mmseg.evaluation import IoUMetric
from torch import Tensor

from mmseg_pointrend.evaluation import BoundaryAccuracyMetric, BoundaryIoUMetric
from mmseg_pointrend.evaluation.boundaries import near_boundary

RINGS = (1, 2, 3, 5, 8)
"""Pixels: at most 1 from a true boundary, 2, 3, 4 to 5, 6 to 8, and farther."""


class Scores:
    """IoU, Boundary IoU, IoU in trimaps, and what changed against other predictions.

    ``boundary`` are arguments of :class:`BoundaryIoUMetric`.
    """

    def __init__(
        self, classes: Sequence[str], ignore_index: int, **boundary: Any
    ) -> None:
        self.classes = classes
        self.ignore_index = ignore_index
        self.boundary = BoundaryIoUMetric(ignore_index=ignore_index, **boundary)
        self.boundary.dataset_meta = dict(classes=classes)
        self.accuracy = BoundaryAccuracyMetric(ignore_index)
        self.accuracy.dataset_meta = dict(classes=classes)
        self.areas: list[np.ndarray] = []
        self.changes = np.zeros((2, len(RINGS) + 1), dtype=np.int64)

    def add(self, truth: Tensor, labels: Tensor, before: Tensor | None = None) -> None:
        """Count an image: ids, a prediction and the one it improves on, (H, W) each."""
        both, union, _, _ = IoUMetric.intersect_and_union(
            labels, truth.to(labels), len(self.classes), self.ignore_index
        )
        self.areas.append(np.stack((both, union)))
        maps = truth.cpu().numpy(), labels.cpu().numpy()
        self.boundary.results.append(self.boundary.measure(*maps))
        self.accuracy.results.append(self.accuracy.measure(*maps))
        if before is not None:
            old = before.cpu().numpy()
            self.changes += changed_pixels(*maps, old, self.ignore_index)

    def summary(self) -> dict[str, Any]:
        """Sum up: IoU in percent, pixels as counts."""
        both, union = np.stack(self.areas).sum(axis=0)
        with np.errstate(invalid='ignore'):
            iou = 100 * both / union
        bands, *trimaps = self.boundary.percent(self.boundary.results)
        widths = self.boundary.trimap_widths
        accuracy = self.accuracy.mean(self.accuracy.results)
        fixed, broken = self.changes.tolist()
        return dict(
            mIoU=mean(iou),
            mBIoU=mean(bands),
            mBA=None if np.isnan(accuracy) else accuracy,
            trimap_mIoU=dict(zip(widths, map(mean, trimaps), strict=True)),
            IoU=self.of_classes(iou),
            BIoU=self.of_classes(bands),
            fixed=fixed,
            broken=broken,
        )

    def of_classes(self, values: np.ndarray) -> dict[str, float | None]:
        """Name a figure of each class, None where it does not occur."""
        found = [None if np.isnan(value) else float(value) for value in values]
        return dict(zip(self.classes, found, strict=True))


def mean(values: np.ndarray) -> float:
    """Average over the classes that occur, 0 if none does."""
    return float(np.nanmean(values)) if not np.isnan(values).all() else 0.0


def changed_pixels(
    truth: np.ndarray, labels: np.ndarray, before: np.ndarray, ignore_index: int
) -> np.ndarray:
    """Count pixels made right and pixels made wrong by distance to a true boundary.

    Args are as of :meth:`Scores.add`.

    Returns:
        (2, 6), a count for each of :data:`RINGS` and one for all that is farther:
        wrong before and right now; right before and wrong now.
    """
    valid = truth != ignore_index
    ids = truth.astype(np.uint8 if truth.max() < 256 else np.uint16)
    ring = np.full(truth.shape, len(RINGS))
    for i, distance in reversed(list(enumerate(RINGS))):
        ring[near_boundary(ids, valid, distance)] = i
    was, now = before == truth, labels == truth
    fixed, broken = (
        np.bincount(ring[valid & changed], minlength=len(RINGS) + 1)
        for changed in (~was & now, was & ~now)
    )
    return np.stack((fixed, broken))
