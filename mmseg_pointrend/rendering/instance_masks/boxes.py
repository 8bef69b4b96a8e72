"""Between boxes and images: points, features and finished masks.

Shapes: B images, N boxes, P points a box. For what boxes and points are, see
:mod:`mmseg_pointrend.rendering.instance_masks`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from mmseg_pointrend.errors import InputError, check_arguments
from mmseg_pointrend.rendering.grids import Axis, Grid, Size, map_size
from mmseg_pointrend.rendering.labels import decide
from mmseg_pointrend.rendering.resampling import resample
from mmseg_pointrend.rendering.sampling import point_sample


def points_to_frame(points: Tensor, boxes: Tensor, size: Size) -> Tensor:
    """Turn points of boxes into points of the image.

    Args:
        points: (N, P, 2), (x, y) in [0, 1] of each box.
        boxes: (N, 4), (x1, y1, x2, y2) in pixels.
        size: (H, W) of the image in pixels.

    Returns:
        (N, P, 2), (x, y) in [0, 1] of the image, and beyond where a box is.
    """
    start, end = boxes.float().unsqueeze(1).split(2, dim=2)
    x, y = (start + points * (end - start)).unbind(dim=2)
    return torch.stack((x / size[1], y / size[0]), dim=2)


class RegionFeatures:
    """Fine maps of a batch as boxes see them, repeated outside of their images.

    Args:
        maps: (B, C, h, w) each.
        strides: pixels of the image that a pixel of each map stands for; a map of
            stride s covers h * s rows of the image and w * s columns.
        boxes: (N, 4), (x1, y1, x2, y2) in pixels; they may leave their image.
        images: (N,), integers, which image of the batch each box is on.

    Raises:
        InputError: the arguments do not fit together, or a box has no area.
    """

    def __init__(
        self,
        maps: Sequence[Tensor],
        strides: Sequence[int],
        boxes: Tensor,
        images: Tensor,
    ) -> None:
        if isinstance(maps, Tensor) or not maps or len(maps) != len(strides):
            raise InputError(
                f'{strides=} for {len(maps)} feature maps: give lists of one map or '
                'more and of their strides.'
            )
        check_boxes(boxes, len(boxes), 'regions')
        batch, *others = [len(one) for one in maps]
        rules = (
            (all(other == batch for other in others),
             f'feature maps of {[batch, *others]} images', 'maps of the same images'),
            (all(stride > 0 for stride in strides), f'{strides=}', 'positive numbers'),
        )  # fmt: skip
        check_arguments(rules)
        check_indices('images', images, len(boxes), batch)
        self.maps = maps
        self.strides = strides
        self.boxes = boxes
        self._order = images.argsort()
        self._counts = images.long().bincount(minlength=batch).tolist()

    def sample(self, points: Tensor) -> Tensor:
        """Interpolate the maps at points, whose gradient the maps get.

        Args:
            points: (N, P, 2), (x, y) in [0, 1] of each box.

        Returns:
            (N, F, P), float32; F counts the channels of all maps, in their order.

        Raises:
            InputError: the points are not those of the N boxes.
        """
        if points.ndim != 3 or len(points) != len(self.boxes):
            raise InputError(
                f'points of shape {tuple(points.shape)} for {len(self.boxes)} boxes: '
                'give (N, P, 2), the points of each box.'
            )
        count = points.shape[1]
        parts = []
        for maps, stride in zip(self.maps, self.strides, strict=True):
            height, width = map_size(maps)
            placed = points_to_frame(
                points, self.boxes, (height * stride, width * stride)
            )
            # All boxes of an image at once, so that no map is copied.
            by_image = placed[self._order].split(self._counts)
            sampled = [
                point_sample(one, several.reshape(1, -1, 2))
                .unflatten(2, (len(several), count))
                .squeeze(0)
                .transpose(0, 1)
                for one, several in zip(maps.split(1), by_image, strict=True)
            ]
            parts.append(torch.cat(sampled))
        return torch.cat(parts, dim=1)[self._order.argsort()]


def paste_masks(
    logits: Tensor, boxes: Tensor, size: Size, threshold: float = 0.5
) -> Tensor:
    """Put masks of boxes into the image; a box has the pixels whose centre it holds.

    Args:
        logits: (N, h, w), one mask a box.
        boxes: (N, 4), (x1, y1, x2, y2) in pixels; what leaves the image is cut off.
        size: (H, W) of the image in pixels.
        threshold: probability above which a pixel is foreground.

    Returns:
        (N, H, W), bool.

    Raises:
        InputError: a box has no area, or there are more boxes or fewer than masks.
    """
    if logits.ndim != 3:
        raise InputError(f'masks of shape {tuple(logits.shape)}: give (N, h, w).')
    check_boxes(boxes, len(logits), 'masks')
    pasted = logits.new_zeros(len(logits), *size, dtype=torch.bool)
    for mask, (x1, y1, x2, y2), image in zip(
        logits.float(), boxes.tolist(), pasted, strict=True
    ):
        rows, y = pixels_between(y1, y2, size[0])
        columns, x = pixels_between(x1, x2, size[1])
        grid = Grid(y, x, whole=False)
        inside = resample(mask[None, None], grid, align_corners=False)
        image[rows, columns] = decide(inside, threshold)[0]
    return pasted


def pixels_between(start: float, end: float, count: int) -> tuple[slice, Axis]:
    """Find the pixels of an axis of ``count`` with centres in [``start``, ``end``).

    Returns:
        The pixels, and where their centres sit in [0, 1] from ``start`` to ``end``.
    """
    first, stop = (min(max(math.ceil(edge - 0.5), 0), count) for edge in (start, end))
    length = end - start
    axis = Axis(stop - first, (first + 0.5 - start) / length, 1 / length)
    return slice(first, stop), axis


def check_boxes(boxes: Tensor, count: int, things: str) -> None:
    """Refuse what are not boxes (x1, y1, x2, y2) with an area, one for each thing.

    Raises:
        InputError: names the shape, or the first box without an area.
    """
    if boxes.shape != (count, 4):
        raise InputError(
            f'boxes of shape {tuple(boxes.shape)} for {count} {things}: give '
            f'({count}, 4), (x1, y1, x2, y2).'
        )
    sizes = boxes[:, 2:] - boxes[:, :2]
    wrong = ~((sizes > 0) & sizes.isfinite()).all(dim=1)
    if wrong.any():
        index = int(wrong.int().argmax())
        raise InputError(
            f'boxes[{index}] = {tuple(boxes[index].tolist())} has no area: keep '
            'regions with finite x1 < x2 and y1 < y2.'
        )


def check_indices(name: str, indices: Tensor, count: int, limit: int) -> None:
    """Refuse what are not ``count`` indices, (N,), from 0 to ``limit`` - 1."""
    if indices.shape != (count,):
        raise InputError(
            f'{name} of shape {tuple(indices.shape)} for {count} regions: give one '
            'number a region, (N,).'
        )
    if indices.is_floating_point() or indices.dtype == torch.bool:
        raise InputError(f'{name} are {indices.dtype}: give integers, such as int64.')
    if not ((indices >= 0) & (indices < limit)).all():
        raise InputError(
            f'{name} run from {int(indices.min())} to {int(indices.max())}: give '
            f'numbers from 0 to {limit - 1}.'
        )
