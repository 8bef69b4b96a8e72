"""Bilinear interpolation of a map on a grid, whole or in strips.

Shapes: N images, K channels, a map of h rows and w columns that covers the frame.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from mmseg_pointrend.rendering.grids import Grid, map_size
from mmseg_pointrend.rendering.sampling import frame_to_pixels, neighbours

STRIP_VALUES = 1 << 21
"""Values of a strip on a CPU: 8 MiB of float32 stay in the cache."""
STRIP_PIXELS = 1 << 14
"""Pixels of a strip at least, however many classes: an operation should be worth it."""


def resample(maps: Tensor, grid: Grid, *, align_corners: bool) -> Tensor:
    """Interpolate a map, (N, K, h, w), at the pixels of a grid: (N, K, H, W)."""
    if grid.whole:
        return F.interpolate(
            maps, grid.size, mode='bilinear', align_corners=align_corners
        )
    top, bottom, down = _between(grid, 0, maps, align_corners)
    left, right, across = _between(grid, 1, maps, align_corners)
    rows = torch.lerp(maps[:, :, top], maps[:, :, bottom], down.unsqueeze(1))
    return torch.lerp(rows[..., left], rows[..., right], across)


def doubles(maps: Tensor, grid: Grid, *, align_corners: bool) -> bool:
    """Whether the grid has exactly twice the rows and columns of the map."""
    height, width = map_size(maps)
    return grid.whole and not align_corners and grid.size == (2 * height, 2 * width)


def strips(
    maps: Tensor, grid: Grid, *, align_corners: bool
) -> Iterator[tuple[slice, slice, Tensor]]:
    """:func:`resample` piece by piece, in memory that is used again and again.

    Args:
        maps: (N, K, h, w).
        grid: pixel centres of the result.
        align_corners: the convention of interpolation.

    Yields:
        Rows and columns of the result, and their values (N, K, rows, columns), which
        may be written to and hold until the next piece is asked for.
    """
    if doubles(maps, grid, align_corners=align_corners):
        yield from _doubled_strips(maps)
        return
    top, bottom, down = _between(grid, 0, maps, align_corners)
    left, right, across = _between(grid, 1, maps, align_corners)
    batch, channels, _, width = maps.shape
    count = min(strip_rows(maps, grid.x.count), grid.y.count)
    upper, lower = buffers(maps, 2, batch * channels * count * width)
    near, far = buffers(maps, 2, batch * channels * count * grid.x.count)
    for start in range(0, grid.y.count, count):
        rows = slice(start, min(start + count, grid.y.count))
        narrow = (batch, channels, rows.stop - rows.start, width)
        wide = (*narrow[:3], grid.x.count)
        above = torch.index_select(maps, 2, top[rows], out=part(upper, narrow))
        below = torch.index_select(maps, 2, bottom[rows], out=part(lower, narrow))
        line = torch.lerp(above, below, down[rows].unsqueeze(1), out=above)
        before = torch.index_select(line, 3, left, out=part(near, wide))
        after = torch.index_select(line, 3, right, out=part(far, wide))
        yield rows, slice(None), torch.lerp(before, after, across, out=before)


def _doubled_strips(maps: Tensor) -> Iterator[tuple[slice, slice, Tensor]]:
    """Every other row and column at a time, so that no value has to be moved."""
    batch, channels, height, width = maps.shape
    count = min(strip_rows(maps, width), height)
    blended = maps.new_empty(batch * channels * (count + 2) * width)
    piece = maps.new_empty(batch * channels * count * width)
    for start in range(0, height, count):
        stop = min(start + count, height)
        first, last = max(start - 1, 0), min(stop + 1, height)
        slab = maps[:, :, first:last]
        for down in (0, 1):
            rows = blend(slab, 2, down, part(blended, slab.shape))
            rows = rows[:, :, start - first : stop - first]
            for right in (0, 1):
                yield (
                    slice(2 * start + down, 2 * stop, 2),
                    slice(right, None, 2),
                    blend(rows, 3, right, part(piece, rows.shape)),
                )


def blend(maps: Tensor, dim: int, after: int, out: Tensor) -> Tensor:
    """Three quarters of each pixel and one of its neighbour, which edges lack.

    Args:
        maps: any shape.
        dim: along which dimension neighbours are.
        after: 1 for the neighbour after a pixel, 0 for the one before.
        out: where to, in the shape of ``maps``.
    """
    count = maps.shape[dim]
    edge = count - 1 if after else 0
    here, there = (1, 0) if not after else (0, 1)
    torch.lerp(
        maps.narrow(dim, here, count - 1),
        maps.narrow(dim, there, count - 1),
        0.25,
        out=out.narrow(dim, here, count - 1),
    )
    out.select(dim, edge).copy_(maps.select(dim, edge))
    return out


def strip_rows(maps: Tensor, width: int) -> int:
    """How many rows of ``width`` pixels to treat at once."""
    values = STRIP_VALUES if maps.device.type == 'cpu' else 8 * STRIP_VALUES
    pixels = max(values // (maps.shape[0] * maps.shape[1]), STRIP_PIXELS)
    return max(pixels // width, 1)


def buffers(like: Tensor, count: int, numel: int) -> list[Tensor]:
    """Flat memory of the type of ``like``, to be used again and again.

    Fresh memory costs more than the arithmetic that fills it.
    """
    return [like.new_empty(numel) for _ in range(count)]


def part(buffer: Tensor, shape: torch.Size | tuple[int, ...]) -> Tensor:
    """Shape the beginning of a flat buffer."""
    return buffer[: torch.Size(shape).numel()].view(shape)


def _between(
    grid: Grid, axis: int, maps: Tensor, align_corners: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """Neighbours of a grid's rows (axis 0) or columns (axis 1) in a map.

    Returns:
        Number of the first and of the second neighbour, and the weight of the second.
    """
    count, pixels = maps.shape[2 + axis], (grid.y, grid.x)[axis]
    numbers = torch.arange(pixels.count, device=maps.device)
    if not grid.whole:
        places = frame_to_pixels(pixels.centers(numbers), count, align_corners)
    elif align_corners:  # whole maps in the very steps of F.interpolate
        places = numbers.float() * ((count - 1) / max(pixels.count - 1, 1))
    else:
        places = (numbers + 0.5) * (count / pixels.count) - 0.5
    (lower, _), (upper, weight) = neighbours(places, count, 'border')
    return lower, upper, weight.to(maps.dtype)
