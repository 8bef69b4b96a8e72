"""Images of ellipses, stars and polygons, with a mask and a box of each."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from mmseg_pointrend.rendering.grids import Size
from mmseg_pointrend.studies.demo.street_scenes.canvas import Canvas

CLASSES = ('ellipse', 'star', 'polygon')
SAMPLES = 3
"""Samples per pixel side that a colour is averaged over."""


@dataclass(frozen=True)
class Shapes:
    """A batch of images with N regions.

    Attributes:
        images: (B, 3, H, W), float32 around zero.
        masks: (N, H, W), bool, the visible part of each shape.
        boxes: (N, 4), (x1, y1, x2, y2) in pixels, roughly around the masks, as a
            detector would find them.
        image_ids: (N,), which image each region is on.
        classes: (N,), indices into :data:`CLASSES`.
    """

    images: Tensor
    masks: Tensor
    boxes: Tensor
    image_ids: Tensor
    classes: Tensor


def draw_shapes(rng: np.random.Generator, num_images: int, size: Size) -> Shapes:
    """Draw four shapes an image, and leave out those that others hide."""
    images, masks, boxes, image_ids, classes = [], [], [], [], []
    for number in range(num_images):
        canvas = Canvas(size, SAMPLES)
        canvas.colour[:] = rng.integers(130, size=3)
        drawn = rng.integers(len(CLASSES), size=4)
        for ident, kind in enumerate(drawn.tolist(), start=1):
            red, green, blue = rng.integers(110, 256, size=3).tolist()
            quarter = np.array([(ident - 1) % 2, (ident - 1) // 2])
            center = (quarter + rng.uniform(0.3, 0.7, 2)) / 2 * size[::-1]
            radius = rng.uniform(0.15, 0.35) * min(size)
            vertices = (center + radius * outline(rng, kind)) * SAMPLES
            canvas.polygon(vertices, (red, green, blue), ident)
        noise = rng.normal(0, 12, size=(*size, 3))
        images.append((canvas.image() + noise).transpose(2, 0, 1) / 128 - 1)
        ids = canvas.centre_ids()
        for ident, kind in enumerate(drawn.tolist(), start=1):
            mask = ids == ident
            if mask.mean() < 0.01:
                continue
            masks.append(mask)
            boxes.append(loose_box(rng, mask))
            image_ids.append(number)
            classes.append(kind)
    return Shapes(
        torch.from_numpy(np.stack(images)).float(),
        torch.from_numpy(np.stack(masks)),
        torch.from_numpy(np.stack(boxes)).float(),
        torch.tensor(image_ids),
        torch.tensor(classes),
    )


def outline(rng: np.random.Generator, kind: int) -> np.ndarray:
    """Vertices of a shape of a class in the unit circle: (V, 2), x and y."""
    count = int(rng.integers(5, 9))
    radii: np.ndarray
    if CLASSES[kind] == 'ellipse':
        radii = np.ones(64)
    elif CLASSES[kind] == 'star':
        radii = np.tile([1, rng.uniform(0.3, 0.6)], count)
    else:
        radii = rng.uniform(0.5, 1, count)
    angles = 2 * np.pi * np.arange(len(radii)) / len(radii)
    x = radii * np.cos(angles)
    y = radii * np.sin(angles) * rng.uniform(0.5, 1)
    turn = rng.uniform(0, 2 * np.pi)
    return np.stack(
        (x * np.cos(turn) - y * np.sin(turn), x * np.sin(turn) + y * np.cos(turn)), 1
    )


def loose_box(rng: np.random.Generator, mask: np.ndarray) -> np.ndarray:
    """A box whose edges are off by up to a twentieth of a mask's size."""
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    box = np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1], dtype=float)
    sides = np.tile(box[2:] - box[:2], 2)
    return box + rng.uniform(-0.05, 0.05, 4) * sides
