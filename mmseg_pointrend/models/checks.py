"""Does a config fit the code, a head its features, and an image the model?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

import torch
from mmseg.models.decode_heads.cascade_decode_head import BaseCascadeDecodeHead
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.registry import MODELS
from mmseg.utils import OptSampleList
from torch import Tensor

from mmseg_pointrend.errors import InputError, check_arguments, name_some
from mmseg_pointrend.models.view import check_resize
from mmseg_pointrend.rendering.grids import map_size

T = TypeVar('T')

DECODE_HEAD = 'decode_head'
"""What ``point_head.in_index`` calls the features that the decode head classifies."""

SHARED = 'num_classes', 'out_channels', 'threshold', 'align_corners', 'ignore_index'
"""What a point head has in common with its decode head."""

NOT_ONE_MAP = 'DDRHead', 'PIDHead', 'IterativeDecodeHead', 'VPDDepthHead'
"""Their losses are of several maps, or of depth; nothing else tells them apart."""


def class_of(cfg: dict[str, Any]) -> Any:
    """Look up what the registry builds from a config; None if it does not know it."""
    kind = cfg.get('type')
    if not isinstance(kind, str):
        return kind
    with MODELS.switch_scope_and_registry(None) as registry:
        return registry.get(kind)


def numbered(key: str, heads: Sequence[T]) -> Iterator[tuple[str, T]]:
    """Name heads as in the config: ``key``, or ``key[0]`` and so on."""
    for i, head in enumerate(heads):
        yield (key if len(heads) == 1 else f'{key}[{i}]'), head


def listed(one_or_list: Any) -> list[Any]:
    """List modules that MMSegmentation keeps as one or as a list."""
    several = isinstance(one_or_list, torch.nn.ModuleList)
    return list(one_or_list) if several else [one_or_list]


def check_fine_features(in_index: Any, in_channels: Any) -> None:
    """Refuse a point head's ``in_index`` or ``in_channels`` that name no maps.

    Raises:
        InputError: names the first that is wrong.
    """
    for name, value, right, wanted in (
        ('in_index', in_index, is_index_list(in_index),
         "a list of numbers of feature maps, and 'decode_head' at most once"),
        ('in_channels', in_channels, is_channel_list(in_channels),
         'a list of positive integers'),
    ):  # fmt: skip
        if isinstance(value, int):
            wanted = f'a list, [{value}]'
        check_arguments([(right, f'{name}={value!r}', wanted)], 'point_head.')
    if len(in_index) != len(in_channels):
        raise InputError(
            f'point_head.{in_channels=}: give as many entries as {in_index=}.'
        )


def check_point_head(head: Any) -> None:
    """Refuse a point head whose other arguments are out of their range.

    Raises:
        InputError: names the first that is wrong.
    """
    points, subdivision = head.num_points, head.subdivision_num_points
    window = head.coarse_window
    rules = (
        ('threshold', head.out_channels > 1 or 0 < head.threshold < 1,
         'a probability between 0 and 1'),
        ('fine_from', head.fine_from in ('neck', 'backbone'), "'neck' or 'backbone'"),
        ('num_points', points is None or (isinstance(points, int) and points > 0),
         'None or a positive integer'),
        ('oversample_ratio', head.oversample_ratio >= 1, 'a number of at least 1'),
        ('importance_sample_ratio', 0 <= head.importance_sample_ratio <= 1,
         'a number in [0, 1]'),
        ('subdivision_num_points', isinstance(subdivision, int) and subdivision >= 0,
         'an integer of at least 0'),
        ('scale_factor', head.scale_factor > 1, 'a number above 1'),
        ('coarse_from', head.coarse_from in ('current', 'initial'),
         "'current' or 'initial'"),
        ('coarse_window', isinstance(window, int) and window % 2 == 1 and window > 0,
         'a positive odd integer'),
        ('padding_mode', head.padding_mode in ('border', 'zeros'),
         "'border' or 'zeros'"),
    )  # fmt: skip
    for name, right, wanted in rules:
        given = f'{name}={getattr(head, name)!r}'
        check_arguments([(right, given, wanted)], 'point_head.')


def is_index_list(in_index: Any) -> bool:
    """Tell whether each name has one meaning; with the decode head's, -1 has two."""
    if not isinstance(in_index, list | tuple):
        return False
    numbers = [index for index in in_index if type(index) is int]  # True is no number
    names = [index for index in in_index if type(index) is not int]
    if names:
        return names == [DECODE_HEAD] and min(numbers, default=0) >= 0
    return bool(numbers)


def is_channel_list(in_channels: Any) -> bool:
    """Tell whether channels are counted, one number a map."""
    return isinstance(in_channels, list | tuple) and all(
        type(count) is int and count > 0 for count in in_channels
    )


