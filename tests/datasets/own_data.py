"""Folders of images and labels as people have them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image


def make_pairs(
    root: Path,
    *,
    images: str = 'images/{}.jpg',
    labels: str = 'labels/{}.png',
    values: Sequence[int] = (0, 1, 2),
    number: int = 6,
    size: tuple[int, int] = (40, 72),
    mode: str = 'L',
    start: int = 0,
) -> Path:
    """Write images of stripes, one for each value of their labels, height by width.

    Args:
        root: folder of all.
        images: their names, with the number in braces.
        labels: theirs.
        values: those in each label.
        number: of the pairs.
        size: height and width.
        mode: Pillow's mode of the labels.
        start: the first number.
    """
    rng = np.random.default_rng(0)
    stripes = np.arange(size[1]) * len(values) // size[1]
    label = np.broadcast_to(np.array(values, np.uint16)[stripes], size)
    colours = rng.integers(0, 256, (256, 3)).astype(np.uint8)
    for i in range(start, start + number):
        noise = rng.integers(0, 40, (*size, 3))
        image = (colours[stripes] // 2 + noise).astype(np.uint8)
        if mode == 'RGB':
            written = Image.fromarray(colours[label % 256])
        elif mode == 'I;16':
            written = Image.fromarray(np.ascontiguousarray(label))
        else:
            written = Image.fromarray(label.astype(np.uint8))
            if mode == 'P':
                written.putpalette(colours.tobytes())
            elif mode == '1':
                written = Image.fromarray(label > 0)
        for name, picture in (
            (images, Image.fromarray(image)),
            (labels, written),
        ):
            path = root / name.format(i)
            path.parent.mkdir(parents=True, exist_ok=True)
            picture.save(path)
    return root
