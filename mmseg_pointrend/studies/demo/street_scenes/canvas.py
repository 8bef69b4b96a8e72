"""Supersampled canvas that keeps colour, class and instance of every sample."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import cv2
import numpy as np
from cityscapesscripts.helpers.labels import name2label


def fixed(points: np.ndarray) -> np.ndarray:
    """Turn samples into 28.4 fixed point, in which OpenCV's centres are whole."""
    return np.rint(points * 16 - 8).astype(np.int32)


class Canvas:
    """Colour and id buffers of one scene, painted back to front.

    All coordinates are in samples: sample `i` covers `[i, i + 1)` and its centre is
    at `i + 0.5`. One output pixel is a square of `supersampling` samples.

    Attributes:
        colour: (H * s, W * s, 3) uint8, RGB.
        ids: (H * s, W * s) uint16, `id * 1000 + n` for things, `id` for the rest.
    """

    def __init__(self, size: tuple[int, int], supersampling: int) -> None:
        """Make an empty canvas of (H, W) pixels with an odd number of samples each."""
        self.size, self.supersampling = size, supersampling
        self.rows, self.cols = (side * supersampling for side in size)
        self.colour = np.zeros((self.rows, self.cols, 3), np.uint8)
        self.ids = np.zeros((self.rows, self.cols), np.uint16)
        self.instances: Counter[str] = Counter()

    def new_id(self, name: str) -> int:
        """Give the id to paint a Cityscapes class with, a fresh one for a thing."""
        label = name2label[name]
        if not label.hasInstances:
            return label.id
        self.instances[name] += 1
        return label.id * 1000 + self.instances[name] - 1

    def polygon(
        self, outlines: np.ndarray, colour: Sequence[float], ident: int
    ) -> None:
        """Fill an outline (N, 2) or several of them (M, N, 2) by the even-odd rule."""
        lines = list(fixed(outlines).reshape(-1, *outlines.shape[-2:]))
        cv2.fillPoly(self.colour, lines, colour, shift=4)
        cv2.fillPoly(self.ids, lines, (ident,), shift=4)

    def scatter(self, outlines: np.ndarray, colours: np.ndarray, ident: int) -> None:
        """Fill many small convex polygons (M, N, 2) with colours (M, 3) in turn."""
        for line, colour in zip(fixed(outlines), colours.tolist(), strict=True):
            cv2.fillConvexPoly(self.colour, line, colour, shift=4)
            cv2.fillConvexPoly(self.ids, line, (ident,), shift=4)

    def image(self) -> np.ndarray:
        """Average the samples of every pixel, (H, W, 3) uint8."""
        return cv2.resize(self.colour, self.size[::-1], interpolation=cv2.INTER_AREA)

    def centre_ids(self) -> np.ndarray:
        """Read the id at every pixel centre, (H, W) int32, instances from 0 on."""
        middle = slice(self.supersampling // 2, None, self.supersampling)
        ids = self.ids[middle, middle].astype(np.int32)
        visible, position = np.unique(ids, return_inverse=True)
        base = visible // 1000 * 1000
        counted = base + np.arange(len(visible)) - np.searchsorted(visible, base)
        return np.where(base, counted, visible)[position].reshape(ids.shape)
