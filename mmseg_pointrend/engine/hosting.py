"""What a point head can read of a plain model, found without computing anything."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from copy import deepcopy
from typing import Any

import torch
from mmengine.config import ConfigDict
from mmengine.model import revert_sync_batchnorm
from mmengine.registry import DefaultScope, init_default_scope
from mmseg.registry import MODELS
from torch import Tensor

from mmseg_pointrend.engine.config import listed_configs, type_name
from mmseg_pointrend.errors import InputError
from mmseg_pointrend.models.checks import DECODE_HEAD
from mmseg_pointrend.rendering.grids import Size, map_size

STRIDE = 4
"""The points read all maps of this stride or finer, or the first of the finest."""


def forget_pretrained_weights(value: Any) -> None:
    """Drop what a model loads before a checkpoint replaces it, in place."""
    for one in value if isinstance(value, list | tuple) else value.values():
        if isinstance(one, dict | list | tuple):
            forget_pretrained_weights(one)
    if isinstance(value, dict):
        if 'pretrained' in value:
            value['pretrained'] = None
        cfgs = value.get('init_cfg')
        kinds = [type_name(one) for one in listed_configs(cfgs) if one]
        if {'Pretrained', 'PretrainedInit'} & {*kinds}:
            value['init_cfg'] = None


def host_point_head(cfg: ConfigDict, point_head: dict[str, Any]) -> None:
    """Give the config of a plain model a point head, in place.

    Args:
        cfg: ``model`` of a config.
        point_head: keys of the point head, but for the maps it reads.

    Raises:
        InputError: the decode head cannot host one.
    """
    if DefaultScope.get_current_instance() is None:
        init_default_scope('mmseg')
    cfg.type = 'PointRendEncoderDecoder'
    cfg.point_head = deepcopy(point_head)
    point_head = cfg.point_head
    last = listed_configs(cfg.decode_head)[-1]
    if is_binary(last):
        make_binary(listed_configs(point_head.get('loss_decode')))
    with warnings.catch_warnings():  # training says them again
        warnings.simplefilter('ignore')
        add_finest_map(cfg)
        if cfg.get('neck'):
            own, its = sizes_of(cfg)
            if max(own) >= max(its):
                point_head['fine_from'] = 'backbone'
        maps, classified = maps_of(cfg)
    widths = {i: one.shape[-1] for i, one in enumerate(maps) if isinstance(one, Tensor)}
    enough = blank_image(cfg).shape[-1] // STRIDE
    finest = sorted(widths, key=widths.__getitem__, reverse=True)[:1]
    chosen = [i for i, width in widths.items() if width >= enough] or finest
    point_head['in_index'] = chosen
    point_head['in_channels'] = [maps[i].shape[1] for i in chosen]
    if classified is not None:
        point_head['in_index'].append(DECODE_HEAD)
        point_head['in_channels'].append(classified)


def is_binary(head: ConfigDict) -> bool:
    """Tell whether a head, by its config, has one channel of logits."""
    return (head.get('out_channels') or head.get('num_classes')) == 1


def make_binary(losses: Sequence[Any]) -> None:
    """Let losses take one channel of logits, in place."""
    for loss in losses:
        if type_name(loss) == 'CrossEntropyLoss':
            loss['use_sigmoid'] = True
        elif type_name(loss) == 'LovaszLoss':
            loss['loss_type'] = 'binary'


def add_finest_map(cfg: ConfigDict) -> None:
    """Let a backbone return its first map, too, after the others, in place.

    It stays as it is where a decode head counts its maps from the end, a neck wants no
    more maps, or the backbone has none or returns it in another place.
    """
    given = cfg.backbone.get('out_indices')
    indices = tuple(given if is_list(given) else ())
    heads = listed_configs(cfg.decode_head) + listed_configs(cfg.get('auxiliary_head'))
    places = [head.get('in_index', -1) for head in heads if head]
    counted = [i for one in places for i in (one if is_list(one) else [one])]
    from_the_end = min(counted) < 0 and not cfg.get('neck')
    if not indices or 0 in indices or from_the_end:
        return
    try:
        before, _ = sizes_of(cfg)
        cfg.backbone.out_indices = (*indices, 0)
        (*others, finest), _ = sizes_of(cfg)
        if others == before and finest > max(before):
            return
    except Exception:  # backbones say in their own ways what they cannot return
        pass
    cfg.backbone.out_indices = given


def is_list(value: Any) -> bool:
    """Tell whether a config has several values for a key."""
    return isinstance(value, list | tuple)


def sizes_of(cfg: ConfigDict) -> tuple[list[Size], list[Size]]:
    """Find the sizes (H, W) of a backbone's maps and, if it has one, of its neck's."""
    maps = built(cfg.backbone)(blank_image(cfg))
    feats = built(cfg.neck)(maps) if cfg.get('neck') else maps
    sizes, others = (
        [map_size(one) for one in some if isinstance(one, Tensor)]
        for some in (maps, feats)
    )
    return sizes, others


def built(cfg: ConfigDict) -> Any:
    """Build a module without content, for evaluation."""
    module = revert_sync_batchnorm(MODELS.build(deepcopy(cfg))).to('meta')
    module.eval()  # some return None
    return module


def blank_image(cfg: ConfigDict) -> Tensor:
    """Make an image (1, C, H, W) of the size of a crop, without content."""
    preprocessor = cfg.get('data_preprocessor') or {}
    size: Any = preprocessor.get('size') or 512
    channels = cfg.backbone.get('in_channels') or len(preprocessor.get('mean') or 'RGB')
    size = size if is_list(size) else (size, size)
    return torch.empty(1, channels, *size, device='meta')


def maps_of(cfg: ConfigDict) -> tuple[Sequence[Any], int | None]:
    """Find what a point head can read, without computing anything.

    Args:
        cfg: ``model`` of a config with a point head whose maps are not known yet.

    Returns:
        The maps that the decode head is given, and the channels of what it classifies,
        None if that cannot be read.

    Raises:
        InputError: the decode head cannot host a point head.
    """
    cfg = deepcopy(cfg)
    cfg.point_head.update(in_index=[DECODE_HEAD], in_channels=[1])
    model = revert_sync_batchnorm(MODELS.build(cfg)).to('meta').eval()
    classifier = getattr(model.decode_heads[-1], 'conv_seg', None)
    channels = getattr(classifier, 'in_channels', None)
    model.point_head.in_channels = [channels]
    feats, maps = model.extract(blank_image(cfg))
    try:
        model.decode(feats, maps)
    except InputError:
        channels = None
    if channels is None:  # what else is wrong shows without it
        model.point_head.reads_decode_head = False
        model.point_head.in_index = []
        model.point_head.in_channels = []
        model.decode(feats, maps)
    return maps, channels
