"""Training and rendering masks of boxes.

Shapes: N regions, K channels of masks (one a class, or 1), P points a region. Masks
and points cover their boxes, see :mod:`mmseg_pointrend.rendering.instance_masks`.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from mmseg_pointrend.errors import InputError, check_arguments
from mmseg_pointrend.rendering.grids import Size, map_size
from mmseg_pointrend.rendering.instance_masks.boxes import (
    RegionFeatures,
    check_boxes,
    check_indices,
    points_to_frame,
)
from mmseg_pointrend.rendering.points import sample_training_points
from mmseg_pointrend.rendering.refinement import Renderer, plan
from mmseg_pointrend.rendering.sampling import point_sample, read_features
from mmseg_pointrend.rendering.uncertainty import binary_margin


def class_channel(logits: Tensor, classes: Tensor | None) -> Tensor:
    """Take the channel of each region's class: (N, K, *) to (N, 1, *).

    Args:
        logits: (N, K, *).
        classes: (N,), integers; not looked at where K is 1, which serves all classes.

    Raises:
        InputError: the classes are not those of N regions.
    """
    count, channels = logits.shape[:2]
    if channels == 1:
        return logits
    if classes is None:
        raise InputError(
            f'masks have {channels} channels: give the class of each region, (N,).'
        )
    check_indices('classes', classes, count, channels)
    regions = torch.arange(count, device=logits.device)
    return logits[regions, classes.long()].unsqueeze(1)


def mask_training_points(
    coarse: Tensor,
    classes: Tensor | None = None,
    *,
    num_points: int = 14 * 14,
    oversample_ratio: float = 3,
    importance_sample_ratio: float = 0.75,
) -> Tensor:
    """Choose training points of each region, biased towards the hard ones.

    PointRend, sections 3.1 and 4: the hard points are where the probability of the
    region's class is closest to 0.5. Defaults are the paper's.

    Args:
        coarse: logits of the coarse masks, (N, K, h, w).
        classes: (N,), the true class of each region; may be None where K is 1.
        num_points: N of section 3.1, points a region.
        oversample_ratio: k of section 3.1, at least 1.
        importance_sample_ratio: beta of section 3.1, in [0, 1].

    Returns:
        (N, P, 2), (x, y) in [0, 1] of each box.

    Raises:
        InputError: an argument is out of its range, or the classes do not fit.
    """
    rules = (
        (isinstance(num_points, int) and num_points >= 0, f'{num_points=}',
         'an integer of at least 0'),
        (oversample_ratio >= 1, f'{oversample_ratio=}', 'a number of at least 1'),
        (0 <= importance_sample_ratio <= 1, f'{importance_sample_ratio=}',
         'a number in [0, 1]'),
    )  # fmt: skip
    check_arguments(rules)
    return sample_training_points(
        class_channel(coarse, classes),
        binary_margin,
        num_points=num_points,
        oversample_ratio=oversample_ratio,
        importance_sample_ratio=importance_sample_ratio,
    )


def mask_labels(masks: Tensor, points: Tensor, boxes: Tensor | None = None) -> Tensor:
    """Interpolate the truth at points: within a pixel of an edge it is a fraction.

    Outside of the image it is that of the nearest pixel.

    Args:
        masks: the true mask of each region, (N, H, W), bool or 0 and 1, of the image
            if ``boxes`` are given and of the box otherwise.
        points: (N, P, 2), (x, y) in [0, 1] of each box.
        boxes: (N, 4), (x1, y1, x2, y2) in pixels of the image.

    Returns:
        (N, P), float32 in [0, 1].

    Raises:
        InputError: the masks hold other values; masks, points and boxes are not of
            the same regions; or a box has no area.
    """
    if masks.ndim != 3 or len(masks) != len(points):
        raise InputError(
            f'true masks of shape {tuple(masks.shape)} for {len(points)} regions: give '
            '(N, H, W), one mask a region.'
        )
    maps = masks.unsqueeze(1)
    if boxes is not None:
        check_boxes(boxes, len(masks), 'true masks')
        points = points_to_frame(points, boxes, map_size(maps))
    labels = read_features(maps, points, padding_mode='border', align_corners=False)
    right = (labels >= 0) & (labels <= 1.001)  # weights add up to 1, roughly
    if not right.all():
        low, high = (float(value) for value in labels.aminmax())
        raise InputError(
            f'true masks hold values from {low:g} to {high:g}: give bool, or 0 and 1.'
        )
    return labels.squeeze(1).clamp(max=1)


def mask_point_loss(
    logits: Tensor, labels: Tensor, classes: Tensor | None = None
) -> Tensor:
    """Average the binary cross-entropy of the region's class over all points.

    PointRend, section 4: the other channels get no gradient, as in Mask R-CNN.

    Args:
        logits: (N, K, P).
        labels: (N, P), in [0, 1], from :func:`mask_labels`.
        classes: (N,), the true class of each region; may be None where K is 1.

    Returns:
        A scalar; zero, with zero gradients, where there is no region.
    """
    chosen = class_channel(logits, classes).squeeze(1).float()
    total = F.binary_cross_entropy_with_logits(chosen, labels, reduction='sum')
    return total / max(labels.numel(), 1)


def render_masks(
    mlp: Callable[[Tensor, Tensor], Tensor],
    fine: RegionFeatures,
    coarse: Tensor,
    classes: Tensor | None = None,
    *,
    size: Size = (224, 224),
    num_points: int = 28 * 28,
    coarse_from: str = 'initial',
) -> Tensor:
    """Sharpen coarse masks while upsampling them, each step by two.

    PointRend, sections 3.1 and 4; defaults are the paper's. With ``'initial'`` no more
    than the channel of a region's class is kept, N * H * W values whatever K is.

    Args:
        mlp: the point classifier, from fine features (N, F, P) and coarse logits
            (N, K, P) to logits (N, K, P), or (N, 1, P) with ``'initial'``.
        fine: the fine features of the regions.
        coarse: logits of the coarse masks, (N, K, h, w).
        classes: (N,), the predicted class of each region; may be None where K is 1.
        size: (H, W) of the result.
        num_points: pixels of a region that are classified again in a step.
        coarse_from: ``'initial'`` gives the MLP the coarse masks (the paper),
            ``'current'`` the ones being refined.

    Returns:
        Logits of each region's class, (N, H, W), float32.

    Raises:
        InputError: an argument is out of its range or does not fit the others.
    """
    rules = (
        (isinstance(size, list | tuple) and len(size) == 2
         and all(isinstance(side, int) and side > 0 for side in size),
         f'{size=}', '(H, W), positive integers'),
        (isinstance(num_points, int) and num_points >= 0, f'{num_points=}',
         'an integer of at least 0'),
        (coarse_from in ('initial', 'current'), f'{coarse_from=}',
         "'initial' or 'current'"),
        (len(coarse) == len(fine.boxes), f'{len(coarse)} coarse masks',
         f'one for each of the {len(fine.boxes)} boxes'),
    )  # fmt: skip
    check_arguments(rules)
    initial = coarse_from == 'initial'

    def classify(points: Tensor, current: Tensor) -> Tensor:
        seen = point_sample(coarse, points) if initial else current
        better = mlp(fine.sample(points), seen)
        if initial:
            return class_channel(better, classes)
        if better.shape != current.shape:
            raise InputError(
                f'the MLP answers with {better.shape[1]} channels to masks of '
                f"{current.shape[1]}: use coarse_from='initial'."
            )
        return better

    def uncertainty(logits: Tensor) -> Tensor:
        return binary_margin(class_channel(logits, classes))

    steps = plan(
        coarse, size, num_points=num_points, scale_factor=2, align_corners=False
    )
    renderer = Renderer(classify, uncertainty, align_corners=False)
    start = class_channel(coarse, classes) if initial else coarse
    return class_channel(renderer.logits(start, steps), classes).squeeze(1)
