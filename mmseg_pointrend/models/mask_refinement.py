"""Refining masks and label maps of any size: a global step, then windows."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from mmseg_pointrend.errors import InputError, check_arguments
from mmseg_pointrend.models.cascade_psp import CascadePSP, resized
from mmseg_pointrend.models.view import Window
from mmseg_pointrend.rendering.grids import Size, map_size

TRIM = 16
"""Pixels that a window gives up at an edge that is not the image's."""
INTERESTING = 0.1, 0.9
"""Share of a window that is inside, between which it is refined once more."""
MARGIN = 1 / 8
"""By what share of its size a region's box grows on each side."""
JOINED = 11
"""Diameter within which pieces of a class are one region, in pixels."""


@dataclass(frozen=True)
class MaskRefinement:
    """How a network refines masks (sections 3.4 and 3.5), and label maps with it.

    Args:
        size: longest side of the global step, and of the windows of the local one.
        enlarge: whether what is smaller is enlarged to that size, as published.
        local: whether windows of the image at full size follow the global step.
        min_area: pixels that a region must have to be refined.
        stuff: classes that give way where another one is as sure.
        stuff_weight: what their confidence is multiplied with.

    Raises:
        InputError: names the first value that is wrong.
    """

    size: int = 900
    enlarge: bool = True
    local: bool = True
    min_area: int = 1024
    stuff: Collection[int] = ()
    stuff_weight: float = 0.51

    def __post_init__(self) -> None:
        """Check the values."""
        check_arguments(
            (
                (type(self.size) is int and self.size >= 8 * TRIM,
                 f'size={self.size!r}', f'a whole number from {8 * TRIM} on'),
                (type(self.min_area) is int and self.min_area >= 0,
                 f'min_area={self.min_area!r}', 'a whole number of pixels'),
                (isinstance(self.stuff, Collection) and not isinstance(self.stuff, str),
                 f'stuff={self.stuff!r}', 'a list of ids of classes'),
                (0 < self.stuff_weight <= 1, f'stuff_weight={self.stuff_weight!r}',
                 'a number above 0, at most 1'),
            ),
        )  # fmt: skip

    def refine_mask(self, network: CascadePSP, image: Tensor, mask: Tensor) -> Tensor:
        """Refine one mask.

        Args:
            network: in evaluation mode.
            image: (1, 3, H, W), normalised as the network wants it.
            mask: (1, 1, H, W), 1 inside and -1 outside, or between.

        Returns:
            Probability of the inside, (1, 1, H, W), float32.

        Raises:
            InputError: the mask is empty, or has another size.
        """
        size = map_size(image)
        if map_size(mask) != size:
            sizes = ['x'.join(map(str, map_size(i))) for i in (mask, image)]
            raise InputError(
                f'the mask has {sizes[0]} pixels but the image {sizes[1]}: give one at '
                'the size of the image.'
            )
        if not (mask > 0).any():
            raise InputError('the mask is empty: give one that is above 0 somewhere.')
        scale = self.size / max(size)
        if scale < 1 or (scale > 1 and self.enlarge):
            smaller = max(round(scale * size[0]), 1), max(round(scale * size[1]), 1)
            small = resized(image, smaller, 'area' if scale < 1 else 'bicubic')
            small_mask = resized(mask, smaller, 'area' if scale < 1 else 'bilinear')
        else:
            small, small_mask = image, mask
        s4, s1 = (
            resized(one, size) for one in padded_cascade(network, small, small_mask)
        )
        inside = (s1 > 0.5).float()
        if not self.local:
            return s1
        total, count = torch.zeros_like(s1), torch.zeros_like(s1)
        step = self.size // 2 - 2 * TRIM
        for window in Window.cover(size, (self.size, self.size), (step, step)):
            part = window.cut(inside)
            low, high = INTERESTING
            if not low <= part.mean() <= high:
                continue
            _, refined = padded_cascade(
                network, window.cut(image), 2 * part - 1, 2 * window.cut(s4) - 1
            )
            core, place = trimmed(window, size)
            core.cut(total).add_(place.cut(refined))
            core.cut(count).add_(1)
        return torch.where(count > 0, total / count.clamp(min=1), inside)

    def refine_labels(
        self, network: CascadePSP, image: Tensor, labels: np.ndarray, ignore: int = 255
    ) -> np.ndarray:
        """Refine every region of a label map; where regions meet, the surer one wins.

        Args:
            network: in evaluation mode.
            image: (1, 3, H, W), normalised as the network wants it.
            labels: ids of classes, integers (H, W).
            ignore: an id that is no class; it stays where no region claims the pixel.

        Returns:
            (H, W), as ``labels``.
        """
        result, confidence = labels.copy(), np.full(labels.shape, 0.5, np.float32)
        for kind, region in regions(labels, self.min_area, ignore):
            rows, columns = grown_box(region)
            mask = torch.from_numpy(region[rows, columns].astype(np.float32))
            inside = self.refine_mask(
                network,
                image[..., rows, columns],
                2 * mask.to(image.device)[None, None] - 1,
            )
            sure = inside[0, 0].float().cpu().numpy()
            if kind in self.stuff:
                sure *= self.stuff_weight
            best = confidence[rows, columns]
            result[rows, columns][sure > best] = kind
            np.maximum(best, sure, out=best)
        return result


