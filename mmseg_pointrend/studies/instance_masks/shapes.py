"""Images of ellipses, stars and polygons, with a mask and a box of each."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
import torch
from torch import Tensor

from mmseg_pointrend.rendering.grids import Size

CLASSES = ('ellipse', 'star', 'polygon')
SAMPLES = 3
"""Samples per pixel side that a colour is averaged over."""
FRACTION_BITS = 4
"""OpenCV's vertices are whole sixteenths of a sample."""


class Shapes(NamedTuple):
    """A batch of images with N regions."""

    images: Tensor  # (B, 3, H, W), float32 around zero
    masks: Tensor  # (N, H, W), bool, the visible part of each shape
    boxes: Tensor  # (N, 4), (x1, y1, x2, y2), as roughly as a detector would find them
    image_ids: Tensor  # (N,), which image each region is on
    classes: Tensor  # (N,), indices into CLASSES


def draw_shapes(rng: np.random.Generator, num_images: int, size: Size) -> Shapes:
    """Draw four shapes an image, and leave out those that others hide."""
    images, regions = [], []
    for number in range(num_images):
        samples = SAMPLES * size[0], SAMPLES * size[1]
        colours = np.full((*samples, 3), rng.integers(130, size=3), np.uint8)
        ids = np.zeros(samples, np.uint8)
        kinds = rng.integers(len(CLASSES), size=4).tolist()
        for ident, kind in enumerate(kinds, start=1):
            colour = rng.integers(110, 256, size=3).tolist()
            quarter = np.array([(ident - 1) % 2, (ident - 1) // 2])
            center = (quarter + rng.uniform(0.3, 0.7, 2)) / 2 * size[::-1]
            radius = rng.uniform(0.15, 0.35) * min(size)
            vertices = (center + radius * outline(rng, kind)) * SAMPLES - 0.5
            fixed = np.rint(vertices * 2**FRACTION_BITS).astype(np.int32)
            cv2.fillPoly(colours, [fixed], colour, shift=FRACTION_BITS)
            cv2.fillPoly(ids, [fixed], [ident], shift=FRACTION_BITS)
        image = cv2.resize(colours, size[::-1], interpolation=cv2.INTER_AREA)
        noisy = image + rng.normal(0, 12, size=image.shape)
        images.append(noisy.transpose(2, 0, 1) / 128 - 1)
        centres = slice(SAMPLES // 2, None, SAMPLES)
        for ident, kind in enumerate(kinds, start=1):
            mask = ids[centres, centres] == ident
            if mask.mean() >= 0.01:
                regions.append((mask, loose_box(rng, mask), number, kind))
    masks, boxes, image_ids, classes = zip(*regions, strict=True)
    return Shapes(
        torch.from_numpy(np.stack(images)).float(),
        torch.from_numpy(np.stack(masks)),
        torch.from_numpy(np.stack(boxes)).float(),
        torch.tensor(image_ids),
        torch.tensor(classes),
    )


def outline(rng: np.random.Generator, kind: int) -> np.ndarray:
    """Draw vertices of a shape of a class, in the unit circle: (V, 2), x and y."""
    count = int(rng.integers(5, 9))
    radii: np.ndarray
    if CLASSES[kind] == 'ellipse':
        radii = np.ones(64)
    elif CLASSES[kind] == 'star':
        radii = np.tile([1, rng.uniform(0.3, 0.6)], count)
    else:
        radii = rng.uniform(0.5, 1, count)
    angles = 2 * np.pi * np.arange(len(radii)) / len(radii)
    flat = radii * np.cos(angles) + 1j * rng.uniform(0.5, 1) * radii * np.sin(angles)
    turned = flat * np.exp(1j * rng.uniform(0, 2 * np.pi))
    return np.stack((turned.real, turned.imag), axis=1)


def loose_box(rng: np.random.Generator, mask: np.ndarray) -> np.ndarray:
    """Draw a box whose edges are off by up to a twentieth of a mask's size."""
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    box = np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1], dtype=float)
    sides = np.tile(box[2:] - box[:2], 2)
    return box + rng.uniform(-0.05, 0.05, 4) * sides
