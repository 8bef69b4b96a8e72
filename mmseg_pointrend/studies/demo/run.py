"""Train on street scenes, evaluate with and without rendering, draw the difference."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import torch
import torch.nn.functional as F
from matplotlib.patches import Rectangle
from mmengine.config import Config
from mmengine.runner import Runner
from scipy.ndimage import uniform_filter
from torch import Tensor

from mmseg_pointrend.engine.config import load_config, resume_latest
from mmseg_pointrend.engine.runner import build_runner
from mmseg_pointrend.models import PointRendEncoderDecoder
from mmseg_pointrend.rendering.grids import map_size
from mmseg_pointrend.studies.demo.street_scenes import write_dataset
from mmseg_pointrend.studies.pictures import save, show

NUM_TRAIN, NUM_VAL, SIZE = 96, 16, (256, 512)
SCENE, ZOOM = 11, (64, 96)


def run_demo(config: str, plain_config: str, work_dir: Path, workers: int) -> None:
    """Generate scenes, train, evaluate twice and write ``pointrend.png``.

    A second call continues where the first one was stopped.

    Args:
        config: config file of the PointRend model.
        plain_config: the same model without a point head; it evaluates the same
            checkpoint with one bilinear resize.
        work_dir: where the scenes, the checkpoints and the picture go.
        workers: processes that draw scenes.
    """
    data = work_dir / 'street_scenes'
    print(f'1/4 Drawing {NUM_TRAIN + NUM_VAL} street scenes into {data}')
    write_dataset(
        data, num_train=NUM_TRAIN, num_val=NUM_VAL, size=SIZE, seed=0, workers=workers
    )
    print('2/4 Training DeepLabv3+ with PointRend')
    train_dir = work_dir / 'train'
    cfg = demo_config(config, data, train_dir)
    resume_latest(cfg)
    build_runner(cfg).train()
    checkpoint = (train_dir / 'last_checkpoint').read_text().strip()

    print('3/4 Evaluating the same checkpoint without and with rendering')
    plain = demo_config(plain_config, data, work_dir / 'plain', checkpoint)
    rendered = demo_config(config, data, work_dir / 'rendered', checkpoint)
    plain_miou = build_runner(plain).test()['mIoU']
    runner = build_runner(rendered)
    rendered_miou = runner.test()['mIoU']

    print('4/4 Drawing the difference')
    picture = work_dir / 'pointrend.png'
    draw_comparison(runner, picture)
    print(f'\nmIoU, {NUM_VAL} validation scenes, the same checkpoint')
    print(f'  DeepLabv3+, one bilinear resize: {plain_miou:.2f}')
    print(f'  DeepLabv3+, PointRend rendering: {rendered_miou:.2f}')
    print(f'Picture: {picture}')


def demo_config(
    path: str, data: Path, work_dir: Path, checkpoint: str | None = None
) -> Config:
    """A demo config with its data, work folder and checkpoint filled in."""
    cfg = load_config(path, work_dir=str(work_dir))
    for key in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
        cfg[key].dataset.data_root = str(data)
    cfg.load_from = checkpoint
    cfg.experiment_name = work_dir.name
    return cfg


@torch.no_grad()
def draw_comparison(runner: Runner, path: Path, scene: int = SCENE) -> None:
    """Draw a validation scene: image, truth, predictions, points and a zoom.

    The zoom shows where rendering puts most pixels right.

    Args:
        runner: a runner whose model is a loaded :class:`PointRendEncoderDecoder`.
        path: the PNG file.
        scene: number of the scene in the test set.
    """
    model: PointRendEncoderDecoder = runner.model.eval()
    dataset = runner.test_dataloader.dataset
    sample = dataset[scene]
    palette = np.array([*dataset.metainfo['palette'], [0, 0, 0]], dtype=np.uint8)
    image = sample['inputs'].permute(1, 2, 0).flip(2).numpy()
    truth = sample['data_samples'].gt_sem_seg.data[0]
    plain, rendered, chosen = predict_both(model, sample)

    def paint(labels: Tensor) -> np.ndarray:
        return palette[labels.clamp(max=len(palette) - 1)]

    right = (rendered == truth) & (plain != truth)
    wrong = (rendered != truth) & (plain == truth) & (truth != 255)
    gain = right.numpy().astype(float) - wrong.numpy()
    density = uniform_filter(gain, ZOOM, mode='constant')
    height, width = truth.shape
    row, column = np.unravel_index(density.argmax(), density.shape)
    top = int(np.clip(row - ZOOM[0] // 2, 0, height - ZOOM[0]))
    left = int(np.clip(column - ZOOM[1] // 2, 0, width - ZOOM[1]))
    window = slice(top, top + ZOOM[0]), slice(left, left + ZOOM[1])

    points = image // 3
    points[chosen] = (255, 255, 0)
    changes = image // 3
    changes[right] = (60, 220, 60)
    changes[wrong] = (255, 60, 60)
    panels = {
        'image': image,
        'truth': paint(truth),
        f'the {int(chosen.sum())} points of the last step': points,
        'bilinear upsampling': paint(plain),
        'PointRend': paint(rendered),
        'pixels put right (green) and wrong (red)': changes,
    }
    figure = plt.figure(figsize=(15, 8.6), layout='constrained')
    grid = figure.add_gridspec(3, 12, height_ratios=(1, 1, 1.05))
    for i, (title, picture) in enumerate(panels.items()):
        axes = figure.add_subplot(grid[i // 3, i % 3 * 4 : i % 3 * 4 + 4])
        show(axes, picture, title)
        axes.add_patch(
            Rectangle(
                (left - 0.5, top - 0.5), *ZOOM[::-1], fill=False, color='white', lw=1.5
            )
        )
    for i, title in enumerate(('image', 'truth', 'bilinear upsampling', 'PointRend')):
        axes = figure.add_subplot(grid[2, i * 3 : i * 3 + 3])
        show(axes, panels[title][window], f'{title}, zoom')
    save(figure, path, dpi=100)


def predict_both(
    model: PointRendEncoderDecoder, sample: dict[str, Any]
) -> tuple[Tensor, Tensor, Tensor]:
    """Labels by one bilinear resize and by rendering, and the last step's pixels.

    Args:
        model: the model in evaluation mode.
        sample: what the data set returns.

    Returns:
        Three maps (H, W) on the CPU: labels, labels, bool.
    """
    batch = dict(inputs=[sample['inputs']], data_samples=[sample['data_samples']])
    inputs = model.data_preprocessor(batch)['inputs']
    fine, [coarse] = model.decode(*model.extract(inputs))
    size = map_size(inputs)
    plain = F.interpolate(coarse, size, mode='bilinear').argmax(dim=1)[0].cpu()
    steps = model.point_head.steps(coarse, size)
    renderer = model.point_head.renderer(fine, coarse)
    *_, (logits, indices) = renderer.refine(coarse, steps)
    rendered = logits.argmax(dim=1)[0].cpu()
    chosen = torch.zeros(size, dtype=torch.bool)
    chosen.view(-1)[indices[0].cpu()] = True
    height, width = sample['inputs'].shape[-2:]
    image = slice(height), slice(width)
    return plain[image], rendered[image], chosen[image]
