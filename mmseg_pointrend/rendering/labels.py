"""From logits to labels, without writing the logits of the last, largest map.

Shapes: N images, K channels of logits, a map of h rows and w columns, a result of H
rows and W columns, P points an image.
"""

from __future__ import annotations

import torch
from torch import Tensor

from mmseg_pointrend.rendering.grids import Grid
from mmseg_pointrend.rendering.points import hardest_pixels
from mmseg_pointrend.rendering.resampling import resample, strips
from mmseg_pointrend.rendering.sampling import runs_eagerly
from mmseg_pointrend.rendering.uncertainty import (
    Uncertainty,
    binary_margin,
    logit,
    logit_margin,
    top_two,
)


def decide(logits: Tensor, threshold: float | None) -> Tensor:
    """Labels of logits: (N, K, *) to (N, *), int64.

    Args:
        logits: (N, K, *).
        threshold: probability above which a pixel is foreground, where K is 1.
    """
    if logits.shape[1] > 1:
        return logits.argmax(dim=1)
    assert threshold is not None
    return (logits.squeeze(1) > logit(threshold)).long()


def label_and_margin(logits: Tensor, threshold: float | None) -> tuple[Tensor, Tensor]:
    """Labels and how sure they are, in one go.

    ``argmax`` and whatever writes booleans are many times slower on a CPU than
    arithmetic, unless a compiler makes one loop of all steps.

    Args:
        logits: (N, K, *), float32.
        threshold: decision probability, where K is 1.

    Returns:
        Labels, int64, and :func:`~mmseg_pointrend.rendering.uncertainty.logit_margin`
        (``binary_margin`` where K is 1), float32, both (N, *).
    """
    if logits.shape[1] == 1:
        assert threshold is not None
        return decide(logits, threshold), binary_margin(logits, threshold)
    first, second = top_two(logits)
    labels, eager = torch.zeros_like(first), runs_eagerly()
    is_first = torch.empty_like(first)
    for label in range(logits.shape[1] - 1, -1, -1):
        if eager:
            torch.eq(logits[:, label], first, out=is_first)
            labels.lerp_(labels.new_full((), label), is_first)
        else:
            labels = labels.where(logits[:, label] != first, label)
    return labels.long(), second - first


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
    """Interpolate a map in strips, label it and find its hardest pixels.

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

    def look_at(piece: Tensor) -> tuple[Tensor, Tensor]:
        labels, margin = label_and_margin(piece, threshold)
        return labels, margin if uncertainty is logit_margin else uncertainty(piece)

    if runs_eagerly():
        labels = logits.new_empty(len(logits), *grid.size, dtype=torch.int64)
        hardness = logits.new_empty(len(logits), *grid.size)
        for rows, columns, piece in strips(logits, grid, align_corners=align_corners):
            labels[:, rows, columns], hardness[:, rows, columns] = look_at(piece)
    else:
        labels, hardness = look_at(resample(logits, grid, align_corners=align_corners))
    return labels, hardest_pixels(hardness, num_points, valid)
