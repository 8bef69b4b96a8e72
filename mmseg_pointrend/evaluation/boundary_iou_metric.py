"""How good is a segmentation at its boundaries?"""

from __future__ import annotations

from collections.abc import Sequence
from math import hypot
from typing import Any

import numpy as np
from mmengine.evaluator import BaseMetric
from mmengine.hooks import CheckpointHook, EarlyStoppingHook
from mmengine.logging import print_log
from mmseg.registry import METRICS
from prettytable import PrettyTable
from torch import Tensor

from mmseg_pointrend.errors import InputError, check_arguments
from mmseg_pointrend.evaluation.boundaries import (
    boundary_band,
    class_map,
    near_boundary,
    overlap,
)
from mmseg_pointrend.evaluation.iou_metric import note_left_out

# By parts of their names MMEngine tells of which figures more is better.
for hook in (CheckpointHook, EarlyStoppingHook):
    hook._default_greater_keys = [
        *hook._default_greater_keys,
        *('mBIoU', 'mBA', 'mFscore', 'mRecall', 'averageScore'),
    ]


@METRICS.register_module()
class BoundaryIoUMetric(BaseMetric):
    """Boundary IoU and the IoU in trimaps, of each class and their mean, in percent.

    Boundary IoU (Cheng et al., CVPR 2021) compares only the pixels of the true and of
    the predicted mask that are within d pixels of the mask's own boundary, so that the
    inside of large objects does not hide errors at their edges. The outside of the
    image is no part of a mask.

    Trimap IoU (Kohli et al., 2009; DeepLab) is the IoU of the pixels within w pixels of
    a true boundary; as w grows it tends to the IoU. The border of the image is no
    boundary there.

    Areas are summed over the data set before they are divided. Ignored pixels neither
    count nor make boundaries.

    Args:
        dilation: d, as a share of the image's diagonal if a float below 1 (at least
            one pixel), in pixels if an integer.
        trimap_widths: each w in pixels; may be empty.
        ignore_index: label of ignored pixels.
        collect_device: ``'cpu'`` or ``'gpu'``, where processes exchange results.
        prefix: put before the names of the figures, with a slash.

    Raises:
        InputError: ``dilation`` or ``trimap_widths`` is no such number.
    """

    def __init__(
        self,
        dilation: float = 0.005,
        trimap_widths: Sequence[int] = (1, 2, 3, 5),
        ignore_index: int = 255,
        collect_device: str = 'cpu',
        prefix: str | None = None,
    ) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        ratio = isinstance(dilation, float) and 0 < dilation < 1
        are_widths = (
            isinstance(trimap_widths, Sequence)
            and all(map(is_pixels, trimap_widths))
            and len(set(trimap_widths)) == len(trimap_widths)
        )
        rules = (
            (ratio or is_pixels(dilation), f'{dilation=} is no width',
             "a share of the image's diagonal below 1, or pixels of at least 1"),
            (are_widths, f'{trimap_widths=} is no list of widths',
             'different whole numbers of pixels, such as (1, 2, 3, 5)'),
        )  # fmt: skip
        check_arguments(rules, 'BoundaryIoUMetric.')
        self.dilation = dilation
        self.trimap_widths = trimap_widths
        self.ignore_index = ignore_index

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Measure each image.

        Args:
            data_batch: not used.
            data_samples: predictions and labels, ``pred_sem_seg`` and ``gt_sem_seg``
                with ``data`` of shape (1, H, W).

        Raises:
            InputError: a sample has no label, or one of another size, or the data set
                has one class only.
        """
        if len(self.dataset_meta['classes']) == 1:
            raise InputError(
                'the data set has one class by name, and figures would be those of '
                'label 0: name two in metainfo.classes, background first.'
            )
        for sample in data_samples:
            truth, prediction = label_pair(sample, 'BoundaryIoUMetric')
            self.results.append(self.measure(truth, prediction))

    def measure(self, truth: np.ndarray, prediction: np.ndarray) -> np.ndarray:
        """Find intersections and unions of an image, whose ids are integers (H, W).

        Returns:
            Pixels, (1 + widths, 2, classes): of the bands first, then of each trimap.
        """
        num_classes = len(self.dataset_meta['classes'])
        valid = truth != self.ignore_index
        truth = class_map(truth, num_classes)
        prediction = class_map(prediction, num_classes)
        distance = self.dilation
        if isinstance(distance, float):
            distance = max(1, round(distance * hypot(*truth.shape)))
        truth_band = boundary_band(truth, valid, distance)
        prediction_band = boundary_band(prediction, valid, distance)
        areas = [overlap(truth, prediction, truth_band, prediction_band, num_classes)]
        for width in self.trimap_widths:
            trimap = near_boundary(truth, valid, width)
            areas.append(overlap(truth, prediction, trimap, trimap, num_classes))
        return np.array(areas)

    def compute_metrics(self, results: list[np.ndarray]) -> dict[str, float]:
        """Print a table of the classes and return the means.

        Returns:
            ``mBIoU`` and ``trimap_mIoU_{w}px`` in percent. Classes that appear neither
            in the truth nor in the prediction, there, do not count.
        """
        percent = self.percent(results)
        table = PrettyTable()
        table.add_column('Class', list(self.dataset_meta['classes']))
        columns = ['BIoU', *(f'Trimap {width}px' for width in self.trimap_widths)]
        for name, values in zip(columns, percent, strict=True):
            table.add_column(name, values.round(2).tolist())
        print_log(f'boundaries per class:\n{table}', logger='current')
        names = ['mBIoU', *(f'trimap_mIoU_{width}px' for width in self.trimap_widths)]
        figures = dict(zip(names, percent, strict=True))
        note_left_out(figures, self.dataset_meta['classes'])
        present = [values[~np.isnan(values)] for values in percent]
        means = [round(float(i.mean()), 2) if len(i) else np.nan for i in present]
        return dict(zip(names, means, strict=True))

    @staticmethod
    def percent(results: list[np.ndarray]) -> np.ndarray:
        """Divide the sums of :meth:`measure` over all images.

        Returns:
            IoU, (1 + widths, classes), NaN where there is no union.
        """
        intersections, unions = np.moveaxis(np.sum(results, axis=0), 1, 0)
        with np.errstate(invalid='ignore'):
            return 100 * intersections / unions


def is_pixels(value: Any) -> bool:
    """Tell whether a value is a whole number of at least 1."""
    return type(value) is int and value >= 1


def label_pair(sample: dict[str, Any], metric: str) -> tuple[np.ndarray, np.ndarray]:
    """Read the truth and the prediction of a sample, (H, W) each.

    Args:
        sample: with ``gt_sem_seg`` and ``pred_sem_seg``.
        metric: name of what wants them.

    Raises:
        InputError: there is no truth, or it has another size.
    """
    if 'gt_sem_seg' not in sample:
        raise InputError(
            f'{metric} needs labels but a sample has no gt_sem_seg: add '
            'LoadAnnotations to the pipeline, or remove the metric.'
        )
    truth = label_map(sample['gt_sem_seg']['data'])
    prediction = label_map(sample['pred_sem_seg']['data'])
    if truth.shape != prediction.shape:
        sizes = ['x'.join(map(str, i.shape)) for i in (prediction, truth)]
        raise InputError(
            f'the prediction has {sizes[0]} pixels but the label {sizes[1]}: '
            'put LoadAnnotations after Resize in the pipeline of the data set.'
        )
    return truth, prediction


def label_map(data: Tensor) -> np.ndarray:
    """Make an array (H, W) of labels (1, H, W) or (H, W) on any device."""
    return data.reshape(data.shape[-2:]).cpu().numpy()
