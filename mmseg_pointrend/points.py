"""Points: sampling maps at them, choosing them, writing them back.

Pure functions, no modules, no losses. Shapes: N images, C channels, a map of H rows
and W columns, P points an image. Points are (x, y) in [0, 1] of the frame, see
:mod:`mmseg_pointrend.grids`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from mmseg_pointrend.grids import Region, Size
from mmseg_pointrend.uncertainty import Uncertainty

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
    with torch.autocast(features.device.type, enabled=False):
        sampled = F.grid_sample(
            features,
            grid,
            mode=mode,
            padding_mode=padding_mode,
            align_corners=align_corners,
        )
    return sampled.squeeze(3)


def default_num_points(size: Size) -> int:
    """The number of stride-16 cells of a crop: 2048 for 512x1024."""
    return math.ceil(size[0] / 16) * math.ceil(size[1] / 16)


@torch.no_grad()
def sample_training_points(
    logits: Tensor,
    uncertainty: Uncertainty,
    *,
    num_points: int,
    oversample_ratio: float,
    importance_sample_ratio: float,
    padding_mode: str = 'border',
    align_corners: bool = False,
    regions: Sequence[Region] | None = None,
) -> Tensor:
    """Choose points for training, biased towards the hard ones.

    PointRend, section 3.1: draw k*N uniform points, keep the beta*N hardest, add
    (1 - beta)*N fresh uniform ones. The uncertainty is that of the interpolated
    logits; interpolating a map of uncertainties would miss the decision boundary,
    which lies between pixels that are sure of different classes.

    Args:
        logits: coarse prediction, (N, C, H, W).
        uncertainty: from (N, C, P) to (N, P), the larger the harder.
        num_points: N of the paper, points an image.
        oversample_ratio: k of the paper, at least 1.
        importance_sample_ratio: beta of the paper, in [0, 1].
        padding_mode: as in :func:`point_sample`.
        align_corners: as in :func:`point_sample`.
        regions: the part of each image that is not padding, from
            :func:`~mmseg_pointrend.grids.valid_region`; None takes points anywhere.

    Returns:
        (N, num_points, 2), the hard points first.
    """
    batch = logits.shape[0]

    def uniform(count: int) -> Tensor:
        points = torch.rand(batch, count, 2, device=logits.device)
        if regions is None:
            return points
        edges = torch.tensor(regions, dtype=points.dtype, device=points.device)
        low, high = edges.clamp(0, 1).unsqueeze(1).split(2, dim=2)
        return low + points * (high - low)

    num_hard = int(importance_sample_ratio * num_points)
    candidates = uniform(int(oversample_ratio * num_points))
    hardness = uncertainty(
        point_sample(
            logits, candidates, padding_mode=padding_mode, align_corners=align_corners
        )
    )
    hardest = hardness.topk(num_hard, dim=1).indices
    hard = candidates.gather(1, hardest.unsqueeze(2).expand(-1, -1, 2))
    return torch.cat((hard, uniform(num_points - num_hard)), dim=1)


def read_features(
    features: Tensor, points: Tensor, *, padding_mode: str, align_corners: bool
) -> Tensor:
    """:func:`point_sample` for rendering: touches the pixels around the points alone.

    No map is converted or copied. Its gradient would be slow.

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
        axis_neighbours(
            points[..., axis], features.shape[3 - axis], padding_mode, align_corners
        )
        for axis in (0, 1)
    )
    pairs = [(row, column) for row in rows for column in columns]
    indices = torch.stack([y * width + x for (y, _), (x, _) in pairs], dim=2)
    weights = torch.stack([down * across for (_, down), (_, across) in pairs], dim=2)
    eager_cpu = features.device.type == 'cpu' and not torch.compiler.is_compiling()
    if torch.is_grad_enabled() or not eager_cpu:
        values = read_points(features, indices.flatten(1)).unflatten(2, (-1, 4))
        return (values * weights.unsqueeze(1)).sum(dim=3)
    images = [
        sum_of_neighbours(*image).t().unsqueeze(0)
        for image in zip(features, indices, weights, strict=True)
    ]
    return images[0] if len(images) == 1 else torch.cat(images)


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


