"""Overlap of label maps near boundaries, all classes at once.

Maps are arrays (H, W): ``truth`` and ``prediction`` hold ids of classes, 0 to C - 1,
and C for whatever is no class; ``valid`` is False where the truth is ignored. Nothing
is known of ignored pixels, so they neither count nor make boundaries. Distances are in
pixels, diagonal steps included (Chebyshev).
"""

from __future__ import annotations

import cv2
import numpy as np


def class_map(ids: np.ndarray, num_classes: int) -> np.ndarray:
    """Bring ids (H, W), any integers, into the smallest unsigned type that holds C."""
    unsigned = ids.astype(np.int64, copy=False).view(np.uint64)  # -1 becomes huge
    smallest = np.min_scalar_type(num_classes)
    return np.minimum(unsigned, np.uint64(num_classes)).astype(smallest)


def near_boundary(labels: np.ndarray, valid: np.ndarray, distance: int) -> np.ndarray:
    """Find valid pixels with a valid one of another label within ``distance``: bool."""
    size = 2 * min(distance, max(labels.shape)) + 1
    return near_another(labels, valid, np.ones((size, size), np.uint8))


def near_another(
    labels: np.ndarray, valid: np.ndarray, window: np.ndarray
) -> np.ndarray:
    """Find valid pixels with a valid one of another label in a window: bool."""
    highest = np.iinfo(labels.dtype).max
    smallest = cv2.erode(np.where(valid, labels, highest), window)
    largest = cv2.dilate(np.where(valid, labels, 0), window)
    return valid & (smallest != largest)


def boundary_band(labels: np.ndarray, valid: np.ndarray, distance: int) -> np.ndarray:
    """Find valid pixels within ``distance`` of another label or the outside: bool.

    Those of class c are the band of the mask of c in Cheng et al., "Boundary IoU:
    Improving object-centric image segmentation evaluation", CVPR 2021.
    """
    edge = np.ones_like(valid)
    edge[distance:-distance, distance:-distance] = False
    return valid & edge | near_boundary(labels, valid, distance)


def overlap(
    truth: np.ndarray,
    prediction: np.ndarray,
    truth_region: np.ndarray,
    prediction_region: np.ndarray,
    num_classes: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Count intersection and union of each class in pixels, (C,) each.

    The truth counts in ``truth_region`` only, the prediction in ``prediction_region``.
    """
    agreed = truth_region & prediction_region & (truth == prediction)
    both, true, predicted = (
        np.bincount(labels[region], minlength=num_classes)[:num_classes]
        for labels, region in (
            (truth, agreed),
            (truth, truth_region),
            (prediction, prediction_region),
        )
    )
    return both, true + predicted - both