def check_hosts(decode_head: Any, num_stages: int | None) -> None:
    """Refuse decode heads that cannot host a point head, before they are built.

    Args:
        decode_head: config of a head, or a list of configs that run as a cascade.
        num_stages: how many there are meant to be, if it is given.

    Raises:
        InputError: a head computes its loss or prediction from something else than one
            map of logits, or refines another head's in the wrong place of the list.
    """
    several = isinstance(decode_head, list) and decode_head
    heads = decode_head if several else [decode_head]
    if num_stages not in (None, len(heads)):
        raise InputError(
            f'model.{num_stages=} but decode_head has {len(heads)} heads: remove '
            'num_stages.'
        )
    for i, (key, cfg) in enumerate(numbered('decode_head', heads)):
        if not isinstance(cfg, dict) or 'type' not in cfg:
            raise InputError(
                f'{key} is no dict with a type: give the config of a decode head, or a '
                'list of configs.'
            )
        head = class_of(cfg)
        if head is None:
            continue
        obstacle = obstacle_of(head)
        if obstacle:
            raise InputError(
                f'{key}.type={head.__name__!r} {obstacle} and cannot host a point '
                'head: use a decode head that returns one map of logits, such as '
                "'DepthwiseSeparableASPPHead'."
            )
        refines = issubclass(head, BaseCascadeDecodeHead)
        if refines and i == 0:
            raise InputError(
                f'{key}.type={head.__name__!r} refines the logits of another head: '
                "give a list with that head first, such as dict(type='FCNHead', ...)."
            )
        if not refines and i > 0:
            raise InputError(
                f'{key}.type={head.__name__!r} does not refine the logits of the head '
                "before it, as 'OCRHead' does: move it to auxiliary_head."
            )


def obstacle_of(head: Any) -> str | None:
    """Say what keeps a class of decode heads from hosting points, if anything."""
    bases = BaseDecodeHead, BaseCascadeDecodeHead
    for method in ('loss', 'predict'):
        if getattr(head, method, None) not in [getattr(one, method) for one in bases]:
            return f'has its own {method}()'
    owner = next(kind for kind in head.__mro__ if 'loss_by_feat' in vars(kind))
    if owner.__name__ in NOT_ONE_MAP:
        return 'trains on something else than one map of logits'
    return None


def complete_point_head(cfg: Any, host: BaseDecodeHead) -> dict[str, Any]:
    """Give the config of a point head what it shares with the decode head.

    Args:
        cfg: the config; its ``type`` may be missing.
        host: the (last) decode head.

    Raises:
        InputError: it is no config of a point head, or contradicts the decode head.
    """
    if not isinstance(cfg, dict):
        raise InputError(
            f"point_head={cfg}: give a dict with type='PointRendHead', or use "
            "model.type='EncoderDecoder' without it."
        )
    cfg = {'type': 'PointRendHead', **cfg}
    kind = class_of(cfg)
    if not (isinstance(kind, type) and hasattr(kind, 'point_loss')):
        raise InputError(f"point_head.type={cfg['type']!r}: give 'PointRendHead'.")
    for key in SHARED:
        value = getattr(host, key)
        if cfg.setdefault(key, value) != value:
            raise InputError(
                f'point_head.{key}={cfg[key]} but decode_head.{key}={value}: '
                f'remove {key} from point_head, it follows the decode head.'
            )
    return cfg


def check_maps(maps: Any) -> None:
    """Refuse, by an :class:`InputError`, one map instead of a list of maps.

    An index would pick an image of the batch.
    """
    if isinstance(maps, Tensor):
        raise InputError(
            'the backbone or neck returns one tensor and no list of feature maps, as '
            "DDRNet and PIDNet do: use another model.backbone, such as 'ResNetV1c'."
        )


def check_channels(key: str, head: BaseDecodeHead, feats: Sequence[Tensor]) -> None:
    """Compare a head's ``in_index`` and ``in_channels`` with the features.

    A head without ``in_index``, or that is given more than tensors (DPT takes pairs of
    a map and a token), is left to itself, unless it is a point head.

    Args:
        key: name of the head in the config.
        head: a decode head, auxiliary head or point head.
        feats: feature maps of the backbone or neck, (N, C, H, W) each.

    Raises:
        InputError: they differ.
    """
    if not hasattr(head, 'in_index'):
        return
    single = isinstance(head.in_index, int)
    indices = [head.in_index] if single else list(head.in_index)
    is_point_head = hasattr(head, 'reads_decode_head')
    # The features of the decode head, where a point head reads them, come last.
    decoder = [-1] if is_point_head and head.reads_decode_head else []
    count = len(feats) - len(decoder)
    if not all(-count <= index < count for index in indices if index not in decoder):
        raise InputError(
            f'{key}.in_index={head.in_index} but there are {count} feature maps: '
            f'use 0 to {count - 1}.'
        )
    maps = [feats[index] for index in indices]
    for index, one in zip(indices, maps, strict=True):
        if isinstance(one, Tensor):
            continue
        if not is_point_head:
            return
        raise InputError(
            f'{key}.in_index names {index}, which is a {type(one).__name__} and no '
            "feature map: use in_index=['decode_head'], the decode head's features."
        )
    channels = [one.shape[1] for one in maps]
    given = head.in_channels
    concatenated = head.input_transform == 'resize_concat'
    found = [sum(channels)] if concatenated else channels
    if found != (list(given) if isinstance(given, list | tuple) else [given]):
        names = ['decode_head' if index in decoder else index for index in indices]
        wanted = channels[0] if single else channels
        got = f'map {indices[0]} has' if single else f'maps {names} have'
        raise InputError(
            f'{key}.in_channels={given} but feature {got} {wanted} channels: '
            f'set in_channels={wanted}.'
        )


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
        InputError: sizes differ, or one was padded or cropped, or channels or values
            are not those that the mean is for.
    """
    if len({image.shape[1:] for image in images}) > 1:
        sizes = {sample.get('ori_shape') for sample in samples or ()}
        raise InputError(
            f'images of different sizes (H, W), {name_some(sorted(sizes))}, cannot be '
            'predicted together: give them one by one.'
        )
    for image, sample in zip(images, samples or (), strict=False):
        check_resize(sample.metainfo, map_size(image))
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
