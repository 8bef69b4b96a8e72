"""The models of the benchmark, made from one config, with the same weights."""

from __future__ import annotations

from collections.abc import Collection
from copy import deepcopy
from typing import Any

import torch
from mmengine.config import ConfigDict
from mmengine.model import revert_sync_batchnorm
from mmseg.registry import MODELS
from torch import nn

from mmseg_pointrend.engine.acceleration import compile_model
from mmseg_pointrend.engine.config import load_config
from mmseg_pointrend.errors import InputError
from mmseg_pointrend.rendering.points import default_num_points
from mmseg_pointrend.studies.cascade import as_first_of_cascade, make_cascade
from mmseg_pointrend.studies.speed.settings import Settings

STRIDE_8 = dict(strides=(1, 2, 1, 1), dilations=(1, 1, 2, 4))
ASPP_DILATIONS_AT_STRIDE_8 = (1, 12, 24, 36)


def our_config(settings: Settings) -> ConfigDict:
    """Read our model's config and adapt it to the settings, without downloads.

    Raises:
        InputError: it is not one decode head with a point head.
    """
    cfg = load_config(settings.config).get('model', {})
    heads = cfg.get('decode_head'), cfg.get('point_head')
    if not all(isinstance(head, dict) for head in heads):
        raise InputError(
            f'{settings.config} has no model.decode_head with a model.point_head: give '
            "a config of type='PointRendEncoderDecoder'."
        )
    cfg.pretrained = None
    cfg.backbone.pop('init_cfg', None)
    cfg.data_preprocessor.size = tuple(settings.train_size)
    cfg.data_preprocessor.pop('size_divisor', None)
    auxiliary = cfg.get('auxiliary_head') or []
    others = auxiliary if isinstance(auxiliary, list) else [auxiliary]
    if settings.classes is not None:
        for head in [cfg.decode_head, *others]:
            head.num_classes = settings.classes
    return cfg


def build_contenders(
    cfg: ConfigDict, settings: Settings, names: Collection[str]
) -> dict[str, Any]:
    """Build models that share every weight they have in common.

    Weights are random: convolutions keep the scale of what goes through them, since a
    model that returns zeros or overflows would not take its usual time.

    Returns:
        The models by name, in evaluation mode, on the device.
    """
    torch.manual_seed(settings.seed)
    ours = build(cfg)
    for module in ours.modules():
        if isinstance(module, nn.Conv1d | nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, nonlinearity='relu')
    built = {}
    for name in names:
        if name.startswith('ours'):
            model = deepcopy(ours)
            model.freeze_all_but('point_head' if name == 'ours-retrofit' else None)
        else:
            model = build_rival(name, cfg, ours, settings)
        model = model.to(settings.device).eval()
        built[name] = compile_model(model) if name == 'ours-compiled' else model
    return built


def build(cfg: ConfigDict) -> Any:
    """Build a model with BN for SyncBN, which is the same in a single process."""
    return revert_sync_batchnorm(MODELS.build(deepcopy(cfg)))


def build_rival(name: str, cfg: ConfigDict, ours: Any, settings: Settings) -> Any:
    """Build one of MMSegmentation's models with our model's weights.

    The cascade has the budgets of our point head; everything else is as in
    MMSegmentation's ``configs/point_rend``: two subdivision steps, and the coarse
    prediction as input of every layer.

    Raises:
        InputError: ``'plain-d8'`` of a backbone that is no ResNet of four stages.
    """
    cfg = deepcopy(cfg)
    del cfg.point_head
    cfg.type = 'EncoderDecoder'
    weights = {
        name: value
        for name, value in ours.state_dict().items()
        if not name.startswith('point_head.')
    }
    if name == 'mmseg':
        point_head = ours.point_head
        head = dict(
            in_index=point_head.in_index,
            in_channels=point_head.in_channels,
            channels=point_head.channels,
            num_fcs=len(point_head.mlp.hidden),
        )
        make_cascade(
            cfg,
            head,
            num_points=point_head.num_points or default_num_points(settings.train_size),
            oversample_ratio=point_head.oversample_ratio,
            importance_sample_ratio=point_head.importance_sample_ratio,
            subdivision_num_points=point_head.subdivision_num_points,
        )
        weights = as_first_of_cascade(weights)
    elif name == 'plain-d8':
        if 'ResNet' not in cfg.backbone.type or cfg.backbone.get('num_stages', 4) != 4:
            raise InputError(
                'plain-d8 needs a ResNet of four stages as backbone, this is a '
                f'{cfg.backbone.type}: leave plain-d8 out of --contenders.'
            )
        cfg.backbone.update(STRIDE_8)
        if 'dilations' in cfg.decode_head:
            cfg.decode_head.dilations = ASPP_DILATIONS_AT_STRIDE_8
    model = build(cfg)
    model.load_state_dict({**model.state_dict(), **weights})
    if name == 'mmseg':
        copy_classifier(model.decode_head[1], ours.point_head)
    return model


@torch.no_grad()
def copy_classifier(theirs: nn.Module, ours: nn.Module) -> None:
    """Give MMSegmentation's ``PointHead`` the weights of our point head.

    Its layers also read the coarse prediction; those weights become zero where our
    layers do not.
    """
    for room, weight in zip(theirs.parameters(), ours.parameters(), strict=True):
        room.zero_()
        room[tuple(map(slice, weight.shape))] = weight
