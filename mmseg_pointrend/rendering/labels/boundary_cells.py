"""Labels and the hardest pixels of an interpolated map, found along its boundaries.

The margin of class c, z_c - max over j != c of z_j, is a concave function of the
logits z, and an interpolated pixel is a convex combination of its four neighbours. So
where the four share their class, the pixel has that class too, and its margin is at
least the smallest of theirs. The cost follows the length of the boundaries and not the
area of the map. The result is that of
:func:`~mmseg_pointrend.rendering.labels.every_pixel.label_every_pixel`, up to rounding.

A cell lies between four neighbouring pixels of the map. Doubling a map of h x w puts
2 x 2 pixels into each of (h + 1) x (w + 1) cells, of which those at the edges repeat
the map's edge and stick out of it.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from mmseg_pointrend.rendering.grids import Grid, map_size
from mmseg_pointrend.rendering.labels.decision import label_and_margin
from mmseg_pointrend.rendering.resampling import (
    STRIP_VALUES,
    buffers,
    doubles,
    part,
    strip_rows,
)

WORTHWHILE = 0.25
"""Share of the cells above which it is faster to look at every pixel."""


def label_along_boundaries(
    logits: Tensor,
    grid: Grid,
    num_points: int,
    valid: Tensor | None,
    align_corners: bool,
) -> tuple[Tensor, Tensor] | None:
    """Labels and the hardest pixels by logit margin.

    Args:
        logits: (N, K, h, w), float32.
        grid: pixel centres of the result.
        num_points: how many of the hardest pixels to find, at most the valid ones.
        valid: pixels that may be chosen, (N, H, W), bool; None for all.
        align_corners: the convention of interpolation.

    Returns:
        Labels, int64, (N, H, W), and flat indices of the hardest pixels, (N, P), in
        raster order; or None where this does not pay: on a GPU, for several images,
        one channel or no points, for a grid that does not double the map, for logits
        that are not finite, and where too many cells have a boundary.
    """
    if (
        logits.device.type != 'cpu'
        or len(logits) > 1
        or logits.shape[1] == 1
        or num_points == 0
        or not doubles(logits, grid, align_corners=align_corners)
    ):
        return None
    low, high = torch.aminmax(logits)
    rounding = 1e-5 * max(-low.item(), high.item())
    if not (high - low).isfinite():
        return None
    classes, hardness = label_map(logits)
    # The hardest that a pixel of each cell can be; infinite where classes meet.
    bounds = torch.where(
        corner_max(classes) == -corner_max(-classes), corner_max(hardness), torch.inf
    ).flatten()
    limit = int(WORTHWHILE * len(bounds))
    parts: list[tuple[Tensor, Tensor, Tensor]] = []

    def look_at(cells: Tensor) -> Tensor:
        parts.append(interpolate_cells(logits, cells, valid))
        bounds[cells] = -torch.inf
        return torch.cat([hardness for _, _, hardness in parts])

    mixed = (bounds == torch.inf).nonzero().squeeze(1)
    if len(mixed) > limit:
        return None
    hardness = look_at(mixed)
    if valid is not None:
        some_valid = F.max_pool2d(valid.float(), kernel_size=2, stride=2, padding=1)
        bounds.masked_fill_(some_valid.flatten() == 0, -torch.inf)
    missing = num_points - int((hardness > -torch.inf).sum())
    if len(mixed) + missing > limit:
        return None
    if missing > 0:
        available = int((bounds > -torch.inf).sum())
        hardness = look_at(bounds.topk(min(missing, available)).indices)
    least = hardness.topk(num_points).values[-1]
    doubtful = (bounds >= least - rounding).nonzero().squeeze(1)
    if len(doubtful) > limit:
        return None
    hardness = look_at(doubtful)

    labels = double(classes)
    indices = torch.cat([indices for indices, _, _ in parts])
    labels.view(-1)[indices] = torch.cat([labels for _, labels, _ in parts])
    chosen = indices[hardness.topk(num_points, sorted=False).indices]
    return labels, chosen.sort().values.unsqueeze(0)


def label_map(logits: Tensor) -> tuple[Tensor, Tensor]:
    """Label and uncertainty of each pixel of a map.

    Args:
        logits: (1, K, h, w), finite.

    Returns:
        Labels, float32, and logit margins, both (1, h, w).
    """
    labels = logits.new_empty(1, *map_size(logits))
    hardness = torch.empty_like(labels)
    count = strip_rows(logits, logits.shape[3])
    for start in range(0, logits.shape[2], count):
        rows = slice(start, start + count)
        labels[:, rows], hardness[:, rows] = label_and_margin(logits[:, :, rows], None)
    return labels, hardness


def corner_max(maps: Tensor) -> Tensor:
    """The largest of each cell's corners: (1, h, w) to (1, h + 1, w + 1)."""
    for dim in (1, 2):
        inner = torch.maximum(
            maps.narrow(dim, 0, maps.shape[dim] - 1),
            maps.narrow(dim, 1, maps.shape[dim] - 1),
        )
        edges = maps.narrow(dim, 0, 1), maps.narrow(dim, maps.shape[dim] - 1, 1)
        maps = torch.cat((edges[0], inner, edges[1]), dim)
    return maps


