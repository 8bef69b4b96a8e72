"""Houses along the street and the skyline behind them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mmseg_pointrend.studies.demo.street_scenes import textures
from mmseg_pointrend.studies.demo.street_scenes.canvas import Canvas
from mmseg_pointrend.studies.demo.street_scenes.facades import FacadeStyle, draw_facade
from mmseg_pointrend.studies.demo.street_scenes.view import Tone, View, ellipse

BUILDING, VEGETATION = 11, 21


@dataclass(frozen=True)
class House:
    """A house with its front parallel to the street, in metres.

    Attributes:
        sign: side of the street, -1 left, +1 right.
        front: distance of the front from the road's middle.
        near, far: extent along the street.
        height: height of the eaves.
        roof: 'flat', 'gable' (ridge along the street) or 'mansard'.
        rise: height of the roof above the eaves.
        tiles: RGB of the roof.
        style: looks of the front.
        seed: seed of all details.
    """

    sign: int
    front: float
    near: float
    far: float
    height: float
    roof: str
    rise: float
    tiles: Tone
    style: FacadeStyle
    seed: int


DEPTH = 9.0


def _lit(
    texture: np.ndarray, view: View, light: float, near: float, far: float
) -> np.ndarray:
    distance = np.linspace(near, far, texture.shape[1], dtype=np.float32)
    share = (1 - np.exp(-distance / view.haze_length))[None, :, None]
    foot = np.linspace(1.0, 0.9, texture.shape[0], dtype=np.float32)[:, None, None]
    haze = np.array(view.haze, np.float32) * share
    lit = texture * (np.float32(light) * (1 - share) * foot) + haze
    return np.clip(lit, 0, 255).astype(np.uint8)


def draw_house(canvas: Canvas, view: View, house: House) -> None:
    """Paints the side wall, the roof and the front of a house."""
    rng = np.random.default_rng(house.seed)
    near, far = max(house.near, 1.5), house.far
    front = house.front * house.sign
    back = (house.front + DEPTH) * house.sign
    edge = view.project([(front, 0, far)])[0, 0]
    if (edge < 0) if house.sign < 0 else (edge > view.cols):
        return
    height, top = house.height, house.height + house.rise
    mid = (front + back) / 2
    side_light = view.light((0, 0, -1))
    seen = view.focal / max(near, 7.0)
    finest = 34 * view.cols / 1536
    per_metre = float(np.clip(seen * 0.45, 5, finest))

    wall = [
        (front, 0, near),
        (front, height, near),
        (back, height, near),
        (back, 0, near),
    ]
    outline = {
        'gable': [*wall[:2], (mid, top, near), *wall[2:]],
        'mansard': [
            *wall[:2],
            (front + 1.5 * house.sign, top, near),
            (back, top, near),
            wall[3],
        ],
        'flat': wall,
    }[house.roof]
    shaded = view.shade(house.style.wall, side_light, near)
    if house.roof != 'flat':
        canvas.polygon(view.project(outline), shaded, BUILDING)
    width = abs(back - front)
    sheet = draw_facade(rng, house.style, (width, height), per_metre, blind=True)
    corners = view.project([wall[1], wall[2], wall[3], wall[0]])
    canvas.warp(_lit(sheet, view, side_light, near, near), corners, BUILDING)

    light = view.light((-house.sign, 0, 0))
    _draw_roof(canvas, view, house, rng, near)
    sheet = draw_facade(rng, house.style, (far - house.near, height), per_metre)
    hidden = int((near - house.near) / (far - house.near) * sheet.shape[1])
    sheet = sheet[:, hidden:] if hidden else sheet
    corners = view.project(
        [(front, height, near), (front, height, far), (front, 0, far), (front, 0, near)]
    )
    canvas.warp(_lit(sheet, view, light, near, far), corners, BUILDING)


def _draw_roof(
    canvas: Canvas, view: View, house: House, rng: np.random.Generator, near: float
) -> None:
    front, sign = house.front * house.sign, house.sign
    height, top = house.height, house.height + house.rise
    middle = (near + house.far) / 2
    chimneys = rng.uniform(0.15, 0.85, 2) * (house.far - near) + near
    inner = {'gable': DEPTH / 2, 'mansard': 1.5, 'flat': 2.0}[house.roof] * sign
    for place in chimneys:
        foot = (front + inner, top if house.roof != 'flat' else height, place)
        base, size = view.project([foot])[0], view.focal / place
        outline = (
            base + np.array([(-0.4, 0.4), (-0.4, -1.0), (0.4, -1.0), (0.4, 0.4)]) * size
        )
        canvas.polygon(outline, view.shade((128, 86, 72), 0.9, place), BUILDING)
        cap = (
            base
            + np.array([(-0.5, -1.0), (-0.5, -1.2), (0.5, -1.2), (0.5, -1.0)]) * size
        )
        canvas.polygon(cap, view.shade((90, 84, 80), 0.9, place), BUILDING)
    if house.roof == 'flat':
        return
    eave, ridge = front - 0.35 * sign, front + inner
    light = view.light((-0.6 * sign, 0.8, 0))

    def slope(start: float, stop: float) -> np.ndarray:
        low, high = height + start * house.rise, height + stop * house.rise
        xs = eave + (ridge - eave) * start, eave + (ridge - eave) * stop
        return view.project(
            [(xs[0], low, near - 0.3), (xs[0], low, house.far),
             (xs[1], high, house.far), (xs[1], high, near - 0.3)]
        )  # fmt: skip

    soffit = [
        (front, height, near - 0.3),
        (front, height, house.far),
        (eave, height, house.far),
        (eave, height, near - 0.3),
    ]
    shade = view.shade(house.style.trim, 0.5, middle)
    canvas.polygon(view.project(soffit), shade, BUILDING)
    rows = 9
    for row in range(rows):
        tone = 1.0 if row % 2 else 0.9
        colour = view.shade(house.tiles, light * tone, middle)
        canvas.polygon(slope(row / rows, (row + 1) / rows), colour, BUILDING)
    if house.roof == 'mansard':
        for place in np.arange(near + 1.5, house.far - 1.0, 3.0):
            _draw_dormer(canvas, view, house, float(place))


def _draw_dormer(canvas: Canvas, view: View, house: House, place: float) -> None:
    x = (house.front - 0.05) * house.sign
    low, high = house.height + 0.4, house.height + min(2.1, house.rise - 0.3)

    def quad(inset: float, tone: Tone, light: float) -> None:
        corners = [
            (x, low + inset, place + inset),
            (x, high - inset, place + inset),
            (x, high - inset, place + 1.3 - inset),
            (x, low + inset, place + 1.3 - inset),
        ]
        canvas.polygon(view.project(corners), view.shade(tone, light, place), BUILDING)

    light = view.light((-house.sign, 0, 0))
    quad(0.0, house.style.trim, light)
    quad(0.18, (62, 74, 90), light)


def draw_skyline(
    canvas: Canvas, view: View, rng: np.random.Generator, distance: float
) -> None:
    """Paints far houses and tree tops that close the street at the horizon."""
    x = -distance * 1.3
    while x < distance * 1.3:
        width = float(rng.uniform(7, 18))
        height = float(rng.uniform(5, 15))
        tone = float(rng.uniform(130, 190))
        warm: Tone = (tone, tone * 0.93, tone * 0.86)
        peak = height + float(rng.uniform(0, 4))
        outline = [
            (x, -2, distance), (x, height, distance), (x + width / 2, peak, distance),
            (x + width, height, distance), (x + width, -2, distance),
        ]  # fmt: skip
        if rng.random() < 0.75:
            colour = view.shade(warm, 0.9, distance)
            canvas.polygon(view.project(outline), colour, BUILDING)
            dark = view.shade(warm, 0.62, distance)
            panes = [
                view.project(
                    [
                        (left, low, distance),
                        (left, low + 1.4, distance),
                        (left + 1, low + 1.4, distance),
                        (left + 1, low, distance),
                    ]
                )
                for left in np.arange(x + 1.2, x + width - 1.5, 2.4).tolist()
                for low in np.arange(1.5, height - 1.6, 3.0).tolist()
            ]
            if panes:
                canvas.polygon(panes, dark, BUILDING)
        x += width + float(rng.uniform(-1, 5))
    clusters = textures.leaf_clusters()
    palette = leaf_palette(view, (92, 120, 62), distance)
    for x in np.arange(-distance * 1.3, distance * 1.3, 4.0).tolist():
        centre = view.project(
            [(x + rng.uniform(-2, 2), rng.uniform(0.5, 4.0), distance)]
        )[0]
        radius = float(rng.uniform(2.5, 4.5)) * view.focal / distance
        sprite = clusters[int(rng.integers(6))][2]
        box = (
            centre[0] - radius,
            centre[1] - radius,
            centre[0] + radius,
            centre[1] + radius,
        )
        canvas.sprite(sprite, palette, box, VEGETATION)


def leaf_palette(view: View, tone: Tone, distance: float) -> np.ndarray:
    """Colours of leaves from deep shade to full light, (256, 3) uint8."""
    level = np.linspace(0, 1, 256)[:, None]
    dark = np.array(tone) * (0.3, 0.36, 0.42)
    bright = np.array(tone) * (1.3, 1.22, 0.9) * (0.82 + 0.3 * view.sun) + 12
    air = view.air(distance)
    mixed = (dark + (bright - dark) * level) * (1 - air) + np.array(view.haze) * air
    return np.clip(mixed, 0, 255).astype(np.uint8)


def far_hill(canvas: Canvas, view: View, rng: np.random.Generator) -> None:
    """Paints wooded hills at the horizon."""
    for _ in range(3):
        centre = (float(rng.uniform(0, view.cols)), view.horizon + view.rows * 0.01)
        radii = (
            view.cols * rng.uniform(0.2, 0.5),
            view.focal * rng.uniform(0.02, 0.055),
        )
        colour = view.shade((96, 122, 84), 0.9, view.haze_length * 1.1)
        canvas.polygon(ellipse(centre, radii, 48), colour, VEGETATION)
