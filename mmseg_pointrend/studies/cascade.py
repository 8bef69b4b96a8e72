"""MMSegmentation's cascade of a plain model and its ``PointHead``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mmengine.config import ConfigDict
from torch import Tensor

from mmseg_pointrend.engine.config import listed_configs


def make_cascade(
    cfg: ConfigDict,
    head: dict[str, Any],
    *,
    num_points: int = 2048,
    oversample_ratio: float = 3,
    importance_sample_ratio: float = 0.75,
    subdivision_num_points: int = 8196,
) -> None:
    """Put a ``PointHead`` after the heads of a plain model, in place.

    Defaults, the two subdivision steps and what every layer is fed with are those of
    MMSegmentation's ``configs/point_rend``.

    Args:
        cfg: ``model`` of a config.
        head: what the points read, ``in_index`` and ``in_channels``, and other keys.
        num_points: N of section 3.1 of PointRend.
        oversample_ratio: k of section 3.1.
        importance_sample_ratio: beta of section 3.1.
        subdivision_num_points: classified at each step of rendering.
    """
    heads = listed_configs(cfg.decode_head)
    last = heads[-1]
    point_head = dict(
        type='PointHead',
        channels=256,
        dropout_ratio=-1,
        num_classes=last.num_classes,
        align_corners=last.get('align_corners', False),
        ignore_index=last.get('ignore_index', 255),
    )
    cfg.type = 'CascadeEncoderDecoder'
    cfg.num_stages = len(heads) + 1
    cfg.decode_head = [*heads, {**point_head, **head}]
    cfg.train_cfg = ConfigDict(
        num_points=num_points,
        oversample_ratio=oversample_ratio,
        importance_sample_ratio=importance_sample_ratio,
    )
    cfg.test_cfg = ConfigDict(
        mode='whole',
        subdivision_steps=2,
        subdivision_num_points=subdivision_num_points,
        scale_factor=2,
    )


def as_first_of_cascade(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename weights of a decode head to those of the first in a list."""
    return {
        f'decode_head.0.{name[12:]}' if name.startswith('decode_head.') else name: value
        for name, value in weights.items()
    }
