"""Reading maps at points and pixels, and writing pixels back.

Shapes: N images, C channels, a map of H rows and W columns, P points an image. Points
are (x, y) in [0, 1] of the frame, see :mod:`mmseg_pointrend.rendering.grids`.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.fx.experimental.proxy_tensor import get_proxy_mode

BLOCK = 64
"""Channels to move at once, few enough for a CPU's cache."""


def point_sample(
    features: Tensor,
    points: Tensor,
    *,
    mode: str = 'bilinear',
    padding_mode: str = 'border',
    align_corners: bool = False,
) -> Tensor:
    """Interpolate a map at points, in float32.

    Args:
        features: (N, C, H, W).
        points: (N, P, 2), (x, y) in [0, 1].
        mode: ``'bilinear'`` or ``'nearest'``.
        padding_mode: ``'border'`` repeats the outermost pixel, as bilinear upsampling
            does; ``'zeros'`` fades to zero within half a pixel of the edge.
        align_corners: whether 0 and 1 are the outermost pixel centres or the edges.

    Returns:
        (N, C, P), float32 (float64 stays).
    """
    if features.dtype != torch.float64:
        features = features.float()
    grid = 2 * points.to(features.dtype).unsqueeze(2) - 1
    kind = features.device.type if features.device.type != 'meta' else 'cpu'
    with torch.autocast(kind, enabled=False):
        sampled = F.grid_sample(
            features,
            grid,
            mode=mode,
            padding_mode=padding_mode,
            align_corners=align_corners,
        )
    return sampled.squeeze(3)


def sample_features(
    features: Sequence[Tensor],
    points: Tensor,
    *,
    padding_mode: str,
    align_corners: bool,
) -> Tensor:
    """Interpolate several maps at points and stack their channels.

    Args:
        features: (N, C, H, W) each, of any sizes.
        points: as in :func:`point_sample`.
        padding_mode: as in :func:`point_sample`.
        align_corners: as in :func:`point_sample`.

    Returns:
        (N, sum of the C, P), float32 (float64 stays).
    """
    read = point_sample if torch.is_grad_enabled() else read_features
    parts = [
        read(one, points, padding_mode=padding_mode, align_corners=align_corners)
        for one in features
    ]
    return parts[0] if len(parts) == 1 else torch.cat(parts, dim=1)


def read_features(
    features: Tensor, points: Tensor, *, padding_mode: str, align_corners: bool
) -> Tensor:
    """Interpolate a map at points, touching the pixels around them alone.

    As :func:`point_sample`, but for rendering: no map is
    converted or copied, and a gradient would be slow.

    Args:
        features: (N, C, H, W); contiguous or channels-last.
        points: (N, P, 2), (x, y) in [0, 1].
        padding_mode: as in :func:`point_sample`.
        align_corners: as in :func:`point_sample`.

    Returns:
        (N, C, P), float32 (float64 stays).
    """
    width = features.shape[3]
    columns, rows = (
        neighbours(
            frame_to_pixels(points[..., axis], count, align_corners),
            count,
            padding_mode,
        )
        for axis, count in ((0, width), (1, features.shape[2]))
    )
    pairs = [(row, column) for row in rows for column in columns]
    indices = torch.stack([y * width + x for (y, _), (x, _) in pairs], dim=2)
    weights = torch.stack([down * across for (_, down), (_, across) in pairs], dim=2)
    if torch.compiler.is_exporting():  # rows of channels, and one product
        offsets = (
            torch.arange(features.shape[0]).view(-1, 1, 1) * features[0, 0].numel()
        )
        pixels = features.permute(0, 2, 3, 1).flatten(0, 2).float()
        values = pixels.index_select(0, (indices + offsets).flatten())
        values = values.unflatten(0, indices.shape)
        return (weights.unsqueeze(2) @ values).squeeze(2).transpose(1, 2)
    fast = features.device.type == 'cpu' and runs_eagerly()
    if torch.is_grad_enabled() or not fast or len(features) == 0:
        values = read_points(features, indices.flatten(1)).unflatten(2, (-1, 4))
        return (values * weights.unsqueeze(1)).sum(dim=3)
    images = [
        sum_of_neighbours(*image).t().unsqueeze(0)
        for image in zip(features, indices, weights, strict=True)
    ]
    return images[0] if len(images) == 1 else torch.cat(images)


def runs_eagerly() -> bool:
    """Whether operations run as they are called, and nothing records them.

    What compiles, exports or traces needs sizes that do not depend on the data, and
    operations that do not write into buffers.
    """
    recorded = torch.jit.is_tracing() or torch.jit.is_scripting()
    recorded = recorded or torch.compiler.is_compiling()
    return not recorded and get_proxy_mode() is None


