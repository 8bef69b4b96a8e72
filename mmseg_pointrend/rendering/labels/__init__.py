"""From logits to labels, without writing the logits of the last, largest map.

Shapes: N images, K channels of logits, a map of h rows and w columns, a result of H
rows and W columns, P points an image.
"""

from __future__ import annotations

import torch
from torch import Tensor

from mmseg_pointrend.rendering.grids import Grid
from mmseg_pointrend.rendering.labels.boundary_cells import label_along_boundaries
from mmseg_pointrend.rendering.labels.decision import decide
from mmseg_pointrend.rendering.labels.every_pixel import label_every_pixel
from mmseg_pointrend.rendering.points import hardest_pixels
from mmseg_pointrend.rendering.uncertainty import Uncertainty, logit_margin

__all__ = ['decide', 'label_and_find_hardest']


def label_and_find_hardest(
    logits: Tensor,
    grid: Grid,
    num_points: int,
    valid: Tensor | None,
    *,
    uncertainty: Uncertainty,
    align_corners: bool,
    threshold: float | None,
) -> tuple[Tensor, Tensor]:
    """Interpolate a map, label it and find its hardest pixels.

    The margin between the two largest logits says where a label can change, so that
    most of a map need not be looked at pixel by pixel; any other measure takes all.

    Args:
        logits: (N, K, h, w), float32.
        grid: pixel centres of the result.
        num_points: how many of the hardest pixels to find, at most the valid ones.
        valid: pixels that may be chosen, (N, H, W), bool; None for all.
        uncertainty: from (N, K, *) to (N, *), the larger the harder.
        align_corners: the convention of interpolation.
        threshold: decision probability, where K is 1.

    Returns:
        Labels, int64, (N, H, W), and flat indices of the hardest pixels, (N, P), in
        raster order.
    """
    if uncertainty is logit_margin and not torch.compiler.is_compiling():
        found = label_along_boundaries(logits, grid, num_points, valid, align_corners)
        if found is not None:
            return found
    labels, hardness = label_every_pixel(
        logits, grid, uncertainty, align_corners, threshold
    )
    return labels, hardest_pixels(hardness, num_points, valid)
