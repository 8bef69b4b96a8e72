"""The same point classifier in a wider or differently wired network."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mmseg_pointrend.errors import InputError


@torch.no_grad()
def copy_classifier(wide: nn.Module, narrow: nn.Module, classes: int) -> None:
    """Make a point head answer as another one, whatever features it adds.

    Every layer reads [features | coarse prediction or nothing]: fine features in the
    first layer, the layer before in the others. The narrow head's weights go to the
    first features and to the coarse prediction; all other weights become zero, so
    further fine features, further hidden channels and, in MMSegmentation's
    ``PointHead``, the coarse prediction of each layer count for nothing. The answers
    are the narrow head's, the time is the wide head's: multiplying by zero takes as
    long as by any other number.

    Args:
        wide: a ``PointRendHead`` or MMSegmentation's ``PointHead``, changed in place.
        narrow: the head to copy.
        classes: channels K of the coarse prediction.

    Raises:
        InputError: the narrow head does not fit into the wide one.
    """
    layers, small_layers = point_layers(wide), point_layers(narrow)
    fits = len(layers) == len(small_layers)
    lead = layers[0][0].shape[1] - classes
    small_lead = small_layers[0][0].shape[1] - classes
    for (weight, bias), (small_weight, small_bias) in zip(
        layers, small_layers, strict=False
    ):
        rows, columns = small_weight.shape[:2]
        end = lead + columns - small_lead
        fits &= small_lead <= lead and rows <= len(weight) and end <= weight.shape[1]
        if not fits:
            break
        weight.zero_()
        bias.zero_()
        weight[:rows, :small_lead] = small_weight[:, :small_lead]
        weight[:rows, lead:end] = small_weight[:, small_lead:]
        bias[:rows] = small_bias
        lead, small_lead = len(weight), rows
    if not fits:
        raise InputError(
            "the trained point head does not fit into the benchmark's: "
            f'{_sizes(small_layers)} against {_sizes(layers)} weights, give more '
            '--fine-channels or a --config with as many layers of at least its width.'
        )


def point_layers(head: nn.Module) -> list[tuple[Tensor, Tensor]]:
    """Weight (out, in, 1) and bias (out,) of each layer of a point head, in order."""
    parameters = [parameter.detach() for parameter in head.parameters()]
    return list(zip(parameters[::2], parameters[1::2], strict=True))


def _sizes(layers: list[tuple[Tensor, Tensor]]) -> str:
    return ', '.join('x'.join(map(str, weight.shape[:2])) for weight, _ in layers)
