"""Does a head fit the features it gets?"""

from __future__ import annotations

from collections.abc import Sequence

from mmseg.models.decode_heads.decode_head import BaseDecodeHead
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
    if not all(-len(feats) <= index < len(feats) for index in indices):
        raise InputError(
            f'{key}.in_index={head.in_index} but there are {len(feats)} feature maps: '
            f'use 0 to {len(feats) - 1}.'
        )
    channels = [feats[index].shape[1] for index in indices]
    given = head.in_channels
    if head.input_transform == 'resize_concat':
        fits = sum(channels) == given
    else:
        fits = channels == ([given] if single else list(given))
    if not fits:
        wanted = channels[0] if single else channels
        got = f'map {indices[0]} has' if single else f'maps {indices} have'
        raise InputError(
            f'{key}.in_channels={given} but feature {got} {wanted} channels: '
            f'set in_channels={wanted}.'
        )
