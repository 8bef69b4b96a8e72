"""Files of ``tools/export.py`` beside the model they were made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from functools import partial
from pathlib import Path
from statistics import median

import numpy as np
import torch
from mmengine.config import Config
from mmseg.evaluation import IoUMetric
from rich.progress import track

from mmseg_pointrend.engine.acceleration import compile_model
from mmseg_pointrend.engine.export.files import Labeler, open_file
from mmseg_pointrend.engine.export.run import check_model, model_labeler, rgb
from mmseg_pointrend.engine.prediction.model import load_model
from mmseg_pointrend.studies.comparison.places import labelled
from mmseg_pointrend.studies.speed.meters import time_in_turn

Row = dict[str, float]


def measure_files(
    cfg: Config,
    checkpoint: str,
    files: Sequence[Path],
    *,
    compiled: bool,
    repeat: int,
    limit: int | None = None,
) -> dict[str, Row]:
    """Time a model and files made of it in turn, and score their labels.

    Args:
        cfg: config of the model and of the test set.
        checkpoint: file.
        files: for images of the size of the test set's.
        compiled: also measure the model after ``torch.compile``.
        repeat: how often each labels the first image for its time.
        limit: how many images are scored; None scores all.

    Returns:
        For the model, called ``'model'``, and each file ``'seconds'`` of an image,
        median; ``'agreement'``, percent of the labels of the model; ``'mIoU'``; and
        ``'megabytes'`` of a file.

    Raises:
        InputError: the test set has no labels, or a file cannot be loaded.
    """
    model = load_model(cfg, checkpoint, 'cpu')
    check_model(model, cfg)
    labelers: dict[str, Labeler] = {'model': model_labeler(model)}
    if compiled:
        labelers['model, compiled'] = model_labeler(compile_model(deepcopy(model)))
    threads = torch.get_num_threads()
    labelers |= {path.name: open_file(path, threads) for path in files}
    dataset = labelled(cfg, 'test')
    rows: dict[str, Row] = {name: {} for name in labelers}
    areas: dict[str, list] = {name: [] for name in labelers}
    equal = dict.fromkeys(labelers, 0.0)
    count = min(len(dataset), limit or len(dataset))
    for i in track(range(count), description='labelling'):
        sample = dataset[i]
        image = rgb(sample['inputs'])[None]
        truth = sample['data_samples'].gt_sem_seg.data[0]
        maps = {name: label(image)[0] for name, label in labelers.items()}
        for name, labels in maps.items():
            equal[name] += float((labels == maps['model']).mean()) / count
            both = torch.from_numpy(labels.astype(np.int64)), truth
            number = len(model.dataset_meta['palette'])
            areas[name].append(IoUMetric.intersect_and_union(*both, number, 255)[:2])
    first = rgb(dataset[0]['inputs'])[None]
    calls = {name: partial(label, first) for name, label in labelers.items()}
    times = time_in_turn(calls, repeat, 'cpu')
    for name, row in rows.items():
        inner, union = (sum(parts) for parts in zip(*areas[name], strict=True))
        row['seconds'] = median(times[name])
        row['agreement'] = 100 * equal[name]
        row['mIoU'] = float((100 * inner / union)[union > 0].mean())
    for path in files:
        parts = [path, *([path.with_suffix('.bin')] * (path.suffix == '.xml'))]
        rows[path.name]['megabytes'] = sum(one.stat().st_size for one in parts) / 1e6
    return rows


def table_of(rows: Mapping[str, Row]) -> list[list[str]]:
    """Write the figures of :func:`measure_files` down, with times as shares."""
    usual = rows['model']['seconds']
    return [
        [
            name,
            f'{row["seconds"]:.3f}',
            f'{row["seconds"] / usual:.2f}',
            f'{row["agreement"]:.4f}',
            f'{row["mIoU"]:.2f}',
            f'{row["megabytes"]:.1f}' if 'megabytes' in row else '',
        ]
        for name, row in rows.items()
    ]
