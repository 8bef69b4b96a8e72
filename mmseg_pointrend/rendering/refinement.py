"""Adaptive subdivision: PointRend's inference, section 3.1.

Shapes: N images, K channels of logits, P points an image; sizes are (height, width).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from mmseg_pointrend.rendering.grids import (
    Grid,
    Region,
    Size,
    map_size,
    subdivision_grids,
    valid_pixels,
)
from mmseg_pointrend.rendering.labels import decide, label_and_find_hardest
from mmseg_pointrend.rendering.points import hardest_pixels
from mmseg_pointrend.rendering.resampling import resample
from mmseg_pointrend.rendering.sampling import read_features, read_points, write_points
from mmseg_pointrend.rendering.uncertainty import Uncertainty


@dataclass(frozen=True)
class Step:
    """One step of rendering.

    Attributes:
        grid: pixel centres of the map to reach.
        num_points: how many of its pixels, in each image, are classified again.
        valid: which pixels those may be, (N, H, W), bool; None for any.
    """

    grid: Grid
    num_points: int
    valid: Tensor | None = None


def plan(
    coarse: Tensor,
    target: Size | Grid,
    regions: Sequence[Region] | None = None,
    *,
    num_points: int,
    scale_factor: float,
    align_corners: bool,
) -> list[Step]:
    """Plan the steps from a coarse map to a target.

    Args:
        coarse: logits, (N, K, h, w).
        target: (H, W) of the result, or a grid that covers a part of the frame.
        regions: the part of each image that is not padding, from
            :func:`~mmseg_pointrend.rendering.grids.valid_regions`; padding gets no
            points. None for all of it.
        num_points: the budget of an image in a step.
        scale_factor: growth of a step.
        align_corners: the convention of pixel centres.
    """
    if not isinstance(target, Grid):
        target = Grid.of_frame(target, align_corners)
    steps = []
    for grid in subdivision_grids(
        map_size(coarse), target, scale_factor, align_corners
    ):
        valid, most = None, math.prod(grid.size)
        if regions is not None and grid.whole:
            valid, most = valid_pixels(grid, regions, coarse.device)
        steps.append(Step(grid, min(num_points, most), valid))
    return steps


@dataclass(frozen=True)
class Renderer:
    """Sharpens a map of logits while upsampling it.

    Attributes:
        classify: from points (N, P, 2), (x, y) in [0, 1], and the logits that the map
            has there (N, K, P) to better ones, (N, K, P); ``PointRendHead.classify``.
        uncertainty: from (N, K, *) to (N, *), the larger the harder.
        align_corners: the convention of upsampling.
        threshold: decision probability, where K is 1.
    """

    classify: Callable[[Tensor, Tensor], Tensor]
    uncertainty: Uncertainty
    align_corners: bool
    threshold: float | None = None

    def refine(
        self, coarse: Tensor, steps: Sequence[Step]
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Upsample bilinearly, find the hardest pixels, classify them, write them back.

        Args:
            coarse: logits, (N, K, h, w).
            steps: where to go, the last one to the grid of the result.

        Yields:
            The refined logits after each step, (N, K, H, W), float32, and the flat
            indices of the pixels that the step classified again, (N, P).
        """
        logits = coarse.float().contiguous()
        for step in steps:
            logits = resample(logits, step.grid, align_corners=self.align_corners)
            hardest = logits.new_empty(logits.shape[0], 0, dtype=torch.int64)
            if step.num_points > 0:
                with torch.no_grad():
                    hardness = self.uncertainty(logits)
                hardest = hardest_pixels(hardness, step.num_points, step.valid)
                current = read_points(logits, hardest)
                better = self.classify(step.grid.points(hardest), current)
                logits = write_points(logits, hardest, better)
            yield logits, hardest

    def logits(self, coarse: Tensor, steps: Sequence[Step]) -> Tensor:
        """Return what :meth:`refine` ends with: (N, K, h, w) to (N, K, H, W)."""
        logits = coarse.float().contiguous()
        for refined, _hardest in self.refine(coarse, steps):
            logits = refined
        return logits

    def labels(self, coarse: Tensor, steps: Sequence[Step]) -> Tensor:
        """Find the labels of :meth:`logits`, without writing the last step's logits.

        The label and the uncertainty of a pixel are found while interpolating.

        Args:
            coarse: as in :meth:`refine`.
            steps: as in :meth:`refine`.

        Returns:
            (N, H, W), int64.
        """
        if not steps:
            return decide(coarse.float(), self.threshold)
        logits = self.logits(coarse, steps[:-1])
        last = steps[-1]
        labels, hardest = label_and_find_hardest(
            logits,
            last.grid,
            last.num_points,
            last.valid,
            uncertainty=self.uncertainty,
            align_corners=self.align_corners,
            threshold=self.threshold,
        )
        if hardest.shape[1] > 0:
            points = last.grid.points(hardest)
            current = read_features(
                logits, points, padding_mode='border', align_corners=self.align_corners
            )
            logits_there = self.classify(points, current)
            labels_there = decide(logits_there, self.threshold)
            labels.view(labels.shape[0], -1).scatter_(1, hardest, labels_there)
        return labels
