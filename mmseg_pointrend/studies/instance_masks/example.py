"""Train masks of simple shapes, score them with and without rendering, draw them."""

from __future__ import annotations

from functools import partial
from math import hypot
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from mmengine.logging import MMLogger
from torch import Tensor, nn

from mmseg_pointrend.errors import InputError
from mmseg_pointrend.evaluation.boundaries import boundary_band
from mmseg_pointrend.models import PointMLP
from mmseg_pointrend.rendering.grids import Grid, Size, map_size
from mmseg_pointrend.rendering.instance_masks.boxes import RegionFeatures, paste_masks
from mmseg_pointrend.rendering.instance_masks.masks import (
    mask_labels,
    mask_point_loss,
    mask_training_points,
    render_masks,
)
from mmseg_pointrend.rendering.sampling import point_sample
from mmseg_pointrend.studies.instance_masks.shapes import CLASSES, Shapes, draw_shapes
from mmseg_pointrend.studies.pictures import save, show

SIZE = 192, 192
POOLED = 14, 14
RENDERED = 224, 224
WAYS = {'28x28, upsampled': 0, 'rendered': 28 * 28}
"""Points a step of each way to predict."""


class ShapeMasks(nn.Module):
    """A small backbone, a mask head as Mask R-CNN's and a point classifier.

    Args:
        class_agnostic: whether one channel of masks serves all classes.
    """

    def __init__(self, class_agnostic: bool) -> None:
        super().__init__()
        channels = 1 if class_agnostic else len(CLASSES)
        self.stage1 = nn.Sequential(conv(3, 16, 2), conv(16, 16))
        self.stage2 = nn.Sequential(conv(16, 32, 2), conv(32, 32))
        self.mask_head = nn.Sequential(
            *(conv(48, 48, 1, dilation) for dilation in (1, 2, 4, 1)),
            nn.Upsample(scale_factor=2, mode='bilinear'),
            nn.Conv2d(48, channels, 1),
        )
        # MMEngine would list every weight that it initialises.
        MMLogger.get_instance('instance_masks', log_level='WARNING')
        self.mlp = PointMLP(
            in_channels=48,
            coarse_channels=channels,
            out_channels=channels,
            hidden_channels=64,
            coarse_pred_each_layer=True,
        )
        self.mlp.init_weights()

    def forward(self, shapes: Shapes) -> tuple[RegionFeatures, Tensor]:
        """Find fine features, and logits of the coarse masks, (N, K, 28, 28)."""
        first = self.stage1(shapes.images)
        maps = [first, self.stage2(first)]
        fine = RegionFeatures(maps, [2, 4], shapes.boxes, shapes.image_ids)
        pooled = fine.sample(pixel_points(POOLED, len(shapes.boxes)))
        return fine, self.mask_head(pooled.unflatten(2, POOLED))

    def loss(self, shapes: Shapes) -> Tensor:
        """Add the loss of every coarse pixel and the one of chosen points."""
        fine, coarse = self(shapes)
        points = mask_training_points(coarse, shapes.classes)
        logits = self.mlp(fine.sample(points), point_sample(coarse, points))

        def loss_at(points: Tensor, logits: Tensor) -> Tensor:
            labels = mask_labels(shapes.masks, points, shapes.boxes)
            return mask_point_loss(logits, labels, shapes.classes)

        pixels = pixel_points(map_size(coarse), len(coarse))
        return loss_at(pixels, coarse.flatten(2)) + loss_at(points, logits)

    @torch.no_grad()
    def predict(self, shapes: Shapes, coarse_from: str) -> dict[str, Tensor]:
        """Predict masks in each of :data:`WAYS`: logits, (N, 224, 224)."""
        fine, coarse = self(shapes)
        render = partial(render_masks, self.mlp, fine, coarse, shapes.classes)
        return {
            name: render(size=RENDERED, num_points=points, coarse_from=coarse_from)
            for name, points in WAYS.items()
        }


def conv(before: int, width: int, stride: int = 1, dilation: int = 1) -> nn.Module:
    """Make a 3x3 convolution and what follows it."""
    layer = nn.Conv2d(before, width, 3, stride, dilation, dilation)
    return nn.Sequential(layer, nn.ReLU())


