"""What a config says in several places: do they agree?

Which label does not count stands in the heads, in what pads, the data sets and the
metrics; the number of classes in the heads and data sets. Where two differ, labels are
out of range in a loss, or weights and figures are silently those of something else.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from typing import Any

from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.datasets import BaseSegDataset
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.registry import MODELS

from mmseg_pointrend.datasets.checked import CheckedFiles
from mmseg_pointrend.datasets.loading import LoadLabel, find_step, steps_of
from mmseg_pointrend.datasets.reports import Finding, Found
from mmseg_pointrend.datasets.validation import check_config
from mmseg_pointrend.engine.config import listed_configs, type_name
from mmseg_pointrend.errors import InputError, one_line
from mmseg_pointrend.models.checks import listed, numbered

Facts = Iterator[tuple[bool, str]]
"""Whether something is an error, or else a warning, and a sentence with the fix."""
Datasets = Mapping[str, Sequence[Any]]
"""The data sets of each split, out of their wrappers."""


def disagreements(cfg: Config, model: Any, datasets: Datasets) -> Facts:
    """Compare what a config says of classes and of the label that does not count.

    Args:
        cfg: its metrics are read.
        model: a segmentor. Where ``datasets`` has no ``'train'``, no loss is computed:
            only the classes of its last decode head count.
        datasets: those that are read.
    """
    heads = heads_of(model)
    if 'train' not in datasets:
        heads = dict([*heads.items()][:1])
    for split, parts in datasets.items():
        for part in parts:
            yield from of_classes(heads, split, part)
            loader = find_step(getattr(part, 'pipeline', None), LoadLabel)
            try:
                if loader is not None and 'reduce_zero_label' in part.metainfo:
                    loader.new_ids(part.metainfo)
            except InputError as error:
                yield True, f'{split}_dataloader: {error}'
    if 'train' in datasets:
        yield from of_splits(datasets)
        if not heads:  # of a refiner, whose pipeline makes the labels
            return
        label = ignored_label(model)
        for is_error, given, value in uncounted(cfg, model, heads, datasets['train']):
            if value not in (label, None):
                yield (
                    is_error,
                    f'{given} but {next(iter(heads))}.ignore_index={label}: what does '
                    'not count has one label, give it in all heads, data sets, metrics '
                    'and seg_pad_val.',
                )


def heads_of(model: Any) -> dict[str, Any]:
    """Find the heads of a model by their names in a config, the last decode head first.

    Others count if their loss is that of the labels; ``STDCHead`` learns boundaries.
    The points follow the last decode head.
    """
    decode_heads, others = (
        [*numbered(key, listed(getattr(model, key, None)))]
        for key in ('decode_head', 'auxiliary_head')
    )
    return dict(decode_heads[-1:]) | {
        name: head
        for name, head in [*others, *decode_heads[:-1]]
        if getattr(type(head), 'loss_by_feat', None) is BaseDecodeHead.loss_by_feat
    }


def ignored_label(model: Any) -> int:
    """Tell which label the last decode head of a model ignores; 255 without a head."""
    head = next(iter(heads_of(model).values()))
    label = getattr(head, 'ignore_index', None)
    return 255 if label is None else label


def of_classes(heads: Mapping[str, Any], split: str, dataset: Any) -> Facts:
    """Compare the number of classes of heads with that of a data set."""
    count = len(getattr(dataset, 'metainfo', {}).get('classes') or ())
    if count == 1:
        yield (
            True,
            f'the data set of {split}_dataloader has one class by name, and its '
            'figures would be those of label 0: name two in metainfo.classes, '
            'background first, and set num_classes=2 in every head.',
        )
    for name, head in heads.items():
        # One channel tells two classes apart, whatever num_classes is.
        number = getattr(head, 'num_classes', count)
        of_head = 2 if getattr(head, 'out_channels', number) == 1 else number
        if count and count != of_head:
            yield (
                True,
                f'{name}.num_classes={number} but the data set of '
                f'{split}_dataloader has {count} classes: set num_classes={count} in '
                'decode_head and auxiliary_head, or metainfo.classes of the data set.',
            )


def of_splits(datasets: Datasets) -> Facts:
    """Compare what training and each other split make of labels."""
    one, *_ = datasets['train']
    for split, (other, *_) in datasets.items():
        if not (isinstance(one, BaseSegDataset) and isinstance(other, BaseSegDataset)):
            continue
        keys = f'{split}_dataloader.dataset and train_dataloader.dataset'
        ours, theirs = ([*(i.metainfo.get('classes') or ())] for i in (one, other))
        if ours != theirs and sorted(ours) == sorted(theirs):
            yield (
                True,
                f'{keys} have the same classes in another order: give metainfo.classes '
                'one order, which is that of the ids.',
            )
        same_kind = type(one).__name__ == type(other).__name__
        same_files = same_kind and one.data_root == other.data_root
        if same_files and one.reduce_zero_label != other.reduce_zero_label:
            yield True, f'{keys} differ in reduce_zero_label: set it in both or none.'


def uncounted(
    cfg: Config, model: Any, heads: Mapping[str, Any], datasets: Sequence[Any]
) -> Iterator[tuple[bool, str, int | None]]:
    """List where a label that does not count is given or made, and that label.

    Where it is not that of the heads, training stops at it or learns it, which is an
    error; that of a metric spoils figures alone.
    """
    for name, head in heads.items():
        value = getattr(head, 'ignore_index', None)
        yield True, f'{name}.ignore_index={value}', value
    key = 'train_dataloader.dataset'
    padding = [('data_preprocessor', getattr(model, 'data_preprocessor', None))]
    for part in datasets:
        value = getattr(part, 'ignore_index', 255)
        # Nobody reads it in MMSegmentation's own data sets, where it is 255.
        if value != 255 or isinstance(part, CheckedFiles):
            yield True, f'{key}.ignore_index={value}', value
        if getattr(part, 'reduce_zero_label', False):
            yield True, f'{key}.reduce_zero_label=True makes 255 of 0', 255
        if 255 in (getattr(part, 'label_map', None) or {}).values():
            yield True, f'{key} makes 255 of what is none of its classes', 255
        steps = steps_of(getattr(part, 'pipeline', None))
        padding += [(f'{type(step).__name__} in {key}', step) for step in steps]
    for name, step in padding:
        of_maps = getattr(step, 'pad_val', None)
        value = of_maps.get('seg', 255) if isinstance(of_maps, dict) else None
        value = getattr(step, 'seg_pad_val', value)
        yield True, f'{name}: seg_pad_val={value}', value
    for split in ('val', 'test'):
        metrics = cfg.get(f'{split}_evaluator') or []
        for metric in listed_configs(metrics):
            kind = type_name(metric)
            if kind in ('IoUMetric', 'BoundaryIoUMetric', 'BoundaryAccuracyMetric'):
                value = metric.get('ignore_index', 255)
                yield False, f'{split}_evaluator: {kind}.ignore_index={value}', value


def check_data_and_model(cfg: Config, splits: Sequence[str], *, workers: int) -> Found:
    """As :func:`check_config`, and compare the data sets with the model, if any.

    The model is built, without trained weights. What is found of the config itself
    stands in the first split.
    """
    init_default_scope(cfg.get('default_scope', 'mmseg'))
    model, facts = None, []
    try:
        model = MODELS.build(deepcopy(cfg.model)) if cfg.get('model') else None
    except Exception as error:
        known = isinstance(error, InputError)
        reason = f'the model cannot be built ({one_line(error)}): mend model.'
        facts.append((True, str(error) if known else reason))
    found = check_config(
        cfg, splits, workers=workers, ignore_index=ignored_label(model)
    )
    if model is not None:
        datasets = {split: report.datasets for split, report in found.items()}
        facts += disagreements(cfg, model, datasets)
    next(iter(found.values())).findings[:0] = [
        Finding(is_error, 'config', str(cfg.filename), sentence)
        for is_error, sentence in facts
    ]
    return found
