"""Tiny models and batches shared by the tests."""

from __future__ import annotations

import mmseg_pointrend  # noqa: F401  isort: skip  (must come before mmseg)

from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.config import Config
from mmengine.structures import PixelData
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from mmseg.utils import register_all_modules

ROOT = Path(__file__).parents[1]


@pytest.fixture(autouse=True)
def _scope_and_seed() -> None:
    register_all_modules(init_default_scope=True)
    torch.manual_seed(0)


def tiny_model_config(
    num_classes: int = 5,
    out_channels: int | None = None,
    align_corners: bool = False,
    **point_head: Any,
) -> Config:
    """DeepLabv3+ of the front-door config, shrunk to a few thousand parameters."""
    cfg = Config.fromfile(ROOT / 'configs/pointrend_deeplabv3plus_cityscapes.py')
    model = cfg.model
    bn = dict(type='BN')
    model.pretrained = None
    model.data_preprocessor.size = None
    model.data_preprocessor.size_divisor = 16
    model.backbone.update(depth=18, base_channels=8, stem_channels=8, norm_cfg=bn)
    loss = dict(type='CrossEntropyLoss', use_sigmoid=out_channels == 1)
    heads = dict(
        num_classes=num_classes,
        out_channels=out_channels,
        align_corners=align_corners,
        norm_cfg=bn,
        channels=8,
        loss_decode=loss,
    )
    model.decode_head.update(in_channels=64, c1_in_channels=8, c1_channels=4, **heads)
    model.auxiliary_head.update(in_channels=32, **heads)
    model.point_head.update(in_channels=[8], subdivision_num_points=128, **point_head)
    model.point_head.mlp.update(hidden_channels=16)
    return model


def tiny_model(**kwargs: Any) -> Any:
    """An initialised tiny model in evaluation mode.

    Predictors start close to zero; here they get weights that make points matter.
    """
    model = MODELS.build(deepcopy(tiny_model_config(**kwargs)))
    model.init_weights()
    for predictor in (model.point_head.mlp.predictor, model.decode_head.conv_seg):
        torch.nn.init.normal_(predictor.weight, std=0.5)
    return model.eval()


def batch(
    size: tuple[int, int] = (64, 96),
    images: int = 2,
    num_classes: int = 5,
    **meta: Any,
) -> tuple[torch.Tensor, list[SegDataSample]]:
    """Random images and labels with MMSegmentation's meta information."""
    samples = []
    for _ in range(images):
        sample = SegDataSample(
            gt_sem_seg=PixelData(data=torch.randint(0, num_classes, (1, *size)))
        )
        sample.set_metainfo(
            {'img_shape': size, 'ori_shape': size, 'pad_shape': size, **meta}
        )
        samples.append(sample)
    return torch.randn(images, 3, *size), samples
