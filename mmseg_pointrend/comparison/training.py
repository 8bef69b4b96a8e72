"""Continue one checkpoint as several models, with the same seed and data order."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.runner import find_latest_checkpoint

from mmseg_pointrend.errors import InputError
from mmseg_pointrend.launch import load_config

TRAIN = Path(__file__).parents[2] / 'tools/train.py'


@dataclass(frozen=True)
class Contender:
    """A model to train.

    Attributes:
        name: of its folder and its row in the table.
        config: config file.
        options: changes of the config, dotted keys.
    """

    name: str
    config: str
    options: dict[str, Any]


def shortened(cfg: Config, iterations: int, lr_factor: float) -> None:
    """Squeeze the schedule of a config into fewer iterations, in place.

    Args:
        cfg: config of an ``IterBasedTrainLoop``.
        iterations: how many there will be; validation follows the last one.
        lr_factor: what multiplies the learning rate.
    """
    share = iterations / cfg.train_cfg.max_iters
    for scheduler in cfg.param_scheduler:
        for key in ('begin', 'end'):
            scheduler[key] = round(scheduler[key] * share)
    cfg.param_scheduler = [
        one for one in cfg.param_scheduler if one['begin'] < one['end']
    ]
    cfg.train_cfg.update(max_iters=iterations, val_interval=iterations)
    cfg.optim_wrapper.optimizer.lr *= lr_factor


def train(
    contender: Contender,
    folder: Path,
    *,
    iterations: int | None = None,
    start: Path | None = None,
    lr_factor: float = 1,
    options: dict[str, Any],
) -> Path:
    """Train in a process of its own; continue or skip what an earlier call did.

    Args:
        contender: the model.
        folder: where its config, logs and checkpoints go.
        iterations: how many; None keeps the config's schedule.
        start: checkpoint of the plain model to continue.
        lr_factor: what multiplies the learning rate if ``iterations`` is given.
        options: changes of the config that all contenders share.

    Returns:
        The last checkpoint.

    Raises:
        InputError: training failed.
    """
    cfg = load_config(contender.config, {**options, **contender.options})
    if iterations is not None:
        shortened(cfg, iterations, lr_factor)
    last = folder / f'iter_{cfg.train_cfg.max_iters}.pth'
    if last.is_file():
        return last
    folder.mkdir(parents=True, exist_ok=True)
    if start is not None:
        cfg.load_from = str(start)
        if isinstance(cfg.model.decode_head, list):
            cfg.load_from = str(as_cascade(start, folder))
    config = folder / 'train.py'
    cfg.dump(config)
    command = [sys.executable, str(TRAIN), str(config), '--work-dir', str(folder)]
    if find_latest_checkpoint(str(folder)):
        command.append('--resume')
    with (folder / 'train.log').open('a') as log:
        result = subprocess.run(
            command, stdout=log, stderr=subprocess.STDOUT, env=os.environ
        )
    if result.returncode != 0 or not last.is_file():
        raise InputError(
            f'training {contender.name} ended with status {result.returncode}: see '
            f'{folder / "train.log"}, mend it and run this again.'
        )
    return last


def as_cascade(checkpoint: Path, folder: Path) -> Path:
    """A checkpoint whose decode head is the first of a list, as a new file."""
    weights = torch.load(checkpoint, map_location='cpu')['state_dict']
    renamed = {
        name.replace('decode_head.', 'decode_head.0.', 1)
        if name.startswith('decode_head.')
        else name: value
        for name, value in weights.items()
    }
    path = folder / 'start.pth'
    torch.save(dict(state_dict=renamed, meta={}), path)
    return path
