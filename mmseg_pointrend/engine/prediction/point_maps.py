"""Which pixels the last step of rendering classified again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from mmseg_pointrend.models import PointRendEncoderDecoder
from mmseg_pointrend.models.view import View, Window, padding_of
from mmseg_pointrend.rendering.grids import Axis, Grid, Size, map_size
from mmseg_pointrend.rendering.refinement import Renderer


@contextmanager
def noted_points(model: Any, wanted: bool = True) -> Iterator[list[list[Tensor]]]:
    """Note, if wanted, where a model's point head classifies; for one thread.

    Yields:
        A list that gets an entry for each rendering of an image or window: a list with
        the points of the last step, (1, P, 2), (x, y) in [0, 1] of what is rendered;
        it is empty if there were none.
    """
    renderings: list[list[Tensor]] = []
    if not wanted:
        yield renderings
        return
    head = model.point_head

    def renderer(fine: Sequence[Tensor], coarse: Tensor) -> Renderer:
        made = type(head).renderer(head, fine, coarse)
        last: list[Tensor] = []
        renderings.append(last)

        def classify(points: Tensor, current: Tensor) -> Tensor:
            last[:] = [points]
            return made.classify(points, current)

        return replace(made, classify=classify)

    head.renderer = renderer
    try:
        yield renderings
    finally:
        del head.renderer


def point_map(
    model: PointRendEncoderDecoder,
    renderings: Sequence[Sequence[Tensor]],
    image: Size,
    meta: dict[str, Any],
) -> Tensor:
    """Draw the points of one image's prediction.

    Args:
        model: that predicted it.
        renderings: of :func:`noted_points`.
        image: (H, W) of the network's input, without padding.
        meta: the meta information of its sample after that.

    Returns:
        (H, W) of the file, bool.
    """
    left, right, top, bottom = padding_of(meta)
    size = image[0] + top + bottom, image[1] + left + right
    view = View.of(meta, size)
    slides = model.test_cfg.mode == 'slide'
    if not slides and not model.test_cfg.get('resize_logits', False):
        grid = view.target(model.align_corners)
        return view.restore(drawn(renderings[0], grid))
    crop, stride = (
        (model.test_cfg.crop_size, model.test_cfg.stride) if slides else (size, size)
    )
    frame = torch.zeros(size, dtype=torch.bool)
    for window, points in zip(
        Window.cover(size, crop, stride), renderings, strict=True
    ):
        part = window.cut(frame[None])
        part |= drawn(points, Grid.of_frame(map_size(part), model.align_corners))
    # A view of the same size takes off the padding.
    frame = replace(view, original=image).restore(frame)
    return F.interpolate(frame[None, None].float(), view.original)[0, 0] > 0


def drawn(points: Sequence[Tensor], grid: Grid) -> Tensor:
    """Draw points, (1, P, 2) if any, on a map of a grid's size, bool."""
    canvas = torch.zeros(grid.size, dtype=torch.bool)
    for one in points:
        x, y = one[0].cpu().unbind(dim=-1)
        canvas[pixels(y, grid.y), pixels(x, grid.x)] = True
    return canvas


def pixels(centers: Tensor, axis: Axis) -> Tensor:
    """Undo :meth:`Axis.centers`."""
    return ((centers - axis.first) / (axis.step or 1)).round().long()
