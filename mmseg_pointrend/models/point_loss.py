"""Losses and accuracy of classified points."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from mmseg.models.losses import accuracy
from torch import Tensor, nn

from mmseg_pointrend.rendering.uncertainty import logit


def point_losses(
    modules: Iterable[nn.Module],
    logits: Tensor,
    labels: Tensor,
    *,
    ignore_index: int,
    threshold: float | None = None,
) -> dict[str, Tensor]:
    """Losses and accuracy of points; ignored points count nowhere.

    Losses get the points as maps of width 1, logits (N, K, P, 1) and labels (N, P, 1),
    so that those that want maps work too. Losses of one name are added up.

    Args:
        modules: losses that :func:`guard_losses` has guarded.
        logits: (N, K, P).
        labels: (N, P), integers.
        ignore_index: label of points that do not count.
        threshold: decision probability, where K is 1.

    Returns:
        The losses by name, and ``acc_point`` in percent.
    """
    logits, labels = logits.float().unsqueeze(3), labels.unsqueeze(2)
    losses: dict[str, Tensor] = {}
    for module in modules:
        value = module(logits, labels, ignore_index=ignore_index)
        name = str(module.loss_name)
        losses[name] = losses[name] + value if name in losses else value
    if logits.shape[1] == 1:
        assert threshold is not None
        logits = torch.cat((torch.full_like(logits, logit(threshold)), logits), dim=1)
    losses['acc_point'] = accuracy(logits, labels, ignore_index=ignore_index)
    return losses
