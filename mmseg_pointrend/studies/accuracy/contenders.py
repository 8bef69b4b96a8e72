"""Configs of the models that one plain checkpoint is continued as."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import deepcopy
from typing import Any

from mmengine.config import Config

from mmseg_pointrend.engine.config import listed_configs
from mmseg_pointrend.engine.hosting import host_point_head, is_binary, make_binary
from mmseg_pointrend.errors import InputError
from mmseg_pointrend.models.checks import DECODE_HEAD
from mmseg_pointrend.studies.cascade import make_cascade

Losses = list[dict[str, Any]]

CROSS_ENTROPY = dict(type='CrossEntropyLoss', avg_non_ignore=True)
LOVASZ = dict(type='LovaszLoss', reduction='none', loss_name='loss_lovasz')
LOSSES: Mapping[str, Losses] = {
    'cross-entropy': [CROSS_ENTROPY],
    'lovasz': [CROSS_ENTROPY, LOVASZ],
}


def plain(cfg: Config, point_head: dict[str, Any], losses: Losses) -> None:
    """Let the network learn with these losses, in place."""
    head = listed_configs(cfg.model.decode_head)[-1]
    head.loss_decode = deepcopy(losses)
    if is_binary(head):
        make_binary(head.loss_decode)


def pointrend(cfg: Config, point_head: dict[str, Any], losses: Losses) -> None:
    """Give the network a point head that learns with it, in place."""
    plain(cfg, point_head, losses)
    host_point_head(cfg.model, {**point_head, 'loss_decode': losses})


def pointhead(cfg: Config, point_head: dict[str, Any], losses: Losses) -> None:
    """Make it MMSegmentation's cascade with its ``PointHead``, in place.

    All is as in its ``configs/point_rend``. The points keep cross-entropy, as
    ``PointHead`` gives its losses shapes that a Lovász loss cannot take.

    Raises:
        InputError: ``PointHead`` has no place on this model.
    """
    heads = listed_configs(cfg.model.decode_head)
    if len(heads) > 1 or is_binary(heads[0]):
        what = 'a cascade' if len(heads) > 1 else 'one channel of logits'
        raise InputError(
            f"MMSegmentation's PointHead cannot follow {what}, which {cfg.filename} "
            'has: leave pointhead out of --contenders.'
        )
    plain(cfg, point_head, losses)
    ours = deepcopy(cfg.model)
    host_point_head(ours, point_head)
    maps = zip(ours.point_head.in_index, ours.point_head.in_channels, strict=True)
    index, channels = next(one for one in maps if one[0] != DECODE_HEAD)
    cfg.model.backbone = ours.backbone
    make_cascade(cfg.model, dict(in_index=[index], in_channels=[channels]))


TOGETHER: Mapping[str, Callable[[Config, dict[str, Any], Losses], None]] = {
    'plain': plain,
    'pointhead': pointhead,
    'pointrend': pointrend,
}
"""What is continued as a whole."""
