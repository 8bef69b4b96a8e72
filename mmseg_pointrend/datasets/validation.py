"""Checks every file of a config's data sets before a training meets them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import mmengine.fileio as fileio
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.datasets import BaseSegDataset
from mmseg.datasets.transforms import LoadAnnotations
from mmseg.registry import DATASETS

from mmseg_pointrend.datasets.checked import (
    check_any,
    check_folders,
    find_label_loader,
)
from mmseg_pointrend.datasets.files import BadFile
from mmseg_pointrend.datasets.loading import LoadImage
from mmseg_pointrend.datasets.pairs import (
    image_doubts,
    label_doubts,
    load_image,
    load_label,
)
from mmseg_pointrend.datasets.preparation.workers import check_workers, run_in_workers
from mmseg_pointrend.errors import InputError, one_line

SPLITS = ('train', 'val', 'test')


@dataclass(frozen=True)
class Finding:
    """Something wrong with a file.

    Attributes:
        is_error: training stops at it or learns what is not meant; otherwise the file
            is read right but probably not meant.
        kind: what is wrong, in two or three words.
        path: the file, or the folder.
        sentence: what is wrong and the fix, with the path.
    """

    is_error: bool
    kind: str
    path: str
    sentence: str


Found = dict[str, tuple[int, list[Finding]]]
"""The number of images and the findings of each split."""


@dataclass(frozen=True)
class Rules:
    """What a data set asks of its files.

    Attributes:
        image_loader: the pipeline's transform.
        label_loader: the pipeline's transform; None where labels are not read.
        num_classes: number of classes.
        ignore_index: id of ignored pixels.
    """

    image_loader: LoadImage
    label_loader: LoadAnnotations | None
    num_classes: int
    ignore_index: int


def check_config(cfg: Config, splits: Sequence[str], *, workers: int) -> Found:
    """Check every image and label that the data loaders of a config read.

    Args:
        cfg: config of any data sets that derive from MMSegmentation's
            ``BaseSegDataset``, also inside wrappers.
        splits: some of :data:`SPLITS`, or none for those that the config has.
        workers: number of worker processes.

    Returns:
        For each split the number of its images and what was found. A split that reads
        the same as one before it is left out.

    Raises:
        InputError: the config does not say what to read.
    """
    check_workers(workers)
    init_default_scope(cfg.get('default_scope', 'mmseg'))
    found: Found = {}
    seen: dict[str, list[dict]] = {}
    splits = splits or [split for split in SPLITS if cfg.get(f'{split}_dataloader')]
    if not splits:
        raise InputError(
            'the config has no train_, val_ or test_dataloader: add one, or give '
            'another config.'
        )
    for split in splits:
        key = f'{split}_dataloader.dataset'
        loader = cfg.get(f'{split}_dataloader')
        if not loader:
            raise InputError(f'the config has no {key}: leave {split} out of --split.')
        dataset_cfgs = list(find_datasets(loader.get('dataset')))
        if not dataset_cfgs:
            raise InputError(
                f'{key} names no data set of MMSegmentation: give one that derives '
                'from BaseSegDataset.'
            )
        same = [other for other, cfgs in seen.items() if cfgs == dataset_cfgs]
        if same:
            print(f'{split} is the data of {same[0]}.')
            continue
        seen[split] = dataset_cfgs
        results = [check_dataset(one, split, workers) for one in dataset_cfgs]
        found[split] = (
            sum(count for count, _ in results),
            [finding for _, findings in results for finding in findings],
        )
    return found


def find_datasets(cfg: Any) -> Iterator[dict[str, Any]]:
    """Configs of data sets, in a config that may wrap them."""
    if isinstance(cfg, list):
        for item in cfg:
            yield from find_datasets(item)
    elif isinstance(cfg, dict):
        kind = cfg.get('type')
        kind = DATASETS.get(kind) if isinstance(kind, str) else kind
        if isinstance(kind, type) and issubclass(kind, BaseSegDataset):
            yield cfg
        else:
            yield from find_datasets(cfg.get('dataset') or cfg.get('datasets'))


def check_dataset(
    cfg: dict[str, Any], split: str, workers: int
) -> tuple[int, list[Finding]]:
    """As :func:`check_config`, for one data set."""
    try:
        dataset = DATASETS.build({**cfg, 'lazy_init': True})
    except Exception as error:
        raise InputError(
            f'the data set of {split} cannot be built ({one_line(error)}): mend '
            f'{split}_dataloader.dataset.'
        ) from error
    rules = rules_of(dataset, split)
    dataset.serialize_data = False
    try:
        check_folders(dataset)
        # Not the class's own full_init, which may stop at a missing label.
        BaseSegDataset.full_init(dataset)
        check_any(dataset, dataset.data_list)
    except InputError as error:
        return 0, [Finding(True, 'missing data', str(dataset.data_root), str(error))]
    findings = lone_labels(dataset) if rules.label_loader else []
    samples = dataset.data_list
    found = run_in_workers(
        partial(check_sample, rules), samples, workers=workers, description=split
    )
    return len(samples), findings + [one for each in found for one in each]


def rules_of(dataset: BaseSegDataset, split: str) -> Rules:
    """What a data set's pipeline and classes ask of its files.

    Raises:
        InputError: the pipeline loads no images, labels have no folder, there are no
            classes, or the pipeline contradicts the data set.
    """
    key = f'{split}_dataloader.dataset'
    steps = dataset.pipeline.transforms
    image_loader = next((step for step in steps if isinstance(step, LoadImage)), None)
    label_loader = next(filter(None, map(find_label_loader, steps)), None)
    classes = dataset.metainfo.get('classes')
    if image_loader is None:
        raise InputError(f'{key}.pipeline has no LoadImageFromFile: add it.')
    if not classes:
        raise InputError(f'{key} has no classes: set metainfo=dict(classes=(...)).')
    if label_loader and 'seg_map_path' not in dataset.data_prefix:
        raise InputError(
            f'{key}.pipeline has LoadAnnotations but data_prefix has no seg_map_path: '
            'add the folder of the labels, or remove the transform.'
        )
    reduces = dataset.reduce_zero_label
    if label_loader and label_loader.reduce_zero_label not in (None, reduces):
        raise InputError(
            f'{key}.reduce_zero_label={reduces} but LoadAnnotations of its pipeline '
            f'has {label_loader.reduce_zero_label}: set it on the data set only.'
        )
    image_loader.ignore_empty = False
    return Rules(image_loader, label_loader, len(classes), dataset.ignore_index)


def lone_labels(dataset: BaseSegDataset) -> list[Finding]:
    """Labels without an image; where a file lists the images, there are none."""
    if dataset.ann_file:
        return []
    folder = dataset.data_prefix['seg_map_path']
    names = fileio.list_dir_or_file(
        folder,
        list_dir=False,
        suffix=dataset.seg_map_suffix,
        recursive=True,
        backend_args=dataset.backend_args,
    )
    labels = {os.path.join(folder, name) for name in names}
    # All images of the folder, also those that the data set's indices leave out.
    lone = labels - {sample['seg_map_path'] for sample in dataset.load_data_list()}
    return [
        Finding(
            True,
            'label without image',
            path,
            f'{path} has no *{dataset.img_suffix} in {dataset.data_prefix["img_path"]}:'
            ' add the image or remove the label.',
        )
        for path in sorted(lone)
    ]


def check_sample(rules: Rules, sample: dict[str, Any]) -> list[Finding]:
    """Check an image and, where it is read, its label."""
    results = dict(sample)
    findings = []
    path = results['img_path']
    try:
        load_image(rules.image_loader, results)
        for kind, sentence in image_doubts(rules.image_loader, path):
            findings.append(Finding(False, kind, path, sentence))
    except BadFile as bad:
        findings.append(Finding(True, bad.kind, path, str(bad)))
    if rules.label_loader is None:
        return findings
    path = results['seg_map_path']
    try:
        label = load_label(
            rules.label_loader, results, rules.num_classes, rules.ignore_index
        )['gt_seg_map']
        for kind, sentence in label_doubts(rules.label_loader, path):
            findings.append(Finding(False, kind, path, sentence))
        if (label == rules.ignore_index).all():
            sentence = (
                f'{path} has no pixel of any class, all are ignored: check how its ids '
                'were converted, or remove the pair.'
            )
            findings.append(Finding(True, 'label without classes', path, sentence))
    except BadFile as bad:
        findings.append(Finding(True, bad.kind, path, str(bad)))
    return findings


def summary(found: Found) -> Iterator[str]:
    """Lines to read: each kind, how often, the first three sentences; then totals."""
    groups: dict[tuple[bool, str], list[str]] = {}
    for _, findings in found.values():
        for finding in findings:
            key = (not finding.is_error, finding.kind)
            groups.setdefault(key, []).append(finding.sentence)
    for (is_warning, kind), sentences in sorted(groups.items()):
        yield f'{"warning" if is_warning else "error"}: {kind} ({len(sentences)})'
        yield from (f'  {sentence}' for sentence in sentences[:3])
        if len(sentences) > 3:
            yield f'  and {len(sentences) - 3} more, --json FILE has them all'
    for split, (count, findings) in found.items():
        errors = sum(finding.is_error for finding in findings)
        warnings = len(findings) - errors
        yield f'{split}: images {count}, errors {errors}, warnings {warnings}'


def as_json(found: Found) -> dict[str, Any]:
    """All that was found, as lists and dicts, for each split."""
    return {
        split: {'images': count, 'findings': [asdict(finding) for finding in findings]}
        for split, (count, findings) in found.items()
    }
