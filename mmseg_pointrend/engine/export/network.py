"""What goes into a file: from the pixels of images to labels."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
import torch.nn.functional as F
from mmseg.models import BaseSegmentor
from mmseg.models.utils import Upsample, resize
from torch import Tensor, nn

from mmseg_pointrend.engine.prediction.model import classes_of
from mmseg_pointrend.models import PointRendEncoderDecoder
from mmseg_pointrend.models.checks import listed
from mmseg_pointrend.rendering.grids import Grid, Size, map_size
from mmseg_pointrend.rendering.labels import decide
from mmseg_pointrend.rendering.refinement import Step


class LabelNetwork(nn.Module):
    """A model with all that comes before it and after it.

    Images are padded at the right and at the bottom to ``divisor``, as the model's
    preprocessor does, and labels are those of the images.

    Args:
        model: a segmentor in evaluation, ours or MMSegmentation's, for whole images.
        example: (H, W) of an image; how many steps rendering takes is that of its size.
        logits: whether logits are wanted beside the labels.
    """

    def __init__(
        self, model: BaseSegmentor, example: Size, *, logits: bool = False
    ) -> None:
        super().__init__()
        self.model = model
        self.logits = logits
        preprocessor = model.data_preprocessor
        padding = preprocessor.test_cfg or {}
        self.divisor = padding.get('size_divisor') or 1
        self.least = padding.get('size') or (1, 1)
        self.pad_value = preprocessor.pad_val
        # Images are RGB; what a model takes as BGR was not swapped for it.
        self.swaps = not preprocessor.channel_conversion
        self.normalizes = preprocessor._enable_normalize
        if self.normalizes:
            self.mean = preprocessor.mean.view(1, -1, 1, 1)
            self.std = preprocessor.std.view(1, -1, 1, 1)
        self.dtype = torch.uint8 if classes_of(model) <= 256 else torch.int32
        self.num_steps = 0
        if isinstance(model, PointRendEncoderDecoder):
            channels = preprocessor.mean.numel() if self.normalizes else 3
            padded = self.padded(torch.zeros(1, channels, *example))
            with torch.no_grad():
                _, [*_, coarse] = model.decode(*model.extract(padded))
            self.num_steps = len(model.point_head.steps(coarse, map_size(padded)))

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """Label images.

        Args:
            image: (N, H, W, 3), uint8, RGB.

        Returns:
            Labels, (N, H, W), uint8, or int32 if there are more than 256 classes; and
            logits, (N, K, H, W), if they are wanted.
        """
        image = image.float().permute(0, 3, 1, 2)
        if self.swaps and image.shape[1] == 3:
            image = image.flip(1)
        if self.normalizes:
            image = (image - self.mean) / self.std
        padded = self.padded(image)
        image_size, size = map_size(image), map_size(padded)
        threshold = listed(self.model.decode_head)[-1].threshold
        if isinstance(self.model, PointRendEncoderDecoder):
            fine, [*_, coarse] = self.model.decode(*self.model.extract(padded))
            steps = self.steps(coarse, image_size, size)
            if not self.logits:
                labels = self.model.point_head.render_labels(fine, coarse, steps)
                return (self.cropped(labels, image_size).to(self.dtype),)
            logits = self.model.point_head.render(fine, coarse, steps)
        else:
            logits = self.model.encode_decode(padded, [dict(img_shape=size)])
        logits = self.cropped(logits, image_size)
        labels = decide(logits, threshold).to(self.dtype)
        return (labels, logits) if self.logits else (labels,)

    def padded(self, image: Tensor) -> Tensor:
        """Pad images, (N, C, H, W), at the right and at the bottom."""
        height, width = (
            (torch.sym_max(n, least) + self.divisor - 1) // self.divisor * self.divisor
            for n, least in zip(map_size(image), self.least, strict=True)
        )
        right, bottom = width - image.shape[3], height - image.shape[2]
        return F.pad(image, (0, right, 0, bottom), value=self.pad_value)

    def cropped(self, maps: Tensor, size: Size) -> Tensor:
        """Take the padding off maps, (..., H, W)."""
        # Whether a slice is contiguous would become one of the file's conditions.
        for dim, count in zip((-2, -1), size, strict=True):
            maps = maps.index_select(dim, torch.arange(count, device=maps.device))
        return maps

    def steps(self, coarse: Tensor, image: Size, size: Size) -> list[Step]:
        """Plan the steps of :func:`~mmseg_pointrend.rendering.refinement.plan`.

        Their number is fixed but sizes may be symbols.

        Args:
            coarse: logits of the decode head, (N, K, h, w).
            image: (H, W) of the images, without the padding.
            size: (H, W) with the padding.
        """
        head = self.model.point_head
        current, steps = map_size(coarse), []
        for remaining in range(self.num_steps - 1, -1, -1):
            current = (
                grown(current[0], size[0], head.scale_factor if remaining else None),
                grown(current[1], size[1], head.scale_factor if remaining else None),
            )
            inside = [
                pixels_inside(*axis, align_corners=head.align_corners)
                for axis in zip(current, image, size, strict=True)
            ]
            points, valid, most = head.subdivision_num_points, None, math.prod(inside)
            if isinstance(most, int):
                points = min(points, most)
            # To compare symbols would make the answer one of the file's.
            if not isinstance(most, int) or image != size:
                rows, columns = (
                    torch.arange(count, device=coarse.device) < number
                    for count, number in zip(current, inside, strict=True)
                )
                valid = (rows.unsqueeze(1) & columns).unsqueeze(0)
            grid = Grid.of_frame(current, head.align_corners)
            steps.append(Step(grid, points, valid))
        return steps


def grown(count: int, target: int, scale_factor: float | None) -> int:
    """Multiply a number of pixels, up to that of the target, or go there at once.

    Symbols stay symbols.
    """
    if scale_factor is None:
        return target
    larger = torch.sym_max(times(count, scale_factor), count + 1)
    return torch.sym_min(larger, target)


def times(count: int, factor: float) -> int:
    """Multiply a number of pixels, which stays a symbol if the factor is whole."""
    return count * int(factor) if factor == int(factor) else int(count * factor)


def pixels_inside(count: int, image: int, size: int, *, align_corners: bool) -> int:
    """How many of the first pixels of an axis have their centre in the image.

    Args:
        count: pixels of a map along the axis.
        image: pixels of the image.
        size: pixels of the image and its padding, which the map covers.
        align_corners: the convention of pixel centres.
    """
    if align_corners:
        last = 2 * (size - 1)
        return ((2 * image - 1) * (count - 1) + last - 1) // last
    return (2 * image * count + size - 1) // (2 * size)


@contextmanager
def sizes_may_be_symbols() -> Iterator[None]:
    """Let MMSegmentation compare no sizes, only to warn of them, and keep symbols."""
    defaults, forward = resize.__defaults__, Upsample.forward

    def upsample(self: Upsample, maps: Tensor) -> Tensor:
        size = self.size
        if not size:
            factors = np.broadcast_to(self.scale_factor, 2).tolist()
            size = [*map(times, map_size(maps), factors)]
        return resize(maps, size, None, self.mode, self.align_corners)

    resize.__defaults__ = (*defaults[:-1], False)
    Upsample.forward = upsample
    try:
        yield
    finally:
        resize.__defaults__, Upsample.forward = defaults, forward