def axis_neighbours(
    coordinates: Tensor, count: int, padding_mode: str, align_corners: bool
) -> list[tuple[Tensor, Tensor]]:
    """The two pixels of an axis around each coordinate, and their bilinear weights.

    Args:
        coordinates: in [0, 1], any shape.
        count: pixels of the axis.
        padding_mode: ``'border'`` or ``'zeros'``.
        align_corners: the convention of coordinates.

    Returns:
        Pixel numbers, int64 in [0, ``count``), and weights, float32, of the lower and
        of the upper neighbour.
    """
    last = count - 1
    places = coordinates * last if align_corners else coordinates * count - 0.5
    if padding_mode == 'border':
        places = places.clamp(0, last)
    lower = places.floor()
    upper_weight = places - lower
    neighbours = [(lower, 1 - upper_weight), (lower + 1, upper_weight)]
    return [
        (pixel.clamp(0, last).long(), weight * ((pixel >= 0) & (pixel <= last)))
        for pixel, weight in neighbours
    ]


def hardest_pixels(
    uncertainty: Tensor, num_points: int, valid: Tensor | None = None
) -> Tensor:
    """Flat indices of the hardest pixels of each image, in raster order.

    Args:
        uncertainty: (N, H, W), the larger the harder.
        num_points: how many to take; at most the valid pixels of the image that has
            most of them.
        valid: (N, H, W), bool; other pixels are never taken. An image with fewer
            valid pixels than ``num_points`` repeats its hardest one. Every image needs
            one valid pixel at least.

    Returns:
        (N, num_points), row * W + column.
    """
    flat = uncertainty.flatten(1)
    if valid is None:
        return largest(flat, num_points).sort(dim=1).values
    mask = valid.flatten(1)
    flat = flat.masked_fill(~mask, -torch.inf)
    indices = largest(flat, num_points)
    hardest = flat.argmax(dim=1, keepdim=True)
    return indices.where(mask.gather(1, indices), hardest).sort(dim=1).values


@torch.library.custom_op('mmseg_pointrend::largest', mutates_args=())
def largest(values: Tensor, count: int) -> Tensor:
    """Where the largest values of each row are, in no order.

    On a CPU, ``topk`` looks at every value with a heap; most can be ruled out by a
    comparison with the ``count``-th largest value of a sixteenth of them, which is
    never above the ``count``-th largest of all. An operator of its own, because a
    compiler cannot see through sizes that depend on data.

    Args:
        values: (N, M).
        count: at most M.

    Returns:
        (N, ``count``), int64.
    """
    sample = values[:, ::16]
    if values.device.type != 'cpu' or sample.shape[1] < count or count == 0:
        return values.topk(count, dim=1, sorted=False).indices
    bounds = sample.topk(count, dim=1, sorted=False).values.amin(dim=1)
    rows = []
    for row, bound in zip(values, bounds, strict=True):
        candidates = (row >= bound).nonzero().squeeze(1)
        if len(candidates) < count:  # values that are not numbers
            candidates = torch.arange(len(row), device=row.device)
        best = row[candidates].topk(count, sorted=False).indices
        rows.append(candidates[best])
    return torch.stack(rows)


@largest.register_fake
def _(values: Tensor, count: int) -> Tensor:
    return values.new_empty(values.shape[0], count, dtype=torch.int64)


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


def write_points(maps: Tensor, indices: Tensor, values: Tensor) -> None:
    """Put point values into a map, in place.

    Args:
        maps: (N, C, H, W), contiguous.
        indices: flat pixel indices, (N, P).
        values: (N, C, P).
    """
    index = indices.unsqueeze(1).expand(-1, maps.shape[1], -1)
    maps.view(*maps.shape[:2], -1).scatter_(2, index, values.to(maps.dtype))
