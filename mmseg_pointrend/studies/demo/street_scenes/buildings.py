"""Houses along the street and the skyline behind them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mmseg_pointrend.studies.demo.street_scenes.brush import Brush, Camera, pick
from mmseg_pointrend.studies.demo.street_scenes.plants import draw_leaves

PLASTERS = (
    (222, 208, 178), (214, 188, 140), (206, 160, 134), (190, 196, 196),
    (176, 190, 204), (224, 218, 206), (178, 152, 140), (156, 92, 74), (134, 82, 68),
)  # fmt: skip
ROOFS = (152, 78, 56), (120, 70, 58), (84, 84, 90), (70, 62, 60)
TRIMS = (232, 228, 218), (236, 236, 234), (128, 112, 98)
ACCENTS = (172, 44, 40), (34, 92, 70), (38, 66, 120), (206, 150, 40), (80, 50, 44)
DEPTH = 9.0


@dataclass(frozen=True)
class House:
    """A house on the left (sign -1) or right, in metres.

    Its front is so far from the road's middle; its ridge runs along the street and
    rises above the eaves, or does not for a flat roof.
    """

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
    shutters, shop, brick, balconies = rng.random(4) < (0.3, 0.45, 0.4, 0.3)
    courses = np.arange(0.2, height if brick else 0, 0.25)
    wall.rects([(0, y, width, y + 0.03) for y in courses], 'wall*1.15', light)
    xs = np.arange(bay / 2 + width % bay / 2, width - bay / 2 + 0.1, bay)
    ys = np.arange(0.95, height - high - 0.2, storey)
    door = rng.choice(xs)
    windows = grid(xs, ys, wide, high)
    if street:
        upstairs, aside = windows[:, 1] > 1, abs(windows[:, 0] + wide / 2 - door) > 0.1
        shop = shop and len(ys) > 2
        windows = windows[upstairs | aside & (not shop)]
        if shop:
            wall.rects([(0.1, 0, width - 0.1, 3.2)], 'accent*.75', light)
            wall.rects(grid(xs, 0.5 + 0 * ys[:1], 0.85 * bay, 2.1), 'glass', light)
            wall.rects([(0.1, 2.75, width - 0.1, 3.3)], 'accent*1.2', light)
        wall.rects([(door - 0.7, 0, door + 0.7, 2.5)], 'trim', light)
        wall.rects([(door - 0.55, 0, door + 0.55, 2.35)], 'accent', light)
    lit = windows[rng.random(len(windows)) < 0.3]
    for rects, grow, tone in (
        (windows, (-0.14, -0.16, 0.14, 0.14), 'trim'),
        (windows, (0, 0, 0, 0), 'glass*.7'),
        (windows, (0.1, 0, 0, -0.1), 'glass'),
        (lit, (0.15, 0.5, -0.1, -0.1), 'trim*.6'),
        (windows, (wide / 2 - 0.04, 0, 0.04 - wide / 2, 0), 'trim'),
        (windows[: len(windows) * shutters], (-0.5, 0, -wide, 0), 'accent'),
        (windows[: len(windows) * shutters], (wide, 0, 0.5, 0), 'accent'),
        (lit[: len(lit) * balconies], (-0.3, -0.2, 0.3, -high), 'steel'),
        (lit[: len(lit) * balconies], (-0.3, 0.85, 0.3, 0.95 - high), 'steel'),
    ):
        wall.rects(np.add(rects, grow), tone, light)
    for left, low, right, _ in lit[: len(lit) * balconies]:
        bars = grid(np.arange(left - 0.3, right + 0.35, 0.16), low, 0.05, 0.9)
        wall.rects(bars, 'steel')
    wall.rects([(0, height - 0.3, width, height)], 'trim', light)


def draw_house(camera: Camera, house: House, rng: np.random.Generator) -> None:
    """Paint a house: its body with the roof, then what is on the walls that are seen."""
    sign, length, up, deep = house.sign, house.far - house.near, house.height, DEPTH / 2
    palettes = dict(wall=PLASTERS, roof=ROOFS, trim=TRIMS, accent=ACCENTS)
    tones = {name: pick(rng, palette) for name, palette in palettes.items()}
    ident, front = camera.canvas.new_id('building'), house.front * sign
    middle, top = (house.near + house.far) / 2, up + house.rise
    body = Brush(camera, ident, (front + deep * sign, middle), np.pi / 2, tones)
    outline = [(-deep, 0), (-deep, up), (0, top), (deep, up), (deep, 0)]
    if house.rise == 0:
        del outline[2]
    body.body([(*point, length / 2) for point in outline], 'wall')
    for face in (1, 2) if house.rise else ():
        body.panel(np.array([(0, 0), (1, 1)]), 'roof', face)
        for low in np.arange(0.06, 1, 0.1):
            body.panel(np.array([(0, low), (1, low + 0.04)]), 'roof*.85', face)
    for place in rng.uniform(-0.3, 0.3, 2) * length:
        chimney = Brush(camera, ident, (front + deep * sign, middle + place))
        box = [(-0.4, top - 1), (-0.4, top + 0.9), (0.4, top + 0.9), (0.4, top - 1)]
        chimney.body([(*point, 0.4) for point in box], 'brick')
    end = Brush(camera, ident, (min(front, front + DEPTH * sign), house.near), 0, tones)
    draw_front(end, rng, DEPTH, up, street=False)
    start = house.near if sign < 0 else house.far
    wall = Brush(camera, ident, (front, start), sign * np.pi / 2, tones)
    draw_front(wall, rng, length, up, street=True)


def draw_skyline(camera: Camera, rng: np.random.Generator, distance: float) -> None:
    """Paint far houses and tree tops that close the street."""
    stone, green = (camera.canvas.new_id(name) for name in ('building', 'vegetation'))
    for x in np.arange(-1.3, 1.3, 0.13) * distance:
        tones = {'wall': np.multiply((1, 0.93, 0.86), rng.uniform(120, 180))}
        house = Brush(camera, stone, (x, distance), 0, tones)
        wide, high = rng.uniform((7, 5), (18, 15))
        house.rects([(0, -2, wide, high)], 'wall')
        windows = grid(
            np.arange(1.7, wide - 1, 2.4), np.arange(1.5, high - 1.6, 3), 1, 1.4
        )
        house.rects(windows, 'wall*.7')
    trees = Brush(camera, green, (0, distance), 0, {'leaf': (100, 128, 70)})
    for x in np.arange(-1.3 * distance, 1.3 * distance, 4):
        draw_leaves(trees, rng, (x, rng.uniform(0, 4)), rng.uniform(2.5, 4.5), 14)
