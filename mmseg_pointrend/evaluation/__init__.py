"""Metrics in MMSegmentation's registry."""

from mmseg_pointrend.evaluation.boundary_accuracy_metric import BoundaryAccuracyMetric
from mmseg_pointrend.evaluation.boundary_iou_metric import BoundaryIoUMetric
from mmseg_pointrend.evaluation.iou_metric import IoUMetric

__all__ = ['BoundaryAccuracyMetric', 'BoundaryIoUMetric', 'IoUMetric']
