"""Houses along the street and the skyline behind them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from mmseg_pointrend.studies.demo.street_scenes.brush import Brush, Camera, pick_tones
from mmseg_pointrend.studies.demo.street_scenes.living import draw_leaves

DEPTH = 9.0


class House(NamedTuple):
    """A house on the left (-1) or right; the roof rises over the height of its front."""

    sign: int
    front: float
    near: float
    far: float
    height: float
    rise: float


def grid(xs: np.ndarray, ys: np.ndarray, wide: float, high: float) -> np.ndarray:
    """Rectangles with their bottom middle at every x and y, (M, 4)."""
    x, y = (values.ravel() for values in np.meshgrid(xs, ys))
    return np.stack([x - wide / 2, y, x + wide / 2, y + high], axis=1)


def draw_front(
    wall: Brush, rng: np.random.Generator, width: float, height: float, street: bool
) -> None:
    """Paint windows on a wall, and a door or a shop where it is to the street."""
    light = wall.camera.light(-wall.turn[2])
    storey, bay, wide, high = rng.uniform((2.9, 2.1, 0.9, 1.4), (3.3, 3, 1.4, 1.9))
    shutters, shop, courses = rng.random(3) < (0.3, 0.45, 0.4)
    lines = np.arange(0.2, height * courses, 0.25)
    wall.rects([(0, y, width, y + 0.03) for y in lines], 'wall*1.15', light)
    xs = np.arange(bay / 2 + width % bay / 2, width - bay / 2 + 0.1, bay)
    ys = np.arange(0.95, height - high - 0.2, storey)
    door, windows = rng.choice(xs), grid(xs, ys, wide, high)
    if street:
        upstairs, aside = windows[:, 1] > 1, abs(windows[:, 0] + wide / 2 - door) > 0.1
        windows = windows[upstairs | (aside & ~shop)]
        if shop:
            wall.rects([(0.1, 0, width - 0.1, 2.8)], 'accent*.75', light)
            wall.rects(grid(xs, ys[:1] - 0.5, 0.85 * bay, 2), 'glass', light)
            wall.rects([(0.1, 2.5, width - 0.1, 2.9)], 'accent*1.2', light)
        wall.rects([(door - 0.7, 0, door + 0.7, 2.5)], 'trim', light)
        wall.rects([(door - 0.55, 0, door + 0.55, 2.35)], 'accent', light)
    lit = windows[rng.random(len(windows)) < 0.3]
    shut = windows[: len(windows) * shutters]
    for rects, grow, tone in (
        (windows, (-0.14, -0.16, 0.14, 0.14), 'trim'),
        (windows, (0, 0, 0, 0), 'glass*.7'),
        (windows, (0.1, 0, 0, -0.1), 'glass'),
        (lit, (0.15, 0.5, -0.1, -0.1), 'trim*.6'),
        (windows, (wide / 2 - 0.04, 0, 0.04 - wide / 2, 0), 'trim'),
        (shut, (-0.5, 0, -wide, 0), 'accent'),
        (shut, (wide, 0, 0.5, 0), 'accent'),
    ):
        wall.rects(rects + grow, tone, light)
    wall.rects([(0, height - 0.3, width, height)], 'trim', light)


def draw_house(camera: Camera, house: House, rng: np.random.Generator) -> None:
    """Paint a house: its body with the roof, then what is on the walls that are seen."""
    sign, front, near, far, up, rise = house
    length, deep, top, front = far - near, DEPTH / 2, up + rise, front * sign
    ident, tones = camera.canvas.new_id('building'), pick_tones(rng)
    middle = front + deep * sign, (near + far) / 2
    body = Brush(camera, ident, middle, np.pi / 2, tones)
    outline = [(-deep, 0), (-deep, up), (0, top), (deep, up), (deep, 0)]
    body.body([(*point, length / 2) for point in outline], 'wall')
    for face in (1, 2) if rise else ():
        body.panel(np.array([(0, 0), (1, 1)]), 'roof', face)
        lines = [((0, low), (1, low + 0.04)) for low in np.arange(0.06, 1, 0.1)]
        body.panel(np.array(lines), 'roof*.85', face)
    for place in rng.uniform(near, far, 2):
        chimney = Brush(camera, ident, (middle[0], place), 0, tones)
        chimney.rects([(-0.4, top - 1, 0.4, top + 0.9)], 'brick*.9')
    if near < 60:
        end = Brush(camera, ident, (min(front, front + DEPTH * sign), near), 0, tones)
        draw_front(end, rng, DEPTH, up, street=False)
    start = near if sign < 0 else far
    wall = Brush(camera, ident, (front, start), sign * np.pi / 2, tones)
    draw_front(wall, rng, length, up, street=True)


def draw_skyline(camera: Camera, rng: np.random.Generator) -> None:
    """Paint far houses and tree tops that close the street."""
    stone, green = (camera.canvas.new_id(name) for name in ('building', 'vegetation'))
    far = rng.uniform(110, 160)
    for x in np.arange(-1.3, 1.3, 0.1) * far:
        tones, (wide, high) = pick_tones(rng), rng.uniform((7, 5), (18, 15))
        Brush(camera, stone, (x, far), 0, tones).rects([(0, -2, wide, high)], 'wall*.8')
        for shift, up, radius in rng.uniform((0, -2, 4), (14, 3, 8), (2, 3)):
            trees = Brush(camera, green, (x + shift, far), 0, tones)
            draw_leaves(trees, rng, (0, up), radius)
