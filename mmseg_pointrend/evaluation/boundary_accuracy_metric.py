"""What share of the pixels near true boundaries is right?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log
from mmseg.registry import METRICS

from mmseg_pointrend.evaluation.boundaries import class_map, near_another
from mmseg_pointrend.evaluation.boundary_iou_metric import label_pair

RADII = 5
"""How many radii there are, evenly from 1 pixel towards (width + height) / 300."""


@METRICS.register_module()
class BoundaryAccuracyMetric(BaseMetric):
    """Mean boundary accuracy, ``mBA``, in percent.

    Cheng et al. (CascadePSP, CVPR 2020, section 4.1): the accuracy of the pixels within
    a radius of a true boundary, averaged over five radii and then over images. The
    border of the image is no boundary, and ignored pixels neither count nor make
    boundaries. An image without any does not count.

    Args:
        ignore_index: label of ignored pixels.
        collect_device: ``'cpu'`` or ``'gpu'``, where processes exchange results.
        prefix: put before the name of the figure, with a slash.
    """

    def __init__(
        self,
        ignore_index: int = 255,
        collect_device: str = 'cpu',
        prefix: str | None = None,
    ) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        self.ignore_index = ignore_index

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Measure each image.

        Args:
            data_batch: not used.
            data_samples: predictions and labels, ``pred_sem_seg`` and ``gt_sem_seg``
                with ``data`` of shape (1, H, W).

        Raises:
            InputError: a sample has no label, or one of another size.
        """
        for sample in data_samples:
            maps = label_pair(sample, type(self).__name__)
            self.results.append(self.measure(*maps))

    def measure(self, truth: np.ndarray, prediction: np.ndarray) -> float | None:
        """Measure an image, whose ids are integers (H, W); None without boundary."""
        num_classes = len(self.dataset_meta['classes'])
        valid = truth != self.ignore_index
        truth = class_map(truth, num_classes)
        right = truth == class_map(prediction, num_classes)
        return boundary_accuracy(truth, right, valid)

    def compute_metrics(self, results: list[float | None]) -> dict[str, float]:
        """Average over the images that have boundaries; NaN if none has."""
        left_out = results.count(None)
        if left_out:
            print_log(
                f'mBA: {left_out} of {len(results)} images have no boundary and do not '
                'count.',
                logger='current',
            )
        return {'mBA': round(self.mean(results), 2)}

    @staticmethod
    def mean(results: Sequence[float | None]) -> float:
        """Average :meth:`measure` over images, in percent; NaN if none counts."""
        measured = [one for one in results if one is not None]
        return 100 * float(np.mean(measured)) if measured else np.nan


def boundary_accuracy(
    truth: np.ndarray, right: np.ndarray, valid: np.ndarray
) -> float | None:
    """Average the accuracy near boundaries over the radii.

    Args:
        truth: classes (H, W), unsigned.
        right: where the prediction is the truth, bool.
        valid: where the truth is known, bool.

    Returns:
        A share; None if there is no boundary.
    """
    largest = sum(truth.shape) / 300
    radii = [1 + int((largest - 1) / RADII * i) for i in range(RADII)]
    shares = {}
    for radius in {*radii}:
        size = 2 * radius + 1
        disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))
        region = near_another(truth, valid, disc)
        if not region.any():
            return None
        shares[radius] = float(right[region].mean())
    return sum(shares[radius] for radius in radii) / RADII
