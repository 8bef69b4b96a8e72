"""What "hard" means: functions from class logits to one uncertainty a point.

Shapes: N images, C classes, ``*`` any number of further dimensions (points, or rows
and columns). Every function maps logits (N, C, *) to uncertainty (N, *), in float32;
the larger, the harder. PointRend, sections 3.1 and 5, uses one minus the difference
between the two most probable classes; only the order matters.

A project adds its own measure under a name that configs can use::

    from mmseg_pointrend.uncertainty import UNCERTAINTIES

    @UNCERTAINTIES.register_module()
    def least_confidence(logits):
        return 1 - logits.float().softmax(dim=1).amax(dim=1)
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from mmengine.registry import Registry
from torch import Tensor

from mmseg_pointrend.errors import InputError

Uncertainty = Callable[[Tensor], Tensor]

UNCERTAINTIES = Registry('uncertainty', scope='mmseg')


def negative_margin(scores: Tensor) -> Tensor:
    """Second largest minus largest score over dimension 1: (N, C, *) to (N, *).

    A running maximum over the classes; much faster on a CPU than ``topk`` over a
    strided dimension.
    """
    first = scores[:, 0]
    second = torch.full_like(first, -torch.inf)
    for score in scores.unbind(dim=1)[1:]:
        second = torch.maximum(second, torch.minimum(first, score))
        first = torch.maximum(first, score)
    return second - first


@UNCERTAINTIES.register_module()
def logit_margin(logits: Tensor) -> Tensor:
    """Minus the gap between the two largest logits, in (-inf, 0].

    The measure of detectron2's and MMSegmentation's semantic segmentation.
    """
    return negative_margin(logits.float())


@UNCERTAINTIES.register_module()
def probability_margin(logits: Tensor) -> Tensor:
    """Minus the gap between the two largest probabilities, in [-1, 0].

    The words of the paper, section 5.
    """
    return negative_margin(logits.float().softmax(dim=1))


@UNCERTAINTIES.register_module()
def entropy(logits: Tensor) -> Tensor:
    """Entropy of the class distribution in nats, in [0, log C]."""
    log_probability = logits.float().log_softmax(dim=1)
    return -(log_probability.exp() * log_probability).sum(dim=1)


def logit(probability: float) -> float:
    """The logit whose sigmoid is ``probability``; 0 and 1 give -inf and inf."""
    return torch.tensor(probability, dtype=torch.float64).logit().item()


def binary_margin(logits: Tensor, threshold: float = 0.5) -> Tensor:
    """Minus the distance of a single logit from the decision, ``-|z - logit(t)|``.

    Args:
        logits: one logit a point, (N, 1, *).
        threshold: probability t above which a point is foreground.

    Returns:
        (N, *), in (-inf, 0].
    """
    return -(logits.float().squeeze(1) - logit(threshold)).abs()


MULTI_CLASS = ('logit_margin', 'probability_margin', 'entropy')


def get_uncertainty(
    name: str, out_channels: int, threshold: float | None
) -> Uncertainty:
    """Look an uncertainty function up by name.

    With one output channel the built-in measures mean nothing, so
    :func:`binary_margin` takes their place; a function registered by the user stays.

    Args:
        name: a key of :data:`UNCERTAINTIES`.
        out_channels: channels of the logits it will see.
        threshold: decision probability of a binary model.

    Raises:
        InputError: ``name`` is not registered.
    """
    function = UNCERTAINTIES.get(name) if isinstance(name, str) else None
    if function is None:
        raise InputError(
            f'point_head.uncertainty={name!r} is unknown: use one of '
            f'{", ".join(sorted(UNCERTAINTIES.module_dict))}, or register your own '
            'in mmseg_pointrend.uncertainty.UNCERTAINTIES.'
        )
    if out_channels == 1 and name in MULTI_CLASS:
        assert threshold is not None
        return partial(binary_margin, threshold=threshold)
    return function
