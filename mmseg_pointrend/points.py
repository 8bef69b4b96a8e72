"""Geometry of points: pure functions, no modules, no losses.

Shapes: N images, C channels, a map of H rows and W columns, P points an image.
Points are (x, y) in [0, 1] of the whole map. The centre of pixel i of n sits at
(i + 0.5) / n, or at i / (n - 1) with ``align_corners``, the two conventions of
:func:`torch.nn.functional.interpolate`. Sizes are (height, width) in pixels.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from mmseg_pointrend.uncertainty import Uncertainty

Size = tuple[int, int]
Region = tuple[float, float, float, float]


def map_size(maps: Tensor) -> Size:
    """(H, W) of maps (N, C, H, W)."""
    return maps.shape[-2], maps.shape[-1]


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


def pixel_centers(indices: Tensor, size: Size, *, align_corners: bool) -> Tensor:
    """Coordinates of pixels given by their flat index.

    Args:
        indices: row * W + column, (N, P), integers.
        size: (H, W) of the map.
        align_corners: the convention, see the module's docstring.

    Returns:
        (N, P, 2), float32, (x, y) in [0, 1].
    """
    height, width = size
    x = axis_centers(indices % width, width, align_corners)
    y = axis_centers(indices // width, height, align_corners)
    return torch.stack((x, y), dim=-1)


def axis_centers(pixels: Tensor, count: int, align_corners: bool) -> Tensor:
    """Coordinates in [0, 1] of pixels 0 to ``count`` - 1 of an axis, float32."""
    if align_corners:
        return pixels.float() / max(count - 1, 1)
    return (pixels.float() + 0.5) / count


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
            :func:`valid_region`; None takes points anywhere.

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


def valid_region(padding: Sequence[int], size: Size, *, align_corners: bool) -> Region:
    """The edges of what is not padding, in point coordinates.

    Args:
        padding: pixels added at the (left, right, top, bottom), MMSegmentation's order.
        size: (H, W) with the padding.
        align_corners: the convention of point coordinates.

    Returns:
        (left, top, right, bottom); with ``align_corners`` outer edges lie half a pixel
        outside of [0, 1].
    """
    left, right, top, bottom = padding
    height, width = size

    def edge(pixel: int, count: int) -> float:
        return (pixel - 0.5) / max(count - 1, 1) if align_corners else pixel / count

    return (
        edge(left, width),
        edge(top, height),
        edge(width - right, width),
        edge(height - bottom, height),
    )


def valid_pixels(
    size: Size,
    regions: Sequence[Region],
    *,
    align_corners: bool,
    device: torch.device | None = None,
) -> tuple[Tensor, int]:
    """Which pixels of a map have their centre inside each image's region.

    Args:
        size: (H, W) of the map.
        regions: one of each image, from :func:`valid_region`.
        align_corners: the convention of point coordinates.
        device: where to put the mask.

    Returns:
        The mask (N, H, W), bool, and the most valid pixels that an image has.
    """
    y = axis_centers(torch.arange(size[0]), size[0], align_corners)
    x = axis_centers(torch.arange(size[1]), size[1], align_corners)
    rows = torch.stack([(top < y) & (y < bottom) for _, top, _, bottom in regions])
    columns = torch.stack([(left < x) & (x < right) for left, _, right, _ in regions])
    most = int((rows.sum(dim=1) * columns.sum(dim=1)).max())
    mask = rows.to(device).unsqueeze(2) & columns.to(device).unsqueeze(1)
    return mask, most


def hardest_pixels(
    uncertainty: Tensor, num_points: int, valid: Tensor | None = None
) -> Tensor:
    """Flat indices of the hardest pixels of each image.

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
        return flat.topk(num_points, dim=1, sorted=False).indices
    mask = valid.flatten(1)
    indices = flat.masked_fill(~mask, -torch.inf).topk(num_points, dim=1).indices
    return torch.where(mask.gather(1, indices), indices, indices[:, :1])


def write_points(maps: Tensor, indices: Tensor, values: Tensor) -> Tensor:
    """Put point values into a map.

    Args:
        maps: (N, C, H, W).
        indices: flat pixel indices, (N, P).
        values: (N, C, P).

    Returns:
        A new map, (N, C, H, W), in the type of ``maps``.
    """
    index = indices.unsqueeze(1).expand(-1, maps.shape[1], -1)
    return maps.flatten(2).scatter(2, index, values.to(maps.dtype)).view_as(maps)


def read_points(maps: Tensor, indices: Tensor) -> Tensor:
    """Take the values of pixels out of a map: (N, C, H, W) and (N, P) to (N, C, P)."""
    index = indices.unsqueeze(1).expand(-1, maps.shape[1], -1)
    return maps.flatten(2).gather(2, index)
