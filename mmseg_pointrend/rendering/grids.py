"""Where pixels sit: sizes, grids of pixel centres, the steps of rendering, padding.

Sizes are (height, width) in pixels. A frame is the padded image that a network sees;
coarse logits, feature maps and rendered maps of any size cover the same frame. Points
are (x, y) in [0, 1] of the frame: the centre of pixel i of n sits at (i + 0.5) / n, or
at i / (n - 1) with ``align_corners``, the two conventions of
:func:`torch.nn.functional.interpolate`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

Size = tuple[int, int]
Region = tuple[float, float, float, float]
Padding = Sequence[int]


def map_size(maps: Tensor) -> Size:
    """(H, W) of maps (N, C, H, W)."""
    return maps.shape[-2], maps.shape[-1]


@dataclass(frozen=True)
class Axis:
    """Evenly spaced pixel centres along one axis of a frame.

    Attributes:
        count: number of pixels.
        first: where the first centre sits, in [0, 1] of the frame.
        step: distance of two centres.
    """

    count: int
    first: float
    step: float

    @classmethod
    def of_frame(cls, count: int, align_corners: bool) -> Axis:
        """``count`` pixels that cover the frame."""
        if align_corners:
            return cls(count, 0.0, 1 / max(count - 1, 1))
        return cls(count, 0.5 / count, 1 / count)

    @classmethod
    def of_part(
        cls, count: int, start: int, length: int, frame: int, align_corners: bool
    ) -> Axis:
        """``count`` pixels that cover ``length`` of ``frame``, from ``start`` on."""
        if align_corners:
            last = max(frame - 1, 1)
            return cls(count, start / last, (length - 1) / max(count - 1, 1) / last)
        step = length / count / frame
        return cls(count, start / frame + step / 2, step)

    def inside(self, low: float, high: float) -> range:
        """Find the pixels whose centre lies between two places of the frame."""
        first, last = ((edge - self.first) / self.step for edge in (low, high))
        # A centre on an edge is outside, whatever rounding says.
        start = max(math.floor(first + 1e-6) + 1, 0)
        return range(start, min(max(math.ceil(last - 1e-6), start), self.count))

    def centers(self, pixels: Tensor) -> Tensor:
        """Where pixels, given by their number, sit in the frame: float32."""
        return pixels.float() * self.step + self.first


@dataclass(frozen=True)
class Grid:
    """Pixel centres of a map.

    Attributes:
        y: the rows.
        x: the columns.
        whole: whether the map covers the frame, as coarse logits do; the original
            image, without the padding, does not.
    """

    y: Axis
    x: Axis
    whole: bool = True

    @classmethod
    def of_frame(cls, size: Size, align_corners: bool) -> Grid:
        """Cover the frame by a map of ``size``."""
        height, width = size
        return cls(
            Axis.of_frame(height, align_corners), Axis.of_frame(width, align_corners)
        )

    @property
    def size(self) -> Size:
        """(H, W) in pixels."""
        return self.y.count, self.x.count

    def points(self, indices: Tensor) -> Tensor:
        """Coordinates of pixels given by their flat index.

        Args:
            indices: row * W + column, (N, P), integers.

        Returns:
            (N, P, 2), float32, (x, y) in [0, 1].
        """
        rows = indices // self.x.count
        columns = indices - rows * self.x.count
        return torch.stack((self.x.centers(columns), self.y.centers(rows)), dim=-1)


def subdivision_sizes(start: Size, target: Size, scale_factor: float) -> list[Size]:
    """Sizes that rendering goes through, from ``start`` (left out) to ``target``.

    Each axis grows by ``scale_factor`` until it reaches the target, exactly; one that
    is already at or past the target is set to it. Equal sizes need no step.
    """
    sizes: list[Size] = []
    current = start
    while current != target:
        height, width = (
            min(max(int(scale_factor * n), n + 1), goal)
            for n, goal in zip(current, target, strict=True)
        )
        current = (height, width)
        sizes.append(current)
    return sizes


def subdivision_grids(
    start: Size, target: Grid, scale_factor: float, align_corners: bool
) -> list[Grid]:
    """Pixel centres of each step from a map of size ``start`` to a target.

    All but the last cover the frame, in the sizes of :func:`subdivision_sizes`. A
    target that covers a part of the frame is reached from the last size before that of
    a frame with pixels as dense as the target's.
    """
    if target.whole:
        sizes = subdivision_sizes(start, target.size, scale_factor)
        if not sizes:
            return []
    else:
        height, width = (
            count if axis.step == 0 else max(round(1 / axis.step) + align_corners, 1)
            for axis, count in zip((target.y, target.x), start, strict=True)
        )
        # A small image in a large frame does not deserve maps larger than itself.
        largest = max(math.prod(start), math.prod(target.size))
        sizes = [
            size
            for size in subdivision_sizes(start, (height, width), scale_factor)
            if size == (height, width) or math.prod(size) <= largest
        ]
    return [Grid.of_frame(size, align_corners) for size in sizes[:-1]] + [target]


def original_grid(
    padded: Size, padding: Padding, original: Size, align_corners: bool
) -> Grid:
    """Where the pixels of an original image sit in the padded, resized one.

    Pixel i of the original sits (i + 0.5) * image / original pixels from where the
    image begins, or i * (image - 1) / (original - 1) with ``align_corners``.

    Args:
        padded: (H, W) that the network sees.
        padding: pixels added at the (left, right, top, bottom).
        original: (H, W) of the image before it was resized.
        align_corners: the convention of pixel centres.
    """
    left, right, top, bottom = padding
    (height, width), (rows, columns) = padded, original
    return Grid(
        Axis.of_part(rows, top, height - top - bottom, height, align_corners),
        Axis.of_part(columns, left, width - left - right, width, align_corners),
        whole=False,
    )


def valid_regions(
    paddings: Sequence[Padding], size: Size, *, align_corners: bool
) -> list[Region] | None:
    """Find the edges of what is not padding in each image, in point coordinates.

    Args:
        paddings: of each image, the pixels added at the (left, right, top, bottom),
            MMSegmentation's order.
        size: (H, W) with the padding.
        align_corners: the convention of point coordinates.

    Returns:
        (left, top, right, bottom) of each image, or None if none has padding; with
        ``align_corners`` outer edges lie half a pixel outside of [0, 1].
    """
    if not any(any(padding) for padding in paddings):
        return None
    height, width = size

    def edge(pixel: int, count: int) -> float:
        return (pixel - 0.5) / max(count - 1, 1) if align_corners else pixel / count

    return [
        (
            edge(left, width),
            edge(top, height),
            edge(width - right, width),
            edge(height - bottom, height),
        )
        for left, right, top, bottom in paddings
    ]


def valid_pixels(
    grid: Grid, regions: Sequence[Region], device: torch.device
) -> tuple[Tensor, int]:
    """Which pixels of a map have their centre inside each image's region.

    Args:
        grid: pixel centres of the map.
        regions: one of each image, from :func:`valid_regions`.
        device: where to put the mask.

    Returns:
        The mask (N, H, W), bool, and the most valid pixels that an image has, which
        follows from the regions: the host does not wait for the device.
    """
    rows = [grid.y.inside(top, bottom) for _, top, _, bottom in regions]
    columns = [grid.x.inside(left, right) for left, _, right, _ in regions]
    most = max(len(y) * len(x) for y, x in zip(rows, columns, strict=True))

    def mask(count: int, valid: list[range]) -> Tensor:
        numbers = torch.arange(count, device=device)
        return torch.stack(
            [(numbers >= one.start) & (numbers < one.stop) for one in valid]
        )

    height, width = grid.size
    return mask(height, rows).unsqueeze(2) & mask(width, columns).unsqueeze(1), most
