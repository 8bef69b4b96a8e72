"""Choosing points: for training, and the hardest pixels in rendering.

Pure functions, no modules, no losses. Shapes: N images, C channels, a map of H rows
and W columns, P points an image. Points are (x, y) in [0, 1] of the frame, see
:mod:`mmseg_pointrend.rendering.grids`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from mmseg_pointrend.rendering.grids import Region, Size
from mmseg_pointrend.rendering.sampling import point_sample
from mmseg_pointrend.rendering.uncertainty import Uncertainty


def default_num_points(size: Size) -> int:
    """Count the stride-16 cells of a crop: 2048 for 512x1024."""
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
            :func:`~mmseg_pointrend.rendering.grids.valid_regions`; None takes points
            anywhere.

    Returns:
        (N, num_points, 2), the hard points first.
    """
    batch = logits.shape[0]

    edges = torch.tensor([(0.0, 0.0, 1.0, 1.0)] * batch if regions is None else regions)
    # A blocking copy would make the host wait for the GPU.
    edges = edges.clamp(0, 1).view(batch, 1, 4).to(logits.device, non_blocking=True)
    low, high = edges.split(2, dim=2)

    def uniform(count: int) -> Tensor:
        return low + torch.rand(batch, count, 2, device=logits.device) * (high - low)

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
        (N, num_points), row * W + column; in raster order, in which memory is read
        faster, unless a file is made of the model, where sorting is what is slow.
    """
    flat = uncertainty.flatten(1)
    if torch.compiler.is_exporting():
        if valid is not None:
            flat = flat.masked_fill(~valid.flatten(1), -torch.inf)
        # The number of points of a file is fixed, however small an image is.
        flat = F.pad(flat, (0, num_points), value=-torch.inf)
        values, indices = flat.topk(num_points, dim=1)
        return indices.where(values > -torch.inf, indices[:, :1])
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
    few = sample.shape[1] < count or count == 0 or len(values) == 0
    if values.device.type != 'cpu' or few:
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
