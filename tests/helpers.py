"""Tiny models and batches shared by the tests."""

from __future__ import annotations

import os

if 'PYTEST_XDIST_WORKER' in os.environ:  # a core each; torch reads it at import
    os.environ.setdefault('OMP_NUM_THREADS', '1')

import mmseg_pointrend  # noqa: F401  isort: skip  (must come before mmseg)

import json
import subprocess
import sys
from copy import deepcopy
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmengine.structures import PixelData
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from torch import nn

from mmseg_pointrend.engine.config import load_config, resume_latest
from mmseg_pointrend.engine.runner import build_runner
from mmseg_pointrend.rendering.grids import Grid
from mmseg_pointrend.studies.accuracy.contenders import LOSSES, pointhead

ROOT = Path(__file__).parents[1]
CAMVID = ROOT / 'configs/deeplabv3plus_efficientnet-lite0-d16_1xb4-2k_camvid-360x480.py'


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
    model.point_head.update(
        {'in_channels': [8], 'subdivision_num_points': 128, **point_head}
    )
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


def make_head(**kwargs: Any) -> Any:
    """A point head for 4 classes and 6 fine channels, in evaluation mode."""
    head = MODELS.build(
        dict(
            dict(
                type='PointRendHead',
                num_classes=4,
                in_channels=[6],
                mlp=dict(type='PointMLP', hidden_channels=16),
            ),
            **kwargs,
        )
    )
    head.init_weights()
    nn.init.normal_(head.mlp.predictor.weight, std=0.5)
    return head.eval()


class CopyFine(nn.Module):
    """An MLP that answers with the fine features."""

    def forward(self, fine: torch.Tensor, coarse: torch.Tensor) -> torch.Tensor:
        return fine


def coordinate_map(size: tuple[int, int], align_corners: bool) -> torch.Tensor:
    """A map that holds (x, y) of its own pixel centres: (1, 2, H, W)."""
    indices = torch.arange(size[0] * size[1]).unsqueeze(0)
    centers = Grid.of_frame(size, align_corners).points(indices)
    return centers.transpose(1, 2).unflatten(2, size)


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


TINY = """
_base_ = {base!r}
train_dataloader = dict(
    batch_size=2, num_workers=0, persistent_workers=False,
    dataset=dict(data_root={data!r}))
val_dataloader = dict(
    num_workers=0, persistent_workers=False, dataset=dict(data_root={data!r}))
test_dataloader = val_dataloader
env_cfg = dict(dist_cfg=dict(backend='gloo'))
train_cfg = dict(max_iters=4, val_interval=4)
param_scheduler = [dict(type='ConstantLR', factor=1.0, by_epoch=False)]
default_hooks = dict(
    logger=dict(interval=1), checkpoint=dict(interval=2, max_keep_ckpts=-1))
model = dict(
    data_preprocessor=dict(size=(64, 128)),
    backbone=dict(
        stem_channels=8, base_channels=8, num_stages=4, out_indices=(0, 1, 2, 3),
        strides=(1, 2, 2, 1), dilations=(1, 1, 1, 2)),
    decode_head=dict(
        in_index=3, in_channels=64, channels=8, c1_in_channels=8, c1_channels=4),
    auxiliary_head=dict(
        _delete_=True, type='FCNHead', in_channels=32, in_index=2, channels=8,
        num_convs=1, concat_input=False, num_classes=19, norm_cfg=dict(type='BN')),
    {point_head}
)
"""
POINT_HEAD = """point_head=dict(
        _delete_=True, type='PointRendHead', in_index=[0], in_channels=[8],
        num_points=1024, coarse_from='initial', mlp=dict(hidden_channels=64))
"""


def run_tool(
    *args: object, timeout: float = 400, cwd: Path = ROOT, **env: str
) -> subprocess.CompletedProcess[str]:
    """Run a command of ``tools/`` in a process of its own, from the repository root."""
    return subprocess.run(
        [str(arg) for arg in args],
        cwd=cwd,
        env={**os.environ, 'OMP_NUM_THREADS': '1', 'PYTHON': sys.executable, **env},
        capture_output=True,
        text=True,
        timeout=timeout,
    )


class Recorder(Hook):
    """Keeps what iterations and evaluations gave, and the model after each."""

    priority = 'LOWEST'

    def __init__(self) -> None:
        self.losses: dict[int, dict[str, float]] = {}
        self.evaluations: dict[int, dict[str, float]] = {}
        self.states: dict[int, dict[str, torch.Tensor]] = {}

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any, outputs: dict
    ) -> None:
        self.losses[batch_idx + 1] = {k: v.item() for k, v in outputs.items()}
        self.states[batch_idx + 1] = deepcopy(runner.model.state_dict())

    def after_val_epoch(self, runner: Runner, metrics: dict) -> None:
        self.evaluations[runner.iter] = metrics


def train_here(
    config: Path, work_dir: Path, *hooks: Hook, resume: bool = False, **options: Any
) -> Recorder:
    """Train in this process and record what happens.

    The config is logged and saved without the formatter that takes most of the time.
    """
    cfg = load_config(str(config), options, work_dir=str(work_dir))
    if resume:
        resume_latest(cfg)
    recorder = Recorder()
    plain_text = property(lambda self: f'config = {self.to_dict()}')
    with patch.object(Config, 'pretty_text', plain_text):
        runner = build_runner(cfg)
        for hook in (*hooks, recorder):
            runner.register_hook(hook)
        runner.train()
    return recorder


def logged_losses(work_dir: Path) -> dict[int, dict[str, float]]:
    """What the latest training in a folder logged of each iteration."""
    log = max(work_dir.glob('*/vis_data/scalars.json'))
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    return {
        line['step']: {name: line[name] for name in line if 'loss' in name}
        for line in lines
        if 'loss' in line
    }


def pointhead_config() -> Config:
    """A config with MMSegmentation's ``PointHead``, as ``compare.py`` derives it."""
    cfg = Config.fromfile(CAMVID)
    pointhead(cfg, dict(type='PointRendHead'), LOSSES['lovasz'])
    return cfg
