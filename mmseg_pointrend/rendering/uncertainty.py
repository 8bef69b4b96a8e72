"""What "hard" means: functions from class logits to one uncertainty a point.

Shapes: N images, C classes, ``*`` any number of further dimensions (points, or rows
and columns). Every function maps logits (N, C, *) to uncertainty (N, *), in float32;
the larger, the harder. PointRend, sections 3.1 and 5, uses one minus the difference
between the two most probable classes; only the order matters.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from mmseg_pointrend.rendering.sampling import runs_eagerly

Uncertainty = Callable[[Tensor], Tensor]


@torch.no_grad()
def top_two(scores: Tensor) -> tuple[Tensor, Tensor]:
    """Find the largest and the second largest score: (N, C, *) to twice (N, *).

    A running maximum over the classes; much faster on a CPU than ``topk`` over a
    strided dimension.
    """
    first = scores[:, 0].clone()
    second = torch.full_like(first, -torch.inf)
    lower = torch.empty_like(first)
    eager = runs_eagerly()
    for score in scores.unbind(dim=1)[1:]:
        if eager:
            torch.minimum(first, score, out=lower)
            torch.maximum(second, lower, out=second)
            torch.maximum(first, score, out=first)
        else:
            second = torch.maximum(second, torch.minimum(first, score))
            first = torch.maximum(first, score)
    return first, second


def logit_margin(logits: Tensor) -> Tensor:
    """Minus the gap between the two largest logits, in (-inf, 0].

    The measure of detectron2's and MMSegmentation's semantic segmentation.
    """
    first, second = top_two(logits.float())
    return second - first


def probability_margin(logits: Tensor) -> Tensor:
    """Minus the gap between the two largest probabilities, in [-1, 0].

    The words of the paper, section 5.
    """
    first, second = top_two(logits.float().softmax(dim=1))
    return second - first


def entropy(logits: Tensor) -> Tensor:
    """Entropy of the class distribution in nats, in [0, log C]."""
    log_probability = logits.float().log_softmax(dim=1)
    return -(log_probability.exp() * log_probability).sum(dim=1)


def logit(probability: float) -> float:
    """Find the logit whose sigmoid is ``probability``; 0 and 1 give -inf and inf."""
    if probability in (0, 1):
        return math.inf if probability else -math.inf
    return math.log(probability / (1 - probability))


def binary_margin(logits: Tensor, threshold: float = 0.5) -> Tensor:
    """Minus the distance of a single logit from the decision, ``-|z - logit(t)|``.

    Args:
        logits: one logit a point, (N, 1, *).
        threshold: probability t above which a point is foreground.

    Returns:
        (N, *), in (-inf, 0].
    """
    return -(logits.float().squeeze(1) - logit(threshold)).abs()
