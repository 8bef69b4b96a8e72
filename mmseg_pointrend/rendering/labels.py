"""From logits to labels, without writing the logits.

Shapes: N images, K channels of logits, H rows, W columns.
"""

from __future__ import annotations

import torch
from torch import Tensor

from mmseg_pointrend.rendering.grids import Grid
from mmseg_pointrend.rendering.resampling import part, resample, strips
from mmseg_pointrend.rendering.uncertainty import Uncertainty, logit, logit_margin


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


def label_pixels(
    logits: Tensor,
    grid: Grid,
    uncertainty: Uncertainty | None,
    align_corners: bool,
    threshold: float | None,
) -> tuple[Tensor, Tensor]:
    """Labels and uncertainty of a map that is interpolated but never written.

    Args:
        logits: (N, K, h, w), float32.
        grid: pixel centres of the result.
        uncertainty: from (N, K, *) to (N, *); None leaves it undefined.
        align_corners: the convention of interpolation.
        threshold: decision probability, where K is 1.

    Returns:
        Labels, int64, and uncertainty, float32, both (N, H, W).
    """
    if torch.compiler.is_compiling():
        values = resample(logits, grid, align_corners=align_corners)
        labels, margin = running_maximum(values, threshold)
        if uncertainty is None:
            return labels, torch.zeros_like(margin)
        return labels, margin if uncertainty is logit_margin else uncertainty(values)
    labels = logits.new_empty(len(logits), *grid.size, dtype=torch.int64)
    hardness = logits.new_empty(len(logits), *grid.size)
    spare = logits.new_empty(0)
    for rows, columns, piece in strips(logits, grid, align_corners=align_corners):
        if len(spare) < piece.numel():
            spare = logits.new_empty(piece.numel())
        if uncertainty is not None and uncertainty is not logit_margin:
            hardness[:, rows, columns] = uncertainty(piece)
        found, margin = label_piece(piece, piece, part(spare, piece.shape), threshold)
        labels[:, rows, columns] = found
        if uncertainty is logit_margin:
            hardness[:, rows, columns] = margin
    return labels, hardness


def label_piece(
    logits: Tensor, differences: Tensor, spare: Tensor, threshold: float | None = None
) -> tuple[Tensor, Tensor]:
    """Labels and uncertainty, by few passes that vectorise well.

    ``argmax``, ``topk`` and anything that writes booleans are many times slower on a
    CPU than arithmetic and ``amax``.

    Args:
        logits: (N, K, H, W).
        differences: memory of the same shape, or ``logits`` itself, overwritten.
        spare: more of such memory.
        threshold: decision probability, where K is 1.

    Returns:
        Labels, int64, and ``logit_margin``, float32, both (N, H, W).
    """
    if logits.shape[1] == 1:
        return decide(logits, threshold), torch.zeros_like(logits[:, 0])
    first = logits.amax(dim=1, keepdim=True)
    if logits.device.type != 'cpu' or not first.isfinite().all():
        labels = logits.argmax(dim=1, keepdim=True)
        torch.sub(logits, first, out=differences)
    else:
        classes = logits.shape[1]
        torch.sub(logits, first, out=differences)
        # Zero at the largest logit, below -1 elsewhere, down to differences of 1e-30.
        codes = torch.arange(classes, 0, -1, dtype=logits.dtype).view(1, -1, 1, 1)
        torch.add(codes, differences, alpha=1e30, out=spare)
        labels = (classes - spare.amax(dim=1, keepdim=True)).long()
    margin = differences.scatter_(1, labels, -torch.inf).amax(dim=1)
    return labels.squeeze(1), margin


def running_maximum(logits: Tensor, threshold: float | None) -> tuple[Tensor, Tensor]:
    """What :func:`label_piece` returns, in a form that compilers fuse into one loop.

    Args:
        logits: (N, K, H, W).
        threshold: decision probability, where K is 1.
    """
    if logits.shape[1] == 1:
        return decide(logits, threshold), torch.zeros_like(logits[:, 0])
    first, *others = logits.unbind(dim=1)
    second = torch.full_like(first, -torch.inf)
    labels = torch.zeros_like(first, dtype=torch.int32)
    for label, score in enumerate(others, start=1):
        second = torch.maximum(second, torch.minimum(first, score))
        labels = torch.where(score > first, label, labels)
        first = torch.maximum(first, score)
    return labels.long(), second - first
