"""The models of the benchmark, made from one config, with the same weights."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from copy import deepcopy
from inspect import signature
from typing import Any

import torch
from mmengine.config import ConfigDict
from mmseg.registry import MODELS
from torch import nn

from mmseg_pointrend.engine.acceleration import compile_model, fuse_conv_bn
from mmseg_pointrend.engine.config import load_config
from mmseg_pointrend.errors import InputError
from mmseg_pointrend.models import PointMLP, PointRendHead
from mmseg_pointrend.rendering.points import default_num_points
from mmseg_pointrend.studies.speed.settings import Settings
from mmseg_pointrend.studies.speed.widen import copy_classifier

STRIDE_8 = dict(strides=(1, 2, 1, 1), dilations=(1, 1, 2, 4))
ASPP_DILATIONS_AT_STRIDE_8 = (1, 12, 24, 36)
POINT_HEAD_KEYS = (
    'in_index',
    'in_channels',
    'num_points',
    'oversample_ratio',
    'importance_sample_ratio',
    'subdivision_num_points',
)
MLP_KEYS = 'hidden_channels', 'num_layers'


def load_model_config(path: str) -> ConfigDict:
    """The ``model`` of a config file.

    Raises:
        InputError: it is not one decode head with a point head.
    """
    model = load_config(path).get('model', {})
    heads = model.get('decode_head'), model.get('point_head')
    if not all(isinstance(head, dict) for head in heads):
        raise InputError(
            f'{path} has no model.decode_head with a model.point_head: give a config '
            "of type='PointRendEncoderDecoder'."
        )
    return model


def our_config(model: ConfigDict, settings: Settings) -> ConfigDict:
    """Our model's config, adapted to the settings.

    Nothing is downloaded, and SyncBN, which is BN in a single process, becomes BN.

    Args:
        model: the ``model`` of a config file.
        settings: classes, points and the size of training images.
    """
    cfg = _without_sync_bn(deepcopy(model))
    cfg.pretrained = None
    cfg.backbone.pop('init_cfg', None)
    cfg.data_preprocessor.size = tuple(settings.train_size)
    cfg.data_preprocessor.pop('size_divisor', None)
    auxiliary = cfg.get('auxiliary_head') or []
    heads = auxiliary if isinstance(auxiliary, list) else [auxiliary]
    if settings.classes is not None:
        for head in [cfg.decode_head, *heads]:
            head.num_classes = settings.classes
    _fill_defaults(cfg.point_head, PointRendHead, POINT_HEAD_KEYS)
    _fill_defaults(cfg.point_head.setdefault('mlp', ConfigDict()), PointMLP, MLP_KEYS)
    if settings.points is not None:
        cfg.point_head.subdivision_num_points = settings.points
    return cfg


def plain_config(ours: ConfigDict) -> ConfigDict:
    """MMSegmentation's ``EncoderDecoder`` without a point head."""
    cfg = deepcopy(ours)
    cfg.type = 'EncoderDecoder'
    del cfg.point_head
    return cfg


def stride_8_config(ours: ConfigDict) -> ConfigDict:
    """The plain model with a ResNet of output stride 8.

    Raises:
        InputError: the backbone is no ResNet.
    """
    cfg = plain_config(ours)
    if 'ResNet' not in cfg.backbone.type:
        raise InputError(
            f'plain-d8 needs a ResNet and the backbone is {cfg.backbone.type}: leave '
            'plain-d8 out of --contenders.'
        )
    cfg.backbone.update(STRIDE_8)
    if 'dilations' in cfg.decode_head:
        cfg.decode_head.dilations = ASPP_DILATIONS_AT_STRIDE_8
    return cfg


