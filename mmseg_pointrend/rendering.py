"""Adaptive subdivision: PointRend's inference, section 3.1.

Shapes: N images, K channels of logits, P points an image; sizes are (height, width).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch.nn.functional as F
from torch import Tensor

from mmseg_pointrend.points import (
    Region,
    Size,
    hardest_pixels,
    map_size,
    subdivision_sizes,
    valid_pixels,
    write_points,
)
from mmseg_pointrend.uncertainty import Uncertainty


def subdivide(
    logits: Tensor,
    size: Size,
    classify: Callable[[Tensor, Tensor], Tensor],
    uncertainty: Uncertainty,
    *,
    num_points: int,
    scale_factor: float,
    align_corners: bool,
    regions: Sequence[Region] | None = None,
) -> Iterator[tuple[Tensor, Tensor]]:
    """Sharpen a map of logits while upsampling it.

    Repeat until the target size is reached, exactly: upsample bilinearly, find the
    hardest pixels, classify them again, write them back.

    Args:
        logits: coarse prediction, (N, K, h, w), float32.
        size: (H, W) to reach.
        classify: from the upsampled logits (N, K, H', W') and flat pixel indices (N, P)
            to new logits of those pixels, (N, K, P).
        uncertainty: from (N, K, H', W') to (N, H', W'), the larger the harder.
        num_points: pixels an image that each step classifies again.
        scale_factor: growth of a step, above 1; 2 in the paper.
        align_corners: the convention of upsampling.
        regions: the part of each image that is not padding, from
            :func:`~mmseg_pointrend.points.valid_region`; padding gets no points.

    Yields:
        The refined logits after each step, (N, K, H', W'), and the flat indices of the
        pixels that the step classified again, (N, P).
    """
    for step in subdivision_sizes(map_size(logits), size, scale_factor):
        logits = F.interpolate(
            logits, step, mode='bilinear', align_corners=align_corners
        )
        valid, max_valid = None, step[0] * step[1]
        if regions is not None:
            valid, max_valid = valid_pixels(
                step, regions, align_corners=align_corners, device=logits.device
            )
        hardest = hardest_pixels(uncertainty(logits), min(num_points, max_valid), valid)
        if hardest.shape[1] > 0:
            logits = write_points(logits, hardest, classify(logits, hardest))
        yield logits, hardest
