"""Train masks of simple shapes, score them with and without rendering, draw them."""

from __future__ import annotations

import time
from math import hypot
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.patches import Rectangle
from mmengine.logging import MMLogger
from torch import Tensor, nn

from mmseg_pointrend.errors import InputError
from mmseg_pointrend.evaluation.boundaries import boundary_band, overlap
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

SIZE = (192, 192)
POOLED = (14, 14)
UPSAMPLED, RENDERED = '28x28, upsampled', 'rendered'


class ShapeMasks(nn.Module):
    """A small backbone, a mask head as Mask R-CNN's and a point classifier.

    Args:
        class_agnostic: whether one channel of masks serves all classes.
    """

    def __init__(self, class_agnostic: bool) -> None:
        super().__init__()
        channels = 1 if class_agnostic else len(CLASSES)
        self.stages = nn.ModuleList(
            [
                nn.Sequential(*conv(3, 16, stride=2), *conv(16, 16)),
                nn.Sequential(*conv(16, 32, stride=2), *conv(32, 32)),
            ]
        )
        self.mask_head = nn.Sequential(
            *conv(48, 48),
            *conv(48, 48, dilation=2),
            *conv(48, 48, dilation=4),
            *conv(48, 48),
            nn.Upsample(scale_factor=2, mode='bilinear'),
            nn.Conv2d(48, channels, 1),
        )
        self.mlp = PointMLP(
            in_channels=48,
            coarse_channels=channels,
            out_channels=channels,
            hidden_channels=64,
            coarse_pred_each_layer=True,
        )
        self.mlp.init_weights()

    def forward(self, shapes: Shapes) -> tuple[RegionFeatures, Tensor]:
        """Fine features, and logits of the coarse masks, (N, K, 28, 28)."""
        maps, x = [], shapes.images
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        fine = RegionFeatures(maps, [2, 4], shapes.boxes, shapes.image_ids)
        pooled = fine.sample(pixel_points(POOLED, len(shapes.boxes)))
        return fine, self.mask_head(pooled.unflatten(2, POOLED))

    def loss(self, shapes: Shapes) -> Tensor:
        """The loss of every coarse pixel plus the one of chosen points."""
        fine, coarse = self(shapes)
        pixels = pixel_points(map_size(coarse), len(coarse))
        points = mask_training_points(coarse, shapes.classes)
        logits = self.mlp(fine.sample(points), point_sample(coarse, points))
        masks, boxes, classes = shapes.masks, shapes.boxes, shapes.classes
        return mask_point_loss(
            coarse.flatten(2), mask_labels(masks, pixels, boxes), classes
        ) + mask_point_loss(logits, mask_labels(masks, points, boxes), classes)

    @torch.no_grad()
    def predict(self, shapes: Shapes, coarse_from: str) -> dict[str, Tensor]:
        """Masks without and with rendering: logits, (N, 224, 224)."""
        fine, coarse = self(shapes)
        return {
            name: render_masks(
                self.mlp,
                fine,
                coarse,
                shapes.classes,
                num_points=num_points,
                coarse_from=coarse_from,
            )
            for name, num_points in ((UPSAMPLED, 0), (RENDERED, 28 * 28))
        }


def conv(
    in_channels: int, out_channels: int, stride: int = 1, dilation: int = 1
) -> list[nn.Module]:
    """A 3x3 convolution and what follows it."""
    layer = nn.Conv2d(in_channels, out_channels, 3, stride, dilation, dilation)
    return [layer, nn.ReLU()]


def pixel_points(size: Size, regions: int) -> Tensor:
    """Where the pixels of masks of a size are in their boxes: (N, H * W, 2)."""
    pixels = torch.arange(size[0] * size[1])
    return Grid.of_frame(size, False).points(pixels.expand(regions, -1))