def double(labels: Tensor) -> Tensor:
    """Repeat each pixel of (1, h, w) twice along both axes, as int64."""
    _, height, width = labels.shape
    result = labels.new_empty(1, 2 * height, 2 * width, dtype=torch.int64)
    for down in (0, 1):
        for right in (0, 1):
            result[:, down::2, right::2] = labels
    return result


def interpolate_cells(
    logits: Tensor, cells: Tensor, valid: Tensor | None
) -> tuple[Tensor, Tensor, Tensor]:
    """Label and uncertainty of the pixels of some cells.

    Args:
        logits: (1, K, h, w).
        cells: row * (w + 1) + column, (C,).
        valid: as in :func:`label_along_boundaries`; other pixels have an uncertainty
            of minus infinity.

    Returns:
        Flat indices of the pixels in the doubled map, labels, and logit margins, each
        (4 * C,). A pixel outside of the map is the one at its edge, with a margin of
        minus infinity.
    """
    _, classes, height, width = logits.shape
    flat = logits.flatten(2).squeeze(0)
    row, column = cells // (width + 1), cells % (width + 1)
    above, below = (row - 1).clamp(min=0) * width, row.clamp(max=height - 1) * width
    left, right = (column - 1).clamp(min=0), column.clamp(max=width - 1)
    labels = cells.new_empty(2, 2, len(cells))
    hardness = logits.new_empty(2, 2, len(cells))
    size = max(min(STRIP_VALUES // (4 * classes), len(cells)), 1)
    corner_memory = buffers(logits, 4, classes * size)
    blend_memory = buffers(logits, 2, classes * size)
    result_memory = logits.new_empty(4 * classes * size)
    for start in range(0, len(cells), size):
        block = slice(start, start + size)
        shape = classes, len(cells[block])
        corners = [
            torch.index_select(flat, 1, y[block] + x[block], out=part(buffer, shape))
            for buffer, (y, x) in zip(
                corner_memory,
                ((above, left), (above, right), (below, left), (below, right)),
                strict=True,
            )
        ]
        values = part(result_memory, (1, classes, 2, 2, shape[1]))
        near, far = (part(buffer, shape) for buffer in blend_memory)
        for down, (own, other) in enumerate(((0, 2), (2, 0))):
            torch.lerp(corners[own], corners[other], 0.25, out=near)
            torch.lerp(corners[own + 1], corners[other + 1], 0.25, out=far)
            torch.lerp(near, far, 0.25, out=values[0, :, down, 0])
            torch.lerp(far, near, 0.25, out=values[0, :, down, 1])
        found, margin = label_and_margin(values, None)
        labels[..., block], hardness[..., block] = found[0], margin[0]
    y = torch.stack((2 * row - 1, 2 * row)).unsqueeze(1)
    x = torch.stack((2 * column - 1, 2 * column)).unsqueeze(0)
    outside = (y < 0) | (y >= 2 * height) | (x < 0) | (x >= 2 * width)
    indices = y.clamp(0, 2 * height - 1) * (2 * width) + x.clamp(0, 2 * width - 1)
    if valid is not None:
        outside |= ~valid.flatten()[indices]
    hardness.masked_fill_(outside, -torch.inf)
    return indices.flatten(), labels.flatten(), hardness.flatten()
