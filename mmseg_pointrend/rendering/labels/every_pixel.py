"""Labels and uncertainty of every pixel of a map that is interpolated in strips."""

from __future__ import annotations

import torch
from torch import Tensor

from mmseg_pointrend.rendering.grids import Grid
from mmseg_pointrend.rendering.labels.decision import label_and_margin
from mmseg_pointrend.rendering.resampling import resample, strips
from mmseg_pointrend.rendering.uncertainty import Uncertainty, logit_margin


def label_every_pixel(
    logits: Tensor,
    grid: Grid,
    uncertainty: Uncertainty,
    align_corners: bool,
    threshold: float | None,
) -> tuple[Tensor, Tensor]:
    """Labels and uncertainty of a map that is never written.

    Args:
        logits: (N, K, h, w), float32.
        grid: pixel centres of the result.
        uncertainty: from (N, K, *) to (N, *).
        align_corners: the convention of interpolation.
        threshold: decision probability, where K is 1.

    Returns:
        Labels, int64, and uncertainty, float32, both (N, H, W).
    """

    def look_at(piece: Tensor) -> tuple[Tensor, Tensor]:
        labels, margin = label_and_margin(piece, threshold)
        return labels, margin if uncertainty is logit_margin else uncertainty(piece)

    if torch.compiler.is_compiling():
        return look_at(resample(logits, grid, align_corners=align_corners))
    labels = logits.new_empty(len(logits), *grid.size, dtype=torch.int64)
    hardness = logits.new_empty(len(logits), *grid.size)
    for rows, columns, piece in strips(logits, grid, align_corners=align_corners):
        labels[:, rows, columns], hardness[:, rows, columns] = look_at(piece)
    return labels, hardness
