"""A mean that leaves classes out says so beside it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from mmseg.registry import METRICS

from mmseg_pointrend.evaluation import iou_metric

CLASSES = ['road', 'car', 'sky']
TRUTH = np.array([[0, 0, 2, 2], [0, 255, 2, 2]])
IOU = dict(type='IoUMetric')
BOUNDARY = dict(type='BoundaryIoUMetric', trimap_widths=[1])
BOTH = dict(type='IoUMetric', iou_metrics=['mIoU', 'mDice'])


def evaluate(cfg, prediction, monkeypatch):
    """Return the figures, and what is logged as a warning."""
    said = []

    def note(text, *, logger, level=None):
        said.extend([text] if level else [])

    monkeypatch.setattr(iou_metric, 'print_log', note)
    metric = METRICS.build(cfg)
    metric.dataset_meta = dict(classes=CLASSES)
    maps = zip(('gt_sem_seg', 'pred_sem_seg'), (TRUTH, prediction), strict=True)
    sample = {key: dict(data=torch.as_tensor(one)[None]) for key, one in maps}
    metric.process({}, [sample])
    return metric.evaluate(1), said


@pytest.mark.parametrize(
    ('cfg', 'names', 'figure'),
    [
        (IOU, 'mIoU, mAcc', 'mIoU'),
        (BOTH, 'mIoU, mAcc, mDice', 'mIoU'),
        (BOUNDARY, 'mBIoU, trimap_mIoU_1px', 'mBIoU'),
    ],
)
def test_classes_that_a_mean_leaves_out_are_named(cfg, names, figure, monkeypatch):
    figures, said = evaluate(cfg, TRUTH.clip(max=2), monkeypatch)
    assert figures[figure] == 100
    assert said == [
        f'{names}: the mean of 2 of 3 classes, without car, of which there is nothing '
        'to measure.'
    ]


@pytest.mark.parametrize('cfg', [IOU, BOUNDARY])
def test_a_class_that_is_only_predicted_is_not_left_out(cfg, monkeypatch):
    prediction = np.where(TRUTH == 2, 1, 0)
    _, said = evaluate(cfg, prediction, monkeypatch)
    assert not [text for text in said if text.startswith(('mIoU', 'mBIoU'))]


def test_a_mean_over_numbers_in_place_of_nan_leaves_nothing_out(monkeypatch):
    _, said = evaluate(dict(IOU, nan_to_num=0), TRUTH.clip(max=2), monkeypatch)
    assert not said