def sum_of_neighbours(features: Tensor, indices: Tensor, weights: Tensor) -> Tensor:
    """Weighted sums of pixels, fast on a CPU.

    The pixels that occur are first copied into a small table, one pixel a row: reading
    all channels of a pixel from distant places costs more than everything else.

    Args:
        features: (C, H, W).
        indices: row * W + column of the neighbours of each point, (P, 4).
        weights: (P, 4), float32.

    Returns:
        (P, C), float32 (float64 stays).
    """
    used = torch.zeros(features[0].numel(), dtype=torch.bool)
    used[indices.flatten()] = True
    pixels = used.nonzero().squeeze(1)
    rows = torch.empty(len(used), dtype=torch.int64)
    rows[pixels] = torch.arange(len(pixels))
    bags = rows[indices]
    dtype = torch.promote_types(features.dtype, torch.float32)
    weights = weights.to(dtype)
    if features.stride(0) == 1:
        flat = features.permute(1, 2, 0).reshape(-1, len(features))
        table = flat.index_select(0, pixels).to(dtype)
        return F.embedding_bag(bags, table, mode='sum', per_sample_weights=weights)
    flat = features.flatten(1)
    result = torch.empty(len(indices), len(features), dtype=dtype)
    columns = torch.empty(BLOCK, len(pixels), dtype=features.dtype)
    table = torch.empty(len(pixels), BLOCK, dtype=dtype)
    for block, sums in zip(flat.split(BLOCK), result.split(BLOCK, dim=1), strict=True):
        size = len(block)
        torch.gather(block, 1, pixels.expand(size, -1), out=columns[:size])
        table[:, :size] = columns[:size].t()
        sums.copy_(
            F.embedding_bag(bags, table, mode='sum', per_sample_weights=weights)[
                :, :size
            ]
        )
    return result


def frame_to_pixels(coordinates: Tensor, count: int, align_corners: bool) -> Tensor:
    """From coordinates in [0, 1] to pixel numbers along an axis of ``count``."""
    if align_corners:
        return coordinates * (count - 1)
    return coordinates * count - 0.5


def neighbours(
    places: Tensor, count: int, padding_mode: str
) -> list[tuple[Tensor, Tensor]]:
    """Find the two pixels of an axis around each place, with bilinear weights.

    Args:
        places: pixel numbers between pixels, float32, any shape.
        count: pixels of the axis.
        padding_mode: ``'border'`` or ``'zeros'``.

    Returns:
        Pixel numbers, int64 in [0, ``count``), and weights, float32, of the lower and
        of the upper neighbour.
    """
    last = count - 1
    if padding_mode == 'border':
        places = places.clamp(0, last)
    lower = places.floor()
    upper_weight = places - lower
    return [
        (pixel.clamp(0, last).long(), weight * ((pixel >= 0) & (pixel <= last)))
        for pixel, weight in ((lower, 1 - upper_weight), (lower + 1, upper_weight))
    ]


def windows(maps: Tensor, side: int) -> Tensor:
    """Give each cell of a map those around it, as further channels.

    Args:
        maps: (N, C, H, W); cells of its edge are repeated outside.
        side: of the square of cells, odd.

    Returns:
        (N, C * side * side, H, W), as ``F.unfold`` orders it, which is slower.
    """
    height, width = maps.shape[2:]
    padded = F.pad(maps, (side // 2,) * 4, mode='replicate')
    cells = [
        padded[:, :, y : y + height, x : x + width]
        for y in range(side)
        for x in range(side)
    ]
    return torch.stack(cells, dim=2).flatten(1, 2)


def read_points(maps: Tensor, indices: Tensor) -> Tensor:
    """Take the values of pixels out of a map.

    Args:
        maps: (N, C, H, W), contiguous or channels-last.
        indices: flat pixel indices, (N, P).

    Returns:
        (N, C, P), in the memory format of ``maps``.
    """
    batch, channels, height, width = maps.shape
    if maps.stride(1) == 1 and channels > 1:
        offsets = torch.arange(batch, device=maps.device) * (height * width)
        rows = maps.permute(0, 2, 3, 1).reshape(-1, channels)
        flat = (indices + offsets.unsqueeze(1)).flatten()
        return rows.index_select(0, flat).unflatten(0, indices.shape).transpose(1, 2)
    return maps.flatten(2).gather(2, indices.unsqueeze(1).expand(-1, channels, -1))


def write_points(maps: Tensor, indices: Tensor, values: Tensor) -> Tensor:
    """Put point values into a map, in place unless gradients are recorded.

    Args:
        maps: (N, C, H, W), contiguous.
        indices: flat pixel indices, (N, P).
        values: (N, C, P).

    Returns:
        The map with the values, (N, C, H, W), in the type of ``maps``.
    """
    batch, channels, height, width = maps.shape
    index = indices.unsqueeze(1).expand(-1, channels, -1)
    flat, values = maps.view(batch, channels, height * width), values.to(maps.dtype)
    if torch.is_grad_enabled():
        return flat.scatter(2, index, values).view_as(maps)
    flat.scatter_(2, index, values)
    return maps
