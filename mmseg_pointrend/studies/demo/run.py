"""Train on street scenes, evaluate with and without rendering, draw the difference."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import matplotlib.pyplot as plt
import numpy as np
import torch
import torch.nn.functional as F
from matplotlib.patches import Rectangle
from mmengine.config import Config
from mmengine.runner import Runner
from torch import Tensor

from mmseg_pointrend.engine.config import load_config, resume_latest
from mmseg_pointrend.engine.runner import build_runner
from mmseg_pointrend.models import PointRendEncoderDecoder
from mmseg_pointrend.rendering.grids import map_size
from mmseg_pointrend.studies.demo.street_scenes import write_dataset
from mmseg_pointrend.studies.pictures import save, show

NUM_TRAIN, NUM_VAL, SIZE = 96, 16, (256, 512)
ZOOM = (64, 96)


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
    """Load a demo config with its data, work folder and checkpoint filled in."""
    cfg = load_config(path, work_dir=str(work_dir))
    for key in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
        cfg[key].dataset.data_root = str(data)
    cfg.load_from = checkpoint
    cfg.experiment_name = work_dir.name
    return cfg


@dataclass
class Comparison:
    """Labels of one scene, (H, W), by one bilinear resize and by rendering.

    Attributes:
        truth, plain, rendered: labels.
        points: whether the last step of rendering classified a pixel again.
    """

    truth: Tensor
    plain: Tensor
    rendered: Tensor
    points: Tensor

    @property
    def gain(self) -> np.ndarray:
        """1 where rendering puts a pixel right, -1 where it puts it wrong, else 0."""
        right, before = self.rendered == self.truth, self.plain == self.truth
        gain = right.int() - before.int()
        return gain.where(self.truth != 255, 0).numpy()


@torch.no_grad()
def compare(model: PointRendEncoderDecoder, sample: dict[str, Any]) -> Comparison:
    """Predict a sample of the data set with and without rendering."""
    batch = dict(inputs=[sample['inputs']], data_samples=[sample['data_samples']])
    inputs = model.data_preprocessor(batch)['inputs']
    fine, [coarse] = model.decode(*model.extract(inputs))
    size = map_size(inputs)
    plain = F.interpolate(coarse, size, mode='bilinear').argmax(dim=1)
    renderer = model.point_head.renderer(fine, coarse)
    *_, (logits, indices) = renderer.refine(
        coarse, model.point_head.steps(coarse, size)
    )
    points = torch.zeros(size, dtype=torch.bool)
    points.view(-1)[indices[0].cpu()] = True
    truth = sample['data_samples'].gt_sem_seg.data[0]
    height, width = truth.shape
    maps = plain[0].cpu(), logits.argmax(dim=1)[0].cpu(), points
    return Comparison(truth, *(labels[:height, :width] for labels in maps))


def draw_comparison(runner: Runner, path: Path) -> None:
    """Draw the test scene that gains most, and a zoom on where it gains most.

    Args:
        runner: a runner whose model is a loaded :class:`PointRendEncoderDecoder`.
        path: the PNG file.
    """
    dataset = runner.test_dataloader.dataset
    model = runner.model.eval()
    results = [compare(model, dataset[i]) for i in range(len(dataset))]
    scene = int(np.argmax([result.gain.sum() for result in results]))
    result, sample = results[scene], dataset[scene]
    palette = np.array([*dataset.metainfo['palette'], [0, 0, 0]], dtype=np.uint8)
    image = sample['inputs'].permute(1, 2, 0).flip(2).numpy()
    points, changes = image // 3, image // 3
    points[result.points] = (255, 255, 0)
    changes[result.gain > 0] = (60, 220, 60)
    changes[result.gain < 0] = (255, 60, 60)

    def paint(labels: Tensor) -> np.ndarray:
        return palette[labels.clamp(max=len(palette) - 1)]

    panels = {
        'image': image,
        'truth': paint(result.truth),
        f'the {int(result.points.sum())} points of the last step': points,
        'bilinear upsampling': paint(result.plain),
        'PointRend': paint(result.rendered),
        'pixels put right (green) and wrong (red)': changes,
    }
    density = cv2.blur(
        result.gain.astype(float), ZOOM[::-1], borderType=cv2.BORDER_CONSTANT
    )
    middle = np.unravel_index(density.argmax(), density.shape)
    corner = np.subtract(middle, ZOOM) + np.array(ZOOM) // 2
    top, left = corner.clip(0, np.subtract(density.shape, ZOOM)).tolist()
    window = slice(top, top + ZOOM[0]), slice(left, left + ZOOM[1])
    figure = plt.figure(figsize=(15, 8.9), layout='constrained')
    figure.suptitle(
        f'Validation scene {scene}, the one of {len(dataset)} in which most pixels are '
        'put right, and a zoom on where'
    )
    grid = figure.add_gridspec(3, 12, height_ratios=(1, 1, 1.05))
    for i, (title, picture) in enumerate(panels.items()):
        axes = figure.add_subplot(grid[i // 3, i % 3 * 4 : i % 3 * 4 + 4])
        show(axes, picture, title)
        frame = (left - 0.5, top - 0.5), ZOOM[1], ZOOM[0]
        axes.add_patch(Rectangle(*frame, fill=False, color='white', lw=1.5))
    for i, title in enumerate(('image', 'truth', 'bilinear upsampling', 'PointRend')):
        axes = figure.add_subplot(grid[2, i * 3 : i * 3 + 3])
        show(axes, panels[title][window], f'{title}, zoom')
    save(figure, path, dpi=100)
