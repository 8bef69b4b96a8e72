"""Metrics in MMSegmentation's registry."""

from mmseg_pointrend.evaluation.boundary_iou_metric import BoundaryIoUMetric

__all__ = ['BoundaryIoUMetric']
