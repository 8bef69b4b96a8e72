"""Check every file of a config's data sets before a training meets them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import mmengine.fileio as fileio
import numpy as np
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.datasets import BaseSegDataset
from mmseg.registry import DATASETS
from PIL.ImageFile import ImageFile

from mmseg_pointrend.datasets.checked import CheckedFiles
from mmseg_pointrend.datasets.class_counts import doubt_about
from mmseg_pointrend.datasets.loading import LoadImage, LoadLabel, find_step
from mmseg_pointrend.datasets.preparation.workers import run_in_workers
from mmseg_pointrend.datasets.reading import BadFile, header_of, orientation_of
from mmseg_pointrend.datasets.reports import Finding, Found, Report
from mmseg_pointrend.errors import InputError, one_line

SPLITS = ('train', 'val', 'test')


Doubts = Iterator[tuple[str, str]]
"""What is odd about a file in two or three words, and a sentence with its name."""


def check_config(
    cfg: Config, splits: Sequence[str], *, workers: int, ignore_index: int = 255
) -> Found:
    """Check every image and label that the data loaders of a config read.

    Args:
        cfg: config of any data sets that derive from MMSegmentation's
            ``BaseSegDataset``, also inside wrappers.
        splits: some of :data:`SPLITS`, or none for those that the config has.
        workers: number of worker processes.
        ignore_index: of the model. Nobody reads that of MMSegmentation's own data sets,
            which is 255 unless it is set.

    Returns:
        What was found. A split that reads the same as one before it is left out.

    Raises:
        InputError: the config does not say what to read.
    """
    init_default_scope(cfg.get('default_scope', 'mmseg'))
    splits = splits or [split for split in SPLITS if cfg.get(f'{split}_dataloader')]
    if not splits:
        raise InputError(
            'the config has no train_, val_ or test_dataloader: add one, or give '
            'another config.'
        )
    found: Found = {}
    seen: dict[str, list[dict]] = {}
    for split in splits:
        loader = cfg.get(f'{split}_dataloader') or {}
        dataset_cfgs = list(find_datasets(loader.get('dataset')))
        if not dataset_cfgs:
            raise InputError(
                f'{split}_dataloader.dataset names no data set of MMSegmentation: give '
                f'one that derives from BaseSegDataset, or leave out --split {split}.'
            )
        same = [other for other, cfgs in seen.items() if cfgs == dataset_cfgs]
        if same:
            print(f'{split} is the data of {same[0]}.')
            continue
        seen[split] = dataset_cfgs
        report = found[split] = Report()
        for one in dataset_cfgs:
            check_dataset(one, split, workers, ignore_index, report)
        first = report.datasets[0]
        doubt = doubt_about(report.pixels, report.datasets, first.ignore_index)
        if doubt:
            folder = first.data_prefix['seg_map_path']
            sentence = f'{folder}: {doubt}.'
            report.findings.append(Finding(False, 'doubtful classes', folder, sentence))
    return found


def find_datasets(cfg: Any) -> Iterator[dict[str, Any]]:
    """Configs of data sets, in a config that may wrap them; their types are classes."""
    if isinstance(cfg, list):
        for item in cfg:
            yield from find_datasets(item)
    elif isinstance(cfg, dict):
        kind = cfg.get('type')
        kind = DATASETS.get(kind) if isinstance(kind, str) else kind
        if isinstance(kind, type) and issubclass(kind, BaseSegDataset):
            yield {**cfg, 'type': kind}
        else:
            yield from find_datasets(cfg.get('dataset') or cfg.get('datasets'))


def check_dataset(
    cfg: dict[str, Any],
    split: str,
    workers: int,
    ignore_index: int,
    report: Report,
) -> None:
    """As :func:`check_config`, for one data set, which gets the checks of ours."""
    key = f'{split}_dataloader.dataset'
    kind = cfg['type']
    checks_itself = issubclass(kind, CheckedFiles)
    if not checks_itself:
        kind = type(kind.__name__, (CheckedFiles, kind), {})
    try:
        dataset = DATASETS.build({**cfg, 'type': kind, 'lazy_init': True})
    except Exception as error:
        raise InputError(
            f'the data set of {split} cannot be built ({one_line(error)}): mend {key}.'
        ) from error
    image_loader = find_step(dataset.pipeline, LoadImage)
    label_loader = find_step(dataset.pipeline, LoadLabel)
    if image_loader is None:
        raise InputError(f'{key}.pipeline has no LoadImageFromFile: add it.')
    if not dataset.metainfo.get('classes'):
        raise InputError(f'{key} has no classes: set metainfo=dict(classes=(...)).')
    if label_loader and 'seg_map_path' not in dataset.data_prefix:
        raise InputError(
            f'{key}.pipeline has LoadAnnotations but data_prefix has no seg_map_path: '
            'add the folder of the labels, or remove the transform.'
        )
    if not checks_itself and dataset.ignore_index == 255:
        dataset.ignore_index = ignore_index
    image_loader.ignore_empty = False
    dataset.serialize_data = False
    report.datasets.append(dataset)
    try:
        # Not its own full_init, which stops at a missing label.
        BaseSegDataset.full_init(dataset)
    except InputError as error:
        missing = Finding(True, 'missing data', str(dataset.data_root), str(error))
        report.findings.append(missing)
        return
    report.findings += lone_labels(dataset) if label_loader else []
    found = run_in_workers(
        partial(check_sample, image_loader, label_loader),
        dataset.data_list,
        workers=workers,
        description=split,
    )
    report.images += len(found)
    for findings, pixels in found:
        report.findings += findings
        report.pixels += pixels


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
    missing = f'*{dataset.img_suffix} in {dataset.data_prefix["img_path"]}'
    fix = 'add the image or remove the label'
    return [
        Finding(True, 'label without image', path, f'{path} has no {missing}: {fix}.')
        for path in sorted(lone)
    ]


def check_sample(
    image_loader: LoadImage, label_loader: LoadLabel | None, sample: dict[str, Any]
) -> tuple[list[Finding], np.ndarray]:
    """Check an image and, where it is read, its label, and count its pixels, (256,)."""
    results, findings = sample, []
    for loader, key, find_doubts in (
        (image_loader, 'img_path', image_doubts),
        (label_loader, 'seg_map_path', label_doubts),
    ):
        if loader is None:
            continue
        path = results[key]
        try:
            results = loader(results)
        except BadFile as bad:
            findings.append(Finding(True, bad.kind, path, str(bad)))
            continue
        header = header_of(fileio.get(path, backend_args=loader.backend_args))
        if header is not None:
            doubts = find_doubts(path, header, loader)
            findings += [Finding(False, kind, path, text) for kind, text in doubts]
    label = results.get('gt_seg_map', np.empty(0, np.uint8))
    if label.size and np.all(label == results['ignore_index']):
        sentence = (
            f'{path} has no pixel of any class, all are ignored: check how its ids '
            'were converted, or remove the pair.'
        )
        findings.append(Finding(True, 'label without classes', path, sentence))
    return findings, np.bincount(label.ravel(), minlength=256)


def image_doubts(path: str, header: ImageFile, loader: LoadImage) -> Doubts:
    """Say what is probably not meant about an image that loads."""
    if header.mode not in ('1', 'L', 'RGB'):
        name = 'palette' if header.mode == 'P' else header.mode
        yield (
            f'{name} image',
            f'{path} has mode {header.mode}, not RGB, and is read with color_type='
            f'{loader.color_type!r}: save it as RGB unless that is meant.',
        )
    turned = orientation_of(header)
    if turned != 1 and loader.color_type in ('color', 'grayscale'):
        yield (
            'turned image',
            f'{path} is turned or mirrored on reading (EXIF orientation {turned}) and '
            'its label is not: save it upright, without EXIF.',
        )


def label_doubts(path: str, header: ImageFile, loader: LoadLabel) -> Doubts:
    """Say what is probably not meant about a label that loads."""
    if header.mode not in ('1', 'L', 'P'):
        yield (
            'wide label',
            f'{path} has mode {header.mode} although its ids fit into 8 bits: save it '
            'with 8 bits a pixel, lest larger ids slip in.',
        )
    if header.format == 'JPEG':
        yield (
            'lossy label',
            f'{path} is a JPEG, which mixes the ids of neighbouring pixels: make it '
            'anew as PNG from what it was saved from.',
        )
