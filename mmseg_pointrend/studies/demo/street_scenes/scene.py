"""Composition of a street scene: what stands where, drawn far to near."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from cityscapesscripts.helpers.labels import id2label

from mmseg_pointrend.studies.demo.street_scenes.buildings import (
    draw_house,
    draw_skyline,
    far_hill,
)
from mmseg_pointrend.studies.demo.street_scenes.canvas import Canvas
from mmseg_pointrend.studies.demo.street_scenes.ground import paint_ground, paint_sky
from mmseg_pointrend.studies.demo.street_scenes.layout import Plan, plan_street
from mmseg_pointrend.studies.demo.street_scenes.outlines import label_outlines
from mmseg_pointrend.studies.demo.street_scenes.props import draw_prop
from mmseg_pointrend.studies.demo.street_scenes.shadows import (
    paint_shadows,
    shadow_outlines,
)
from mmseg_pointrend.studies.demo.street_scenes.textures import noise
from mmseg_pointrend.studies.demo.street_scenes.view import View

SMALLEST = (32, 64)


@dataclass(frozen=True)
class StreetScene:
    """A picture of a street with its exact labels.

    Attributes:
        image: (H, W, 3) uint8, RGB.
        label_ids: (H, W) uint8, Cityscapes label ids.
        instance_ids: (H, W) int32, `id * 1000 + n` for things, `id` for the rest.
        polygons: one dict per outline, `{'label': name, 'polygon': [[x, y], ...]}`,
            to be painted in this order; x and y are indices of pixels.
    """

    image: np.ndarray
    label_ids: np.ndarray
    instance_ids: np.ndarray
    polygons: list[dict[str, Any]]

    @property
    def train_ids(self) -> np.ndarray:
        """Training classes 0 to 18, 255 for pixels that do not count, (H, W) uint8."""
        return TRAIN_IDS[self.label_ids]


TRAIN_IDS = np.array(
    [id2label[i].trainId if i in id2label else 255 for i in range(256)]
).astype(np.uint8)


def check_size(size: tuple[int, int], supersampling: int) -> None:
    """Raises ValueError unless a scene can be drawn at this size and sampling."""
    if len(size) != 2 or size[0] < SMALLEST[0] or size[1] < SMALLEST[1]:
        raise ValueError(
            f'size is {tuple(size)}, but a street scene needs at least 32 rows and 64 '
            'columns; pass size=(height, width), such as (256, 512).'
        )
    if supersampling < 1 or supersampling % 2 == 0:
        raise ValueError(
            f'supersampling is {supersampling}, but only an odd number of samples has '
            'one at the pixel centre; pass 1, 3 or 5.'
        )


def render_scene(
    seed: int | Sequence[int],
    size: tuple[int, int] = (256, 512),
    supersampling: int = 3,
) -> StreetScene:
    """Draws a street from the driver's view.

    The same seed gives the same street at every size.

    Args:
        seed: one integer or several, all at least 0.
        size: height and width in pixels, at least (32, 64).
        supersampling: odd number of samples per pixel side; the image is their mean,
            the labels are those of the middle sample.

    Returns:
        The picture with labels, instances and outlines.

    Raises:
        ValueError: if the size is too small or the supersampling is even.
    """
    check_size(size, supersampling)
    layout, sky, ground, skyline, film = np.random.SeedSequence(seed).spawn(5)
    canvas = Canvas(size, supersampling)
    rng = np.random.default_rng(layout)
    view, exposure = _choose_view(rng, canvas)
    plan = plan_street(rng)

    paint_sky(canvas, view, np.random.default_rng(sky))
    rng = np.random.default_rng(skyline)
    far_hill(canvas, view, rng)
    draw_skyline(canvas, view, rng, plan.skyline)
    paint_ground(canvas, view, plan.street, np.random.default_rng(ground))
    contact, cast = shadow_outlines(plan.props, plan.houses, view)
    paint_shadows(canvas, view, contact, cast)
    for house in sorted(plan.houses, key=lambda house: -house.near):
        draw_house(canvas, view, house)
    for prop in sorted(plan.props, key=lambda prop: -prop.depth):
        draw_prop(canvas, view, prop)
    if plan.bonnet:
        _draw_bonnet(canvas, plan)

    ids = canvas.centre_ids()
    labels = np.where(ids >= 1000, ids // 1000, ids).astype(np.uint8)
    image = _expose(canvas.image(), exposure, np.random.default_rng(film))
    return StreetScene(image, labels, ids, label_outlines(ids))


def _choose_view(rng: np.random.Generator, canvas: Canvas) -> tuple[View, np.ndarray]:
    sun = float(np.clip(rng.uniform(-0.3, 1.25), 0, 1))
    side = 1 if rng.random() < 0.5 else -1
    warm = rng.uniform(-1, 1)
    haze = np.array((206, 214, 222)) + np.array((12, 2, -14)) * warm - 16 * (1 - sun)
    red, green, blue = haze.tolist()
    view = View(
        rows=canvas.rows,
        cols=canvas.cols,
        vanish_x=canvas.cols * float(rng.uniform(0.4, 0.6)),
        horizon=canvas.rows * float(rng.uniform(0.42, 0.5)),
        focal=canvas.cols * float(rng.uniform(0.72, 0.92)),
        eye_x=float(rng.uniform(1.2, 1.9)),
        eye_height=float(rng.uniform(1.7, 2.2)),
        sun_side=side,
        sun=sun,
        haze=(red, green, blue),
        haze_length=float(rng.uniform(130, 420)),
    )
    balance = np.array((1 + 0.035 * warm, 1.0, 1 - 0.045 * warm))
    exposure = balance * float(rng.uniform(1.0, 1.2))
    return view, exposure.astype(np.float32)


def _draw_bonnet(canvas: Canvas, plan: Plan) -> None:
    across = np.linspace(0, 1, 40)
    rise = plan.bonnet * (1 - 0.55 * (2 * across - 1) ** 4)
    outline = np.stack([across * canvas.cols, canvas.rows * (1 - rise)], axis=1)
    for step in range(6):
        lowered = outline + np.array((0, canvas.rows * plan.bonnet * 0.16 * step))
        corners = np.array([(canvas.cols, 1.1 * canvas.rows), (0, 1.1 * canvas.rows)])
        grey = 34 + 7 * step
        canvas.polygon(
            np.concatenate([lowered, corners]), (grey, grey + 1, grey + 4), 1
        )


def _expose(
    image: np.ndarray, exposure: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    height, width = image.shape[:2]
    row = np.linspace(-1, 1, height, dtype=np.float32)[:, None]
    column = np.linspace(-1, 1, width, dtype=np.float32)[None]
    vignette = 1 - 0.07 * (row**2 + column**2)
    signal = image * (exposure * vignette[..., None])
    signal += 6 * np.sin((signal - 128) * np.float32(np.pi / 128))
    grain = noise(31, 0.0)
    shift = rng.integers(0, len(grain), 2)
    level = np.float32(rng.uniform(1.2, 3.2))
    rows = (np.arange(height) + shift[0]) % len(grain)
    columns = (np.arange(width) + shift[1]) % len(grain)
    for channel in range(3):
        part = grain[np.ix_(rows, (columns + 97 * channel) % len(grain))]
        signal[..., channel] += level * part
    return np.clip(np.rint(signal), 0, 255).astype(np.uint8)
