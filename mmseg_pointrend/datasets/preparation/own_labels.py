"""What do the values in a folder of labels stand for?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mmseg_pointrend.datasets.preparation.own_folders import spread
from mmseg_pointrend.datasets.reading import (
    decode,
    header_of,
    orientation_of,
    read_whole,
)
from mmseg_pointrend.errors import InputError, name_some

VOID = {'void', 'ignore', 'ignored', 'unlabelled', 'unlabeled', 'unannotated'}
SAMPLE = 200
"""Pairs that are read."""


@dataclass(frozen=True)
class Sample:
    """What some pairs hold.

    Attributes:
        sizes: width and height of each.
        modes: Pillow's modes of the labels, and how many have each.
        pixels: how many have each value, (256,).
        palette: colours of the values in a label with palette, in RGB.
    """

    sizes: Sequence[tuple[int, ...]]
    modes: Counter[str]
    pixels: np.ndarray
    palette: Sequence[Sequence[int]] = ()


@dataclass(frozen=True)
class Classes:
    """What the values in labels stand for; those of no class are ignored.

    Attributes:
        names: of the classes.
        values: that of each class.
        ignored: values that are not 255 and count nowhere.
    """

    names: Sequence[str]
    values: Sequence[int]
    ignored: Sequence[int]

    @property
    def reduce_zero_label(self) -> bool:
        """Whether this key of MMSegmentation's says it all."""
        from_one = [*self.values] == [*range(1, len(self.values) + 1)]
        return from_one and not {*self.ignored} - {0}

    @property
    def label_map(self) -> dict[int, int]:
        """What ``LoadAnnotations`` has to change otherwise."""
        new = dict.fromkeys(self.ignored, 255)
        new |= {value: i for i, value in enumerate(self.values)}
        if self.reduce_zero_label:
            return {}
        return {value: to for value, to in sorted(new.items()) if value != to}


def read_sample(files: Sequence[tuple[Path, Path]]) -> Sample:
    """Read some labels, and the sizes of their images.

    Args:
        files: an image and its label each.

    Raises:
        InputError: a label cannot be read, is not one id from 0 to 255 a pixel, or has
            another size than its image.
    """
    sizes, modes = [], Counter[str]()
    palette: list[list[int]] = []
    pixels = np.zeros(256, np.int64)
    for image, label in spread(files, SAMPLE):
        content = read_whole(label)
        values = decode(label, content, 'unchanged', 'pillow')
        header = header_of(content)
        mode = header.mode if header else 'unknown'
        if values.ndim > 2:
            raise InputError(
                f'{label} is a picture in colours (mode {mode}): write one id a pixel, '
                'as docs/own_data.md shows, or give the folder of such labels.'
            )
        ids = values.astype(np.uint8)
        if (ids != values).any():
            raise InputError(
                f'{label} (mode {mode}) holds values up to {values.max():g}: write one '
                'id from 0 to 255 a pixel, 255 where nothing is to be learned.'
            )
        size = size_of(image)
        if size not in (values.shape, None):
            raise InputError(
                f'{label} has {values.shape[0]}x{values.shape[1]} pixels but its image '
                f'{image} has {size[0]}x{size[1]}: give each pixel one label.'
            )
        sizes.append(values.shape[::-1])
        modes[mode] += 1
        pixels += np.bincount(ids.ravel(), minlength=256)
        if header is not None and header.palette and not palette:
            palette = np.reshape(header.getpalette() or (), (-1, 3)).tolist()
    return Sample(sizes, modes, pixels, palette)


def size_of(image: Path) -> tuple[int, int] | None:
    """Height and width of an image as OpenCV reads it; None if it is none."""
    header = header_of(read_whole(image))
    if header is None:
        return None
    return header.size if orientation_of(header) > 4 else header.size[::-1]


