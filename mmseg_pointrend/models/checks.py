"""Does a config fit the code, and a head the features it gets?"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any

from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.registry import MODELS
from torch import Tensor

from mmseg_pointrend.errors import InputError


def check_channels(key: str, head: BaseDecodeHead, feats: Sequence[Tensor]) -> None:
    """Compare a head's ``in_index`` and ``in_channels`` with the features.

    Args:
        key: name of the head in the config.
        head: a decode head or point head.
        feats: feature maps of the backbone or neck, (N, C, H, W) each.

    Raises:
        InputError: they differ; the sentence says what to set.
    """
    single = isinstance(head.in_index, int)
    indices = [head.in_index] if single else list(head.in_index)
    # The features of the decode head, where a point head reads them, come last.
    decoder = [-1] if getattr(head, 'reads_decode_head', False) else []
    count = len(feats) - len(decoder)
    if not all(-count <= index < count for index in indices if index not in decoder):
        raise InputError(
            f'{key}.in_index={head.in_index} but there are {count} feature maps: '
            f'use 0 to {count - 1}.'
        )
    channels = [feats[index].shape[1] for index in indices]
    given = head.in_channels
    if head.input_transform == 'resize_concat':
        fits = sum(channels) == given
    else:
        fits = channels == ([given] if single else list(given))
    if not fits:
        names = ['decode_head' if index in decoder else index for index in indices]
        wanted = channels[0] if single else channels
        got = f'map {indices[0]} has' if single else f'maps {names} have'
        raise InputError(
            f'{key}.in_channels={given} but feature {got} {wanted} channels: '
            f'set in_channels={wanted}.'
        )


def check_keys(key: str, cfg: dict[str, Any], owner: Any = None) -> None:
    """Compare the keys of a config with the arguments of what it builds.

    Args:
        key: name of the dict in the config.
        cfg: the dict.
        owner: the class; by default the one that ``type`` names, if it is registered.

    Raises:
        InputError: a key is no argument; the sentence suggests the nearest one.
    """
    owner = owner or MODELS.get(str(cfg.get('type')))
    if owner is None:
        return
    parameters = inspect.signature(owner).parameters
    if any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        return
    for name in cfg:
        if name != 'type' and name not in parameters:
            near = get_close_matches(name, parameters, n=1)
            hint = f'use {near[0]!r}' if near else f'use one of {", ".join(parameters)}'
            raise InputError(f'{key} has no key {name!r}: {hint}.')
