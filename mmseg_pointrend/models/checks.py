"""Does a config fit the code, a head its features, and an image the model?"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any

import torch
from mmseg.models.decode_heads.cascade_decode_head import BaseCascadeDecodeHead
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.registry import MODELS
from mmseg.utils import OptSampleList
from torch import Tensor

from mmseg_pointrend.errors import InputError, name_some


def check_host(key: str, cfg: dict[str, Any]) -> None:
    """Refuse a decode head that cannot host a point head, before it is built.

    Args:
        key: name of the head in the config.
        cfg: config of the head.

    Raises:
        InputError: the head computes its loss or prediction from something else than
            one map of logits.
    """
    head = cfg.get('type')
    if not inspect.isclass(head):
        head = MODELS.get(str(head))
    if head is None:
        return
    for method in ('loss', 'predict'):
        common = [
            getattr(base, method) for base in (BaseDecodeHead, BaseCascadeDecodeHead)
        ]
        if getattr(head, method, None) not in common:
            raise InputError(
                f'{key}.type={head.__name__!r} has its own {method}() and cannot host '
                'a point head: use a decode head that returns one map of logits, such '
                "as 'DepthwiseSeparableASPPHead'."
            )


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


def check_images(
    images: Sequence[Tensor], samples: OptSampleList, mean: Tensor | None
) -> None:
    """Compare images to predict with each other and with what the model normalises.

    Files are decoded to 8 bits in three channels; arrays come as they are.

    Args:
        images: (C, H, W) each.
        samples: their meta information, if any; ``img_path`` is None for an array.
        mean: the preprocessor's, (C, 1, 1); None leaves channels and values unchecked.

    Raises:
        InputError: sizes differ, or channels or values are not those that the mean is
            for.
    """
    if len({image.shape[1:] for image in images}) > 1:
        sizes = {sample.get('ori_shape') for sample in samples or ()}
        raise InputError(
            f'images of different sizes (H, W), {name_some(sorted(sizes))}, cannot be '
            'predicted together: give them one by one.'
        )
    if mean is None:
        return
    # A grey image is normalised to as many channels as the mean has.
    channels = len(images[0])
    if channels not in (1, len(mean)):
        raise InputError(
            f'the image has {channels} channels and data_preprocessor.mean has '
            f'{len(mean)}: give (H, W, {len(mean)}), without alpha, or grey, (H, W).'
        )
    for image, sample in zip(images, samples or (), strict=False):
        is_file = sample.get('img_path', '') is not None
        if is_file or image.dtype == torch.uint8 or not 1 < mean.max() <= 255:
            continue
        low, high = (value.item() for value in image.float().aminmax())
        fractions = image.is_floating_point() and 0 < high <= 1
        if low < 0 or high > 255 or fractions:
            raise InputError(
                f'the image has values from {low:g} to {high:g} but '
                'data_preprocessor.mean is that of 0 to 255: scale the image, or give '
                'uint8.'
            )