def run_example(
    path: Path,
    *,
    iterations: int,
    class_agnostic: bool,
    coarse_from: str,
    seed: int,
) -> None:
    """Train, print scores on new shapes and write a picture of some.

    Args:
        path: the PNG file.
        iterations: training steps of two images each.
        class_agnostic: whether one channel of masks serves all classes.
        coarse_from: as in :func:`render_masks`.
        seed: of the weights and of the shapes.

    Raises:
        InputError: there is nothing to train, or the picture cannot be a PNG.
    """
    if iterations < 1:
        raise InputError(f'--iterations {iterations}: give at least 1.')
    if path.suffix != '.png':
        raise InputError(f'--out {path}: give the name of a .png file.')
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    # MMEngine would list every weight that it initialises.
    MMLogger.get_instance('instance_masks', log_level='WARNING')
    model = ShapeMasks(class_agnostic)
    optimizer = torch.optim.AdamW(model.parameters())
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, iterations)
    start = time.perf_counter()
    for iteration in range(1, iterations + 1):
        loss = model.loss(draw_shapes(rng, 2, SIZE))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        if iteration % 50 == 0 or iteration == iterations:
            seconds = time.perf_counter() - start
            print(f'{iteration}/{iterations} loss {loss.item():.3f} {seconds:.0f} s')

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
    """Mean IoU of masks in percent; or of their inner boundaries, 2 % of the diagonal.

    Boundary IoU as in Cheng et al., CVPR 2021, whose width for instances it is.

    Args:
        masks: (N, H, W), bool.
        truth: (N, H, W), bool.
        boundary: whether the boundaries are compared.
    """
    everywhere = np.ones(truth.shape[1:], dtype=bool)
    distance = round(0.02 * hypot(*truth.shape[1:]))
    scores = []
    for true, found in zip(truth.byte().numpy(), masks.byte().numpy(), strict=True):
        true_region, found_region = (
            boundary_band(mask, everywhere, distance) if boundary else everywhere
            for mask in (true, found)
        )
        both, either = overlap(true, found, true_region, found_region, num_classes=2)
        scores.append(100 * both[1] / either[1])
    return float(np.mean(scores))


def draw_masks(
    path: Path, shapes: Shapes, predictions: dict[str, Tensor], count: int = 6
) -> None:
    """Draw regions, a column each: image, truth and predicted masks.

    Args:
        path: the PNG file.
        shapes: what to draw.
        predictions: logits of the masks, (N, h, w), by name.
        count: how many regions.
    """
    everywhere = pixel_points((224, 224), len(shapes.boxes))
    truth = mask_labels(shapes.masks, everywhere, shapes.boxes) > 0.5
    rows = {'truth': truth.unflatten(1, (224, 224))}
    rows |= {name: logits > 0 for name, logits in predictions.items()}
    figure, axes = plt.subplots(
        len(rows) + 1, count, figsize=(2 * count, 2.1 * (len(rows) + 1)),
        layout='constrained', squeeze=False,
    )  # fmt: skip
    figure.suptitle('masks in their boxes; wrong pixels are red')
    chosen = np.linspace(0, len(shapes.boxes) - 1, count).astype(int)
    for column, region in zip(axes.T, chosen.tolist(), strict=True):
        image = shapes.images[shapes.image_ids[region]].permute(1, 2, 0)
        show(column[0], (image / 2 + 0.5).clamp(0, 1).numpy(), 'image and box')
        x1, y1, x2, y2 = (shapes.boxes[region] - 0.5).tolist()
        column[0].add_patch(
            Rectangle((x1, y1), x2 - x1, y2 - y1, fill=False, color='white', lw=1.5)
        )
        for place, (name, masks) in zip(column[1:], rows.items(), strict=True):
            error = masks[region] != rows['truth'][region]
            picture = masks[region].unsqueeze(2).expand(-1, -1, 3) * 255
            picture = torch.where(
                error.unsqueeze(2), torch.tensor([220, 50, 50]), picture
            )
            show(place, picture.numpy().astype(np.uint8), name)
    save(figure, path, dpi=80)
