"""Metrics in MMSegmentation's registry."""

from mmseg_pointrend.evaluation.boundary_iou_metric import BoundaryIoUMetric
from mmseg_pointrend.evaluation.iou_metric import IoUMetric

__all__ = ['BoundaryIoUMetric', 'IoUMetric']