def find_classes(pixels: np.ndarray, names: Sequence[str] | None) -> Classes:
    """Decide what the values in labels stand for.

    Args:
        pixels: how many have each value, (256,).
        names: of the classes in the order of the values; one called *void* is ignored.

    Raises:
        InputError: the values are none of consecutive ids, or not those of ``names``.
    """
    found = np.flatnonzero(pixels).tolist()
    classes = None
    if len(found) > 1:
        classes = name_classes(found, names) if names else guess_classes(found, pixels)
    if classes is None or np.count_nonzero(pixels[[*classes.values]]) < 2:
        raise InputError(
            f'labels have the values {name_some(found)}, which is one class or none: '
            'give labels with two, or correct --labels.'
        )
    return classes


def name_classes(found: list[int], names: Sequence[str]) -> Classes:
    """Give names to the ids from 0 or 1 on, or to the values that occur.

    Args:
        found: values that occur, two or more.
        names: as in :func:`find_classes`; one is that of the foreground.

    Raises:
        InputError: they do not fit.
    """
    names = ['background', *names] if len(names) == 1 else names
    count, ids = len(names), [value for value in found if value != 255]
    if len({*names}) < count:
        raise InputError(f'--classes {" ".join(names)}: give each name once.')
    if found == [0, 255] and count == 2:
        values = found
    elif ids[-1] < count:
        values = [*range(count)]
    elif ids[0] > 0 and ids[-1] == count:
        values = [*range(1, count + 1)]
    elif count in (len(found), len(ids)):
        values = found if count == len(found) else ids
    else:
        raise InputError(
            f'labels have the values {name_some(found)}, and --classes names '
            f'{name_some(names)}: give a name for each id from 0 to {ids[-1]}, or for '
            f"each of the {len(ids)} values that occur; 'void' is ignored."
        )
    is_void = {
        value: name.lower() in VOID for name, value in zip(names, values, strict=True)
    }
    return Classes(
        [name for name in names if name.lower() not in VOID],
        [value for value in values if not is_void[value]],
        [value for value in values if is_void[value]],
    )


def guess_classes(found: list[int], pixels: np.ndarray) -> Classes:
    """Name classes after their values; two are background and foreground.

    Args:
        found: values that occur, two or more.
        pixels: how many have each value, (256,).

    Raises:
        InputError: the values are not one id a class.
    """
    binary = ['background', 'foreground']
    if len(found) == 2 and found[0] == 0:
        return Classes(binary, found, [])
    if len(found) > 20 and 2 * pixels[[0, 255]].sum() > pixels.sum():
        raise InputError(
            f'most labels are 0 or 255, but {len(found) - 2} values between occur, as '
            'in masks with soft edges or saved as JPEG: threshold them and save PNG.'
        )
    ids, ignored = [value for value in found if value != 255], []
    rest = [*range(ids[0], ids[0] + len(ids) - 1)]
    if len(ids) == len(found) > 2 and ids[:-1] == rest and ids[-1] > 2 * len(ids):
        ignored = [ids.pop()]
    values = [*range(ids[0], ids[-1] + 1)]
    if ids[0] > 1 or len(values) > 2 * len(ids):
        raise InputError(
            f'labels have the values {name_some(found)}, which are not the ids 0, 1, 2 '
            "...: give --classes, a name for each value, 'void' for what is to be "
            'ignored.'
        )
    names = binary if values == [0, 1] else [f'class_{value}' for value in values]
    return Classes(names, values, ignored)


def describe(sample: Sample, classes: Classes) -> Iterator[str]:
    """Tell what labels hold and what becomes of it."""
    values = np.flatnonzero(sample.pixels).tolist()
    yield (
        f'{len(sample.sizes)} labels were looked at: mode {", ".join(sample.modes)}, '
        f'values {", ".join(map(str, values))}'
    )
    meaning = dict.fromkeys(values, 'ignored')
    meaning |= dict(zip(classes.values, classes.names, strict=True))
    shares = 100 * sample.pixels / sample.pixels.sum()
    yield 'They mean: ' + ', '.join(
        f'{value} {name} ({shares[value]:.2g} %)' for value, name in meaning.items()
    )