def padded_cascade(
    network: CascadePSP, image: Tensor, mask: Tensor, s8: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Run the cascade on an image of any size, padded at the right and below.

    Args:
        network: in evaluation mode.
        image: (1, 3, H, W).
        mask: (1, 1, H, W), -1 to 1.
        s8: as in :meth:`CascadePSP.cascade`.

    Returns:
        Probabilities of the last pass, s4 and s1, (1, 1, H, W) each, float32.
    """
    height, width = map_size(image)
    pad = 0, -width % 8, 0, -height % 8
    image = F.pad(image, pad)
    mask, *given = (F.pad(one, pad, value=-1) for one in (mask, s8) if one is not None)
    _, s4, s1 = network.cascade(image, mask, *given)[-1]
    s4, s1 = (one[..., :height, :width].float().sigmoid() for one in (s4, s1))
    return s4, s1


def trimmed(window: Window, size: Size) -> tuple[Window, Window]:
    """Take :data:`TRIM` pixels off where a window of a map (H, W) has neighbours.

    Returns:
        What is left, and where in the window that lies.
    """
    left, places = [], []
    for span, count in zip((window.rows, window.columns), size, strict=True):
        start = span.start + TRIM * (span.start > 0)
        stop = span.stop - TRIM * (span.stop < count)
        left.append(slice(start, stop))
        places.append(slice(start - span.start, stop - span.start))
    return Window(*left), Window(*places)


def regions(
    labels: np.ndarray, min_area: int, ignore: int
) -> Iterator[tuple[int, np.ndarray]]:
    """Find the pieces of each class that lie within :data:`JOINED` pixels.

    Args:
        labels: ids of classes, integers (H, W).
        min_area: smaller pieces are left out.
        ignore: an id that is no class.

    Yields:
        The class, and its region, (H, W), bool.
    """
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (JOINED, JOINED))
    for kind in np.unique(labels):
        inside = labels == kind
        if kind == ignore or inside.sum() < min_area:
            continue
        wide = cv2.dilate(inside.astype(np.uint8), disc)
        count, pieces = cv2.connectedComponents(wide, connectivity=8)
        areas = np.bincount(pieces[inside], minlength=count)
        for piece in np.flatnonzero(areas >= max(min_area, 1)):
            yield int(kind), inside & (pieces == piece)


def grown_box(region: np.ndarray) -> tuple[slice, slice]:
    """Find the rows and columns of a region, with a margin around it."""
    spans = []
    for axis in (1, 0):
        used = np.flatnonzero(region.any(axis=axis))
        margin = int((used[-1] + 1 - used[0]) * MARGIN)
        start = max(int(used[0]) - margin, 0)
        spans.append(
            slice(start, min(int(used[-1]) + 1 + margin, region.shape[1 - axis]))
        )
    return spans[0], spans[1]
