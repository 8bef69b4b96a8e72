"""What a point head adds to the model it sits on."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from functools import partial

import torch
from mmengine.config import ConfigDict
from mmseg.registry import MODELS

from mmseg_pointrend.rendering.grids import Size
from mmseg_pointrend.studies.speed.meters import flops


@dataclass(frozen=True)
class Costs:
    """Weights and arithmetic of a model or of a part of it.

    Attributes:
        parameters: number of weights, with those of auxiliary heads.
        flops: floating-point operations of the convolutions and matrix products for
            one image; a multiplication and an addition are two.
    """

    parameters: int
    flops: int


def host_costs(cfg: ConfigDict, size: Size) -> tuple[Costs, Costs]:
    """Costs of a model without its point head, and what the point head adds.

    Nothing is computed, so that the largest model takes no longer than building it.

    Args:
        cfg: config of a :class:`~mmseg_pointrend.models.PointRendEncoderDecoder`.
        size: (H, W) of the image that is rendered.
    """
    model = MODELS.build(deepcopy(cfg)).eval().to('meta')
    image = torch.empty(1, 3, *size, device='meta')
    with torch.no_grad():
        host = flops(partial(model.coarse_prediction, image))
        whole = flops(partial(model, image))
    points, everything = (
        sum(weight.numel() for weight in module.parameters())
        for module in (model.point_head, model)
    )
    return Costs(everything - points, host), Costs(points, whole - host)
