"""One image by one bilinear resize and by rendering, and the picture of both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.patches import Rectangle

from mmseg_pointrend.engine.agreement import ignored_label
from mmseg_pointrend.engine.prediction.model import classes_of
from mmseg_pointrend.engine.prediction.point_maps import noted_points, point_map
from mmseg_pointrend.engine.prediction.reading import as_picture
from mmseg_pointrend.models import PointRendEncoderDecoder
from mmseg_pointrend.rendering.grids import map_size
from mmseg_pointrend.studies.accuracy.predictions import (
    RENDERED,
    UPSAMPLED,
    predict_in_each_way,
)
from mmseg_pointrend.studies.pictures import save, show

IGNORED = -1

Window = tuple[slice, slice]
"""Rows and columns of a part of an image."""


@dataclass
class Comparison:
    """An image, and its labels by one bilinear resize and by rendering, (H, W) each.

    Attributes:
        image: (H, W, 3), uint8, RGB.
        truth: labels, :data:`IGNORED` where they do not count.
        plain: labels by one bilinear resize.
        rendered: labels by rendering.
        points: whether the last step of rendering classified a pixel again.
    """

    image: np.ndarray
    truth: np.ndarray
    plain: np.ndarray
    rendered: np.ndarray
    points: np.ndarray

    @property
    def gain(self) -> np.ndarray:
        """1 where rendering puts a pixel right, -1 where it puts it wrong, else 0."""
        right, before = self.rendered == self.truth, self.plain == self.truth
        gain = right.astype(np.int8) - before
        return np.where(self.truth == IGNORED, 0, gain)


@torch.no_grad()
def compare(model: PointRendEncoderDecoder, sample: dict[str, Any]) -> Comparison:
    """Predict a sample of a data set, with labels, with and without rendering.

    The model predicts whole images.
    """
    batch = dict(inputs=[sample['inputs']], data_samples=[sample['data_samples']])
    data = model.data_preprocessor(batch)
    [one] = samples = data['data_samples']
    with noted_points(model) as renderings:
        found = dict(predict_in_each_way(model, data['inputs'], samples, {}))
    points = point_map(model, renderings, map_size(sample['inputs']), one.metainfo)
    truth = one.gt_sem_seg.data[0].cpu()
    counts = (truth != ignored_label(model)) & (truth < classes_of(model))
    image = as_picture(sample['inputs'].permute(1, 2, 0).numpy())[..., ::-1]
    if image.shape[:2] != truth.shape:
        image = cv2.resize(image, (truth.shape[1], truth.shape[0]))
    return Comparison(
        image=np.ascontiguousarray(image),
        truth=truth.where(counts, IGNORED).numpy(),
        plain=found[UPSAMPLED][0].long().cpu().numpy(),
        rendered=found[RENDERED][0].cpu().numpy(),
        points=points.numpy(),
    )


def densest(gain: np.ndarray) -> Window:
    """Find the part of an image that gains most, small enough to be a zoom.

    Args:
        gain: of :class:`Comparison`, (H, W).
    """
    height = max(64, gain.shape[0] // 8)
    size = np.minimum((height, height * 3 // 2), gain.shape)
    density = cv2.blur(
        gain.astype(float), size[::-1].tolist(), borderType=cv2.BORDER_CONSTANT
    )
    middle = np.unravel_index(density.argmax(), density.shape)
    corner = np.subtract(middle, size // 2).clip(0, np.subtract(gain.shape, size))
    rows, columns = (
        slice(start, start + count)
        for start, count in zip(corner.tolist(), size.tolist(), strict=True)
    )
    return rows, columns


def draw(
    result: Comparison,
    window: Window,
    palette: Sequence[Sequence[int]],
    title: str,
    path: Path,
) -> None:
    """Draw six panels of an image and a zoom on a part of it.

    Args:
        result: what is compared.
        window: the part.
        palette: colour of each class, RGB.
        title: over the picture.
        path: the PNG file.
    """
    colours = np.array([*palette, [0, 0, 0]], dtype=np.uint8)  # the last is IGNORED's
    points, changes = result.image // 3, result.image // 3
    points[result.points] = (255, 255, 0)
    changes[result.gain > 0] = (60, 220, 60)
    changes[result.gain < 0] = (255, 60, 60)
    panels = {
        'image': result.image,
        'truth': colours[result.truth],
        f'the {int(result.points.sum())} points of the last step': points,
        'bilinear upsampling': colours[result.plain],
        'PointRend': colours[result.rendered],
        'pixels put right (green) and wrong (red)': changes,
    }
    # Relative to images that are twice as wide as high.
    height, width = result.truth.shape
    tall = 2 * height / width
    figure = plt.figure(figsize=(15, 3.9 + 5 * tall), layout='constrained')
    figure.suptitle(title)
    grid = figure.add_gridspec(3, 12, height_ratios=(tall, tall, 1.05))
    rows, columns = window
    for i, (name, picture) in enumerate(panels.items()):
        axes = figure.add_subplot(grid[i // 3, i % 3 * 4 : i % 3 * 4 + 4])
        show(axes, picture, name)
        size = columns.stop - columns.start, rows.stop - rows.start
        corner = columns.start - 0.5, rows.start - 0.5
        axes.add_patch(Rectangle(corner, *size, fill=False, color='white', lw=1.5))
    for i, name in enumerate(('image', 'truth', 'bilinear upsampling', 'PointRend')):
        axes = figure.add_subplot(grid[2, i * 3 : i * 3 + 3])
        show(axes, panels[name][window], f'{name}, zoom')
    save(figure, path, dpi=100)
