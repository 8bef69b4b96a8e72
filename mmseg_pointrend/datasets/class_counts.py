"""How many pixels of each class do the labels of a data set have?

Counts are arrays (256,) of pixels by the id that a model is given.
"""

from __future__ import annotations

from collections.abc import Sequence
from time import monotonic
from typing import Any

import numpy as np

from mmseg_pointrend.datasets.loading import LoadLabel, find_step, steps_of
from mmseg_pointrend.errors import name_some

LIBRARIES = 'mmengine', 'mmcv', 'mmseg', 'mmseg_pointrend'
"""Their transforms make no other ids of a label once it is loaded."""
MOST = 100
SECONDS = 5


def count_some(datasets: Sequence[Any]) -> tuple[np.ndarray, int]:
    """Count the pixels of :data:`MOST` labels, evenly spread, for :data:`SECONDS`.

    It stops when each class has a pixel; what cannot be read is left to the training.

    Args:
        datasets: those of one loader; those that load no labels are left out.

    Returns:
        The counts, and how many labels were read.
    """
    counts, read, until = np.zeros(256, np.int64), 0, monotonic() + SECONDS
    for dataset in datasets:
        loader = find_step(getattr(dataset, 'pipeline', None), LoadLabel)
        if loader is None:
            continue
        number = len(dataset.metainfo.get('classes') or ())
        for i in range(0, len(dataset), -(-len(dataset) * len(datasets) // MOST)):
            if counts[:number].all() or monotonic() > until:
                break
            try:
                label = loader(dataset.get_data_info(i))['gt_seg_map']
            except Exception:
                continue
            counts += np.bincount(label.ravel(), minlength=256)
            read += 1
    return counts, read


def doubt_about(
    counts: np.ndarray, datasets: Sequence[Any], ignored: int
) -> str | None:
    """Say which classes no label has, or which ids are no class, and why that may be.

    Args:
        counts: of the labels that were read.
        datasets: those that have them.
        ignored: the id that does not count.

    Returns:
        Words for the middle of a sentence, and the fix; None if there is no doubt, or
        transforms of others may make other ids of the labels.
    """
    if not counts.any():
        return None
    dataset = datasets[0]
    classes = dataset.metainfo.get('classes') or ()
    steps = [step for one in datasets for step in steps_of(one.pipeline)]
    # The configs inside MMSegmentation's Albu have no module.
    origins = {getattr(step, '__module__', 'mmseg').split('.')[0] for step in steps}
    if not classes or origins - {*LIBRARIES}:
        return None
    number = len(classes)
    found = [i for i in range(number, 256) if counts[i]]
    others = [i for i in found if i != ignored]
    absent = [i for i in range(number) if not counts[i] and i != ignored]
    if others:
        fits = len(found) == len(absent)
        ids = dict(zip(found, absent, strict=True)) if fits else {others[0]: ignored}
        fix = f'set label_map={ids} in every LoadAnnotations'
        if others == [number] and not counts[0]:
            fix = 'set reduce_zero_label=True in the data set if ids begin with 1'
        return (
            f'labels have the ids {name_some(others)}, but the {number} classes are 0 '
            f'to {number - 1} and {ignored} is ignored: {fix}, or correct '
            'metainfo.classes'
        )
    if not absent:
        return None
    missing = f'no label has {name_some([classes[i] for i in absent])}'
    fix = 'correct metainfo.classes, or add labels that have it'
    if ignored < number or not counts[ignored]:
        return f'{missing}: {fix}'
    share = 100 * counts[ignored] / counts.sum()
    missing += f'; {ignored}, which is ignored, covers {share:.3g} %'
    if dataset.metainfo.get('reduce_zero_label'):
        fix = (
            f'remove reduce_zero_label=True, which ignores 0, if 0 is a class; or {fix}'
        )
    elif len(absent) == number - 1 and not dataset.metainfo.get('label_map'):
        key = f'label_map={{{ignored}: {absent[0]}}}'
        fix = f'masks of 0 and {ignored}? Set {key} in every LoadAnnotations; or {fix}'
    return f'{missing}: {fix}'
