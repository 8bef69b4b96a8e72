"""The per-point classifier."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from mmseg.registry import MODELS
from torch import Tensor, nn

from mmseg_pointrend.errors import InputError


@MODELS.register_module()
class PointMLP(BaseModule):
    """Classify points from their fine features and their coarse prediction.

    PointRend, section 3.2: an MLP whose weights are shared over all points, written as
    convolutions of width 1. The input is the fine features, then the coarse
    prediction; the parameters are the hidden layers, then the predictor.

    Hidden layers start from He's initialisation and the predictor close to zero
    (std 0.001), as in detectron2.

    Args:
        in_channels: channels F of the fine features.
        coarse_channels: channels K of the coarse prediction.
        out_channels: channels of the result.
        hidden_channels: width of each hidden layer.
        num_layers: number of hidden layers.
        coarse_pred_each_layer: feed the coarse prediction to every layer, as in the
            paper's instance segmentation, and not to the first alone.
        residual: add the coarse prediction to the result, so that the MLP learns what
            to change and starts from changing nothing.
        init_cfg: overrides the initialisation, in MMEngine's form.

    Raises:
        InputError: ``residual`` with coarse channels that are not the result's.
    """

    def __init__(
        self,
        *,
        in_channels: int,
        coarse_channels: int,
        out_channels: int,
        hidden_channels: int = 256,
        num_layers: int = 3,
        coarse_pred_each_layer: bool = False,
        residual: bool = False,
        init_cfg: dict | list[dict] | None = None,
    ) -> None:
        if init_cfg is None:
            init_cfg = dict(
                type='Kaiming',
                layer='Conv1d',
                override=dict(type='Normal', name='predictor', std=0.001, bias=0),
            )
        if residual and coarse_channels != out_channels:
            raise InputError(
                f'point_head.mlp.residual needs as many {out_channels=} as '
                f'{coarse_channels=}: set residual=False.'
            )
        super().__init__(init_cfg)
        self.channels = in_channels, coarse_channels
        self.residual = residual
        self.coarse_pred_each_layer = coarse_pred_each_layer
        again = coarse_channels if coarse_pred_each_layer else 0
        widths = [in_channels + coarse_channels]
        widths += [hidden_channels + again] * num_layers
        self.hidden = nn.ModuleList(
            nn.Conv1d(width, hidden_channels, 1) for width in widths[:-1]
        )
        self.predictor = nn.Conv1d(widths[-1], out_channels, 1)

    def forward(self, fine: Tensor, coarse: Tensor) -> Tensor:
        """Classify points.

        Args:
            fine: (N, F, P).
            coarse: (N, K, P).

        Returns:
            Logits, (N, out_channels, P), in the type of the weights or of autocast.

        Raises:
            InputError: the channels are not those the MLP was built for.
        """
        channels = fine.shape[1], coarse.shape[1]
        if channels != self.channels:
            raise InputError(
                f'the MLP takes {self.channels[0]} fine and {self.channels[1]} coarse '
                f'channels but gets {channels[0]} and {channels[1]}: build it with '
                f'in_channels={channels[0]}, coarse_channels={channels[1]}.'
            )
        batch, _, count = fine.shape
        dtype = self.predictor.weight.dtype
        x, coarse = (
            points.to(dtype).transpose(1, 2).flatten(0, 1) for points in (fine, coarse)
        )
        extra = [coarse]
        for layer in self.hidden:
            x = linear(layer, x, *extra).relu_()
            extra = [coarse] if self.coarse_pred_each_layer else []
        x = linear(self.predictor, x, *extra)
        if self.residual:
            x = x + coarse
        return x.unflatten(0, (batch, count)).transpose(1, 2)


def linear(layer: Any, *inputs: Tensor) -> Tensor:
    """Apply a convolution of width 1 to inputs that are not stacked first.

    Args:
        layer: a ``Conv1d`` whose input channels are those of all ``inputs``.
        inputs: (M, C) each.

    Returns:
        (M, ``layer.out_channels``).
    """
    weights = layer.weight.squeeze(2).split([x.shape[1] for x in inputs], dim=1)
    result = F.linear(inputs[0], weights[0], layer.bias)
    for x, weight in zip(inputs[1:], weights[1:], strict=True):
        result = torch.addmm(result, x, weight.t())
    return result
