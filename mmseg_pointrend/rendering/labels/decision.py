"""The label of a pixel, and by how much it was decided."""

from __future__ import annotations

import torch
from torch import Tensor

from mmseg_pointrend.rendering.uncertainty import binary_margin, logit, top_two


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
    labels = torch.zeros_like(first)
    is_first = torch.empty_like(first)
    for label in range(logits.shape[1] - 1, -1, -1):
        if torch.compiler.is_compiling():
            labels = labels.where(logits[:, label] != first, label)
        else:
            torch.eq(logits[:, label], first, out=is_first)
            labels = labels.lerp(labels.new_full((), label), is_first)
    return labels.long(), second - first
