"""MMSegmentation's mIoU, which says of which classes it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from logging import WARNING
from typing import Any

import mmseg.evaluation.metrics
import numpy as np
from mmengine.logging import print_log
from mmseg.registry import METRICS

from mmseg_pointrend.errors import name_some


# A mean of 100 over the background alone looks like success.
@METRICS.register_module('IoUMetric', force=True)
class IoUMetric(mmseg.evaluation.metrics.IoUMetric):
    """MMSegmentation's ``IoUMetric``; classes that a mean leaves out are named.

    Args:
        kwargs: as in MMSegmentation's.
    """

    def total_area_to_metrics(self, *args: Any, **kwargs: Any) -> dict[str, np.ndarray]:
        """Compute figures of each class as MMSegmentation does."""
        figures = super().total_area_to_metrics(*args, **kwargs)
        means = {f'm{name}': figure for name, figure in figures.items() if figure.ndim}
        note_left_out(means, self.dataset_meta['classes'])
        return figures


def note_left_out(figures: Mapping[str, np.ndarray], classes: Sequence[str]) -> None:
    """Log which classes the means leave out, as their figure is NaN.

    Args:
        figures: of each class, (C,), by the name of their mean.
        classes: C names.
    """
    means: dict[tuple[str, ...], list[str]] = {}
    for name, values in figures.items():
        absent = tuple(classes[i] for i in np.flatnonzero(np.isnan(values)))
        means.setdefault(absent, []).append(name)
    for missing in filter(None, means):
        print_log(
            f'{", ".join(means[missing])}: the mean of {len(classes) - len(missing)} '
            f'of {len(classes)} classes, without {name_some(missing)}, of which there '
            'is nothing to measure.',
            logger='current',
            level=WARNING,
        )
