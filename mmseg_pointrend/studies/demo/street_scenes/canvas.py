"""Supersampled painter that fills colour, class and instance at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import cv2
import numpy as np
from cityscapesscripts.helpers.labels import name2label

Colour = tuple[int, int, int]

_FRACTION_BITS = 4


class Canvas:
    """Colour and id buffers of one scene, painted back to front.

    All coordinates are in samples: sample `i` covers `[i, i + 1)` and its centre is
    at `i + 0.5`. One output pixel is a square of `supersampling` samples.

    Attributes:
        colour: (H * s, W * s, 3) uint8, RGB.
        ids: (H * s, W * s) uint16, `id * 1000 + n` for things, `id` for the rest.
    """

    def __init__(self, size: tuple[int, int], supersampling: int) -> None:
        """Creates an empty canvas.

        Args:
            size: output height and width in pixels.
            supersampling: odd number of samples per pixel side.
        """
        self.size = size
        self.supersampling = supersampling
        self.rows = size[0] * supersampling
        self.cols = size[1] * supersampling
        self.colour = np.zeros((self.rows, self.cols, 3), np.uint8)
        self.ids = np.zeros((self.rows, self.cols), np.uint16)
        self._instances: Counter[str] = Counter()

    def new_id(self, name: str) -> int:
        """Returns the id to paint with: a fresh instance id where the class has them.

        Args:
            name: Cityscapes class name, such as 'car'.
        """
        label = name2label[name]
        if not label.hasInstances:
            return label.id
        self._instances[name] += 1
        return label.id * 1000 + self._instances[name] - 1

    def polygon(
        self,
        outlines: np.ndarray | Sequence[np.ndarray],
        colour: Colour,
        ident: int,
    ) -> None:
        """Fills a polygon; several outlines are combined by the even-odd rule.

        Args:
            outlines: (N, 2) x and y in samples, or a list of such arrays.
            colour: RGB, 0 to 255.
            ident: value for `ids`.
        """
        if isinstance(outlines, np.ndarray):
            outlines = [outlines]
        scale = 1 << _FRACTION_BITS
        fixed = [
            np.rint(line * scale - 0.5 * scale).astype(np.int32) for line in outlines
        ]
        cv2.fillPoly(self.colour, fixed, colour, shift=_FRACTION_BITS)
        cv2.fillPoly(self.ids, fixed, (ident,), shift=_FRACTION_BITS)

    def warp(self, texture: np.ndarray, corners: np.ndarray, ident: int) -> None:
        """Paints a picture onto a quadrilateral in perspective.

        Args:
            texture: (h, w, 3) uint8, RGB.
            corners: (4, 2) in samples: where its top left, top right, bottom right
                and bottom left corner land.
            ident: value for `ids`.
        """
        box = self._clip(corners)
        if box is None:
            return
        left, top, right, bottom = box
        height, width = texture.shape[:2]
        source = np.array([(0, 0), (width, 0), (width, height), (0, height)])
        target = corners - (left, top)
        matrix = cv2.getPerspectiveTransform(
            (source - 0.5).astype(np.float32), (target - 0.5).astype(np.float32)
        )
        shape = (right - left, bottom - top)
        colour = cv2.warpPerspective(
            texture, matrix, shape, borderMode=cv2.BORDER_REPLICATE
        )
        mask = np.zeros((shape[1], shape[0]), np.uint8)
        fixed = np.rint((target - 0.5) * (1 << _FRACTION_BITS)).astype(np.int32)
        cv2.fillPoly(mask, [fixed], (255,), shift=_FRACTION_BITS)
        self._blend(box, colour, mask > 0, ident)

    def sprite(
        self,
        sprite: np.ndarray,
        palette: np.ndarray,
        box: tuple[float, float, float, float],
        ident: int,
    ) -> None:
        """Paints the opaque part of a sprite, without any half-covered sample.

        Args:
            sprite: (h, w, 2) uint8: shade, an index into the palette, and coverage;
                painted where the coverage exceeds 127.
            palette: (256, 3) uint8, RGB per shade.
            box: left, top, right and bottom in samples; left > right mirrors it.
            ident: value for `ids`.
        """
        left, top, right, bottom = box
        clipped = self._clip(np.array([(left, top), (right, bottom)]))
        if clipped is None:
            return
        height, width = sprite.shape[:2]
        scale_x = (right - left) / width
        scale_y = (bottom - top) / height
        matrix = np.array(
            [
                (scale_x, 0, left - clipped[0] + 0.5 * scale_x - 0.5),
                (0, scale_y, top - clipped[1] + 0.5 * scale_y - 0.5),
            ]
        )
        shape = (clipped[2] - clipped[0], clipped[3] - clipped[1])
        placed = cv2.warpAffine(sprite, matrix, shape)
        tone = cv2.merge([placed[..., 0]] * 3)
        colour = cv2.LUT(tone, palette[None])
        self._blend(clipped, colour, placed[..., 1] > 127, ident)

    def _clip(self, points: np.ndarray) -> tuple[int, int, int, int] | None:
        low = np.maximum(np.floor(points.min(0)).astype(int), 0)
        high = np.ceil(points.max(0)).astype(int) + 1
        right, bottom = min(int(high[0]), self.cols), min(int(high[1]), self.rows)
        left, top = int(low[0]), int(low[1])
        return (left, top, right, bottom) if left < right and top < bottom else None

    def _blend(
        self,
        box: tuple[int, int, int, int],
        colour: np.ndarray,
        mask: np.ndarray,
        ident: int,
    ) -> None:
        left, top, right, bottom = box
        cv2.copyTo(colour, mask.view(np.uint8), self.colour[top:bottom, left:right])
        np.copyto(self.ids[top:bottom, left:right], np.uint16(ident), where=mask)

    def image(self) -> np.ndarray:
        """Returns the area-averaged picture, (H, W, 3) uint8."""
        height, width = self.size
        return cv2.resize(self.colour, (width, height), interpolation=cv2.INTER_AREA)

    def centre_ids(self) -> np.ndarray:
        """Returns the id at every pixel centre, (H, W) int32, instances from 0 on."""
        step = self.supersampling
        ids = self.ids[step // 2 :: step, step // 2 :: step].astype(np.int32)
        visible, position = np.unique(ids, return_inverse=True)
        seen: Counter[int] = Counter()
        renumbered = visible.copy()
        for index, value in enumerate(visible.tolist()):
            if value >= 1000:
                renumbered[index] = value // 1000 * 1000 + seen[value // 1000]
                seen[value // 1000] += 1
        return renumbered[position].reshape(ids.shape)