def cascade_config(ours: ConfigDict, settings: Settings) -> ConfigDict:
    """MMSegmentation's cascade with ``PointHead``, at our budgets of points.

    Everything else is as in MMSegmentation's ``configs/point_rend``: two subdivision
    steps, and the coarse prediction as input of every layer.
    """
    cfg = deepcopy(ours)
    point_head = cfg.pop('point_head')
    cfg.type = 'CascadeEncoderDecoder'
    cfg.num_stages = 2
    cfg.decode_head = [
        cfg.decode_head,
        dict(
            type='PointHead',
            in_index=point_head.in_index,
            in_channels=point_head.in_channels,
            channels=point_head.mlp.hidden_channels,
            num_fcs=point_head.mlp.num_layers,
            coarse_pred_each_layer=True,
            dropout_ratio=-1,
            num_classes=cfg.decode_head.num_classes,
            align_corners=cfg.decode_head.get('align_corners', False),
            loss_decode=dict(type='CrossEntropyLoss', use_sigmoid=False),
        ),
    ]
    cfg.train_cfg = ConfigDict(
        num_points=point_head.num_points or default_num_points(settings.train_size),
        oversample_ratio=point_head.oversample_ratio,
        importance_sample_ratio=point_head.importance_sample_ratio,
    )
    cfg.test_cfg = ConfigDict(
        mode='whole',
        subdivision_steps=2,
        subdivision_num_points=point_head.subdivision_num_points,
        scale_factor=2,
    )
    return cfg


def build_contenders(
    ours: ConfigDict,
    settings: Settings,
    names: Collection[str],
    *,
    point_head: nn.Module | None = None,
) -> dict[str, Any]:
    """Build models that share every weight they have in common.

    Weights are random: convolutions keep the scale of what goes through them, since a
    model that returns zeros or overflows would not take its usual time.

    Args:
        ours: from :func:`our_config`.
        settings: seed and device.
        names: which contenders.
        point_head: a trained point head that theirs answer as.

    Returns:
        The models by name, in evaluation mode, on the device.
    """
    torch.manual_seed(settings.seed)
    model = _build(ours)
    for module in model.modules():
        if isinstance(module, (nn.Conv1d, nn.Conv2d)):
            nn.init.kaiming_normal_(module.weight, nonlinearity='relu')
    if point_head is not None:
        copy_classifier(model.point_head, point_head, model.num_classes)
    built = {}
    for name in names:
        if name.startswith('ours'):
            twin = deepcopy(model)
        elif name == 'mmseg':
            twin = _build(cascade_config(ours, settings))
            copy_weights(twin, model)
        else:
            stride_8 = name == 'plain-d8'
            twin = _build(stride_8_config(ours) if stride_8 else plain_config(ours))
            copy_weights(twin, model)
        twin = twin.to(settings.device).eval()
        if name == 'ours-fused-compiled':
            twin = fuse_conv_bn(twin)
        built[name] = compile_model(twin) if name.endswith('compiled') else twin
    return built


def copy_weights(twin: Any, ours: Any) -> None:
    """Give one of MMSegmentation's models our model's weights.

    Args:
        twin: a plain model or a cascade.
        ours: a ``PointRendEncoderDecoder``.
    """
    cascade = isinstance(twin.decode_head, nn.ModuleList)
    weights = {
        name.replace('decode_head.', 'decode_head.0.', 1)
        if cascade and name.startswith('decode_head.')
        else name: value
        for name, value in ours.state_dict().items()
        if not name.startswith('point_head.')
    }
    found = twin.load_state_dict(weights, strict=False)
    strange = found.unexpected_keys + [
        name for name in found.missing_keys if not name.startswith('decode_head.1.')
    ]
    if strange:
        raise RuntimeError(f'weights that not every contender has: {strange}')
    if cascade:
        copy_classifier(twin.decode_head[1], ours.point_head, ours.num_classes)


def _build(cfg: ConfigDict) -> Any:
    return MODELS.build(deepcopy(cfg))


def _fill_defaults(cfg: ConfigDict, owner: type, names: Collection[str]) -> None:
    parameters = signature(owner).parameters
    for name in names:
        cfg.setdefault(name, parameters[name].default)


def _without_sync_bn(cfg: Any) -> Any:
    if isinstance(cfg, Mapping):
        return ConfigDict({key: _without_sync_bn(value) for key, value in cfg.items()})
    if isinstance(cfg, (list, tuple)):
        return type(cfg)(_without_sync_bn(value) for value in cfg)
    return 'BN' if cfg == 'SyncBN' else cfg