def pixel_points(size: Size, regions: int) -> Tensor:
    """Say where the pixels of masks of a size are in their boxes: (N, H * W, 2)."""
    pixels = torch.arange(size[0] * size[1])
    return Grid.of_frame(size, False).points(pixels.expand(regions, -1))


def run_example(
    path: Path, *, iterations: int, class_agnostic: bool, coarse_from: str, seed: int
) -> None:
    """Train, print scores on new shapes and draw some into a PNG file.

    The arguments are those of ``tools/instance_masks.py``.

    Raises:
        InputError: there is nothing to train, or the picture cannot be a PNG.
    """
    if iterations < 1:
        raise InputError(f'--iterations {iterations}: give at least 1.')
    if path.suffix != '.png':
        raise InputError(f'--out {path}: give the name of a .png file.')
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    model = ShapeMasks(class_agnostic)
    optimizer = torch.optim.AdamW(model.parameters())
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, iterations)
    for iteration in range(1, iterations + 1):
        loss = model.loss(draw_shapes(rng, 2, SIZE))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        if iteration % 50 == 0 or iteration == iterations:
            print(f'{iteration}/{iterations} loss {loss.item():.3f}')

    shapes = draw_shapes(rng, 16, SIZE)
    predictions = model.predict(shapes, coarse_from)
    print(f'\n{len(shapes.boxes)} new masks {"mask IoU":>18}{"Boundary IoU":>15}')
    for name, logits in predictions.items():
        pasted = paste_masks(logits, shapes.boxes, SIZE)
        scores = [mean_iou(pasted, shapes.masks, band) for band in (False, True)]
        print(f'  {name:<18}' + ''.join(f'{score:>13.2f}' for score in scores))
    draw_masks(path, shapes, predictions)
    print(f'Picture: {path}')


def mean_iou(masks: Tensor, truth: Tensor, boundary: bool) -> float:
    """Average the IoU of masks (N, H, W), bool, in percent, or of their boundaries.

    These are 2 % of the diagonal wide, as for the instances of Cheng et al.,
    "Boundary IoU", CVPR 2021.
    """
    everywhere = np.ones(truth.shape[1:], dtype=bool)
    distance = round(0.02 * hypot(*everywhere.shape))
    scores = []
    for pair in zip(masks.numpy(), truth.numpy(), strict=True):
        found, true = (
            mask & boundary_band(mask.view(np.uint8), everywhere, distance)
            if boundary
            else mask
            for mask in pair
        )
        scores.append(100 * (found & true).sum() / (found | true).sum())
    return float(np.mean(scores))


def draw_masks(path: Path, shapes: Shapes, predictions: dict[str, Tensor]) -> None:
    """Draw six regions, a column each: image with box, truth and predicted masks."""
    points = pixel_points(RENDERED, len(shapes.boxes))
    truth = mask_labels(shapes.masks, points, shapes.boxes).unflatten(1, RENDERED) > 0.5
    rows = {'truth': truth, **{key: mask > 0 for key, mask in predictions.items()}}
    figure, axes = plt.subplots(4, 6, figsize=(12, 8.4), layout='constrained')
    figure.suptitle('masks in their boxes; wrong pixels are red')
    regions = np.linspace(0, len(truth) - 1, 6).astype(int).tolist()
    for column, region in zip(axes.T, regions, strict=True):
        image = shapes.images[shapes.image_ids[region]].permute(1, 2, 0)
        show(column[0], (image / 2 + 0.5).clamp(0, 1).numpy(), 'image and box')
        x1, y1, x2, y2 = (shapes.boxes[region] - 0.5).tolist()
        column[0].plot([x1, x2, x2, x1, x1], [y1, y1, y2, y2, y1], 'w')
        for place, (name, masks) in zip(column[1:], rows.items(), strict=True):
            wrong = (masks[region] != truth[region]).unsqueeze(2)
            white = 255 * masks[region].long().unsqueeze(2)
            show(place, np.where(wrong, (220, 50, 50), white), name)
    save(figure, path, dpi=80)
