"""Train on street scenes, evaluate with and without rendering, draw the difference."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from mmengine.config import Config
from mmengine.runner import Runner

from mmseg_pointrend.engine.config import load_config, resume_latest
from mmseg_pointrend.engine.runner import build_runner
from mmseg_pointrend.studies.comparison.picture import compare, densest, draw
from mmseg_pointrend.studies.demo.street_scenes import write_dataset

SIZE = 256, 512


def run_demo(
    config: str,
    plain_config: str,
    work_dir: Path,
    *,
    scenes: tuple[int, int],
    options: dict[str, Any],
    workers: int,
) -> None:
    """Generate scenes, train, evaluate twice and write ``pointrend.png``.

    A second call continues where the first one was stopped.

    Args:
        config: config file of the PointRend model.
        plain_config: the same model without a point head; it evaluates the same
            checkpoint with one bilinear resize.
        work_dir: where the scenes, the checkpoints and the picture go.
        scenes: how many to train on and to validate.
        options: dotted keys of both configs, and their values.
        workers: processes that draw scenes.
    """
    data = work_dir / 'street_scenes'
    num_train, num_val = scenes
    print(f'1/4 Drawing {num_train + num_val} street scenes into {data}')
    write_dataset(
        data, num_train=num_train, num_val=num_val, size=SIZE, seed=0, workers=workers
    )
    print('2/4 Training DeepLabv3+ with PointRend')
    train_dir = work_dir / 'train'
    cfg = demo_config(config, options, data, train_dir)
    resume_latest(cfg)
    build_runner(cfg).train()
    checkpoint = (train_dir / 'last_checkpoint').read_text().strip()

    print('3/4 Evaluating the same checkpoint without and with rendering')
    folders = work_dir / 'plain', work_dir / 'rendered'
    plain = demo_config(plain_config, options, data, folders[0], checkpoint)
    rendered = demo_config(config, options, data, folders[1], checkpoint)
    plain_miou = build_runner(plain).test()['mIoU']
    runner = build_runner(rendered)
    rendered_miou = runner.test()['mIoU']

    print('4/4 Drawing the difference')
    picture = work_dir / 'pointrend.png'
    draw_comparison(runner, picture)
    print(f'\nmIoU, {num_val} validation scenes, the same checkpoint')
    print(f'  DeepLabv3+, one bilinear resize: {plain_miou:.2f}')
    print(f'  DeepLabv3+, PointRend rendering: {rendered_miou:.2f}')
    print(f'Picture: {picture}')


def demo_config(
    path: str,
    options: dict[str, Any],
    data: Path,
    work_dir: Path,
    checkpoint: str | None = None,
) -> Config:
    """Load a demo config with its data, work folder and checkpoint filled in."""
    cfg = load_config(path, options, work_dir=str(work_dir))
    for key in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
        cfg[key].dataset.data_root = str(data)
    cfg.load_from = checkpoint
    cfg.experiment_name = work_dir.name
    return cfg


def draw_comparison(runner: Runner, path: Path) -> None:
    """Draw the test scene that gains most, and a zoom on where it gains most.

    Args:
        runner: a runner whose model is a loaded :class:`PointRendEncoderDecoder`.
        path: the PNG file.
    """
    dataset = runner.test_dataloader.dataset
    model = runner.model.eval()
    gains = [compare(model, dataset[i]).gain.sum() for i in range(len(dataset))]
    scene = int(np.argmax(gains))
    result = compare(model, dataset[scene])
    title = (
        f'Validation scene {scene}, the one of {len(dataset)} in which most pixels are '
        'put right, and a zoom on where'
    )
    draw(result, densest(result.gain), dataset.metainfo['palette'], title, path)
