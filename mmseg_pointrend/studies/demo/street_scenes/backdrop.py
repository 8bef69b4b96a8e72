"""What stays: sky, ground with its shadows, houses and the skyline."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

import cv2
import numpy as np

from mmseg_pointrend.studies.demo.street_scenes.brush import Brush, Camera
from mmseg_pointrend.studies.demo.street_scenes.canvas import fixed
from mmseg_pointrend.studies.demo.street_scenes.objects import draw_leaves

TILE, METRE, DEPTH = 512, 64, 9.0
"""Side of a texture, its samples in a metre; depth of a house."""


class Side(NamedTuple):
    """The left (-1) or right side: how far the sidewalk's edges and the houses are."""

    sign: int
    kerb: float
    inner: float
    outer: float
    fronts: float


class House(NamedTuple):
    """A house on the left (-1) or right; its roof rises over the front's height."""

    sign: int
    front: float
    near: float
    far: float
    height: float
    rise: float


def noise(rng: np.random.Generator, *sides: int) -> np.ndarray:
    """Sum of noise of so many spots a side, (512, 512), about -1 to 1 for each."""
    size, cubic = (TILE, TILE), cv2.INTER_CUBIC
    grains = [rng.uniform(-1, 1, (side, side)) for side in sides]
    return np.sum([cv2.resize(grain, size, interpolation=cubic) for grain in grains], 0)


@cache
def textures() -> tuple[np.ndarray, np.ndarray]:
    """Ground of three kinds (512, 512, 3) and clouds (512, 512), uint8 around 128."""
    rng, (row, col) = np.random.default_rng(0), np.mgrid[:TILE, :TILE]
    joints = np.minimum(row % 32, (col + row // 32 % 2 * 16) % 32) < 2
    road, slabs = 8 * noise(rng, 512, 256, 16), 6 * noise(rng, 512, 64) - 20 * joints
    ground = np.stack([road, slabs, 14 * noise(rng, 256, 64, 16)], axis=2)
    clouds = 30 * noise(rng, 8, 16, 32, 80)
    return (128 + ground).astype(np.uint8), (128 + clouds).astype(np.uint8)


def plane(
    camera: Camera, tile: np.ndarray, height: float, rows: slice, step: int
) -> np.ndarray:
    """Show a texture on a level plane so far above the eye, at every few samples."""
    shift = camera.rng.uniform(0, TILE, 2).tolist()
    x, horizon = (camera.vanish - (0.5, 0.5 + rows.start)).tolist()
    wide, long = METRE * height, METRE * height * camera.focal
    matrix = [(wide, shift[0], -wide * x - shift[0] * horizon)]
    matrix += [(0, shift[1], -long - shift[1] * horizon), (0, 1, -horizon)]
    size = camera.canvas.cols // step, (rows.stop - rows.start) // step
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    seen = np.array(matrix) * (step, step, 1)
    mode = cv2.BORDER_REFLECT_101
    return cv2.warpPerspective(tile, seen, size, flags=flags, borderMode=mode)


def paint_sky(camera: Camera) -> None:
    """Fill the canvas with a graded sky and clouds in perspective."""
    canvas, rows = camera.canvas, slice(0, int(camera.vanish[1]) - 1)
    cloud = plane(camera, textures()[1], 1.2, rows, 3)[..., None] / 60
    rise = np.linspace(camera.vanish[1] / camera.focal, 0, len(cloud))[:, None, None]
    cloud = cloud + camera.rng.uniform(-1.9, -1.2) - 0.6 * camera.sun
    cloud = cloud.clip(0, 1) * (3.6 * rise).clip(0, 0.9)
    top = np.array((150, 160, 172)) - camera.sun * np.array((72, 32, -24))
    sky = top + (camera.haze - top) * np.exp(-3.2 * rise)
    sky = sky + ((246, 244, 240) * np.array(0.72 + 0.2 * camera.sun) - sky) * cloud
    canvas.colour[:] = camera.haze
    size = canvas.cols, rows.stop
    canvas.colour[rows] = cv2.resize(sky.astype(np.uint8), size)
    canvas.ids[:] = canvas.new_id('sky')


def paint_ground(camera: Camera, sides: Sequence[Side], tracks: float | None) -> None:
    """Paint all flat surfaces, with a tramway around x = tracks, without shadows."""
    rng, names = camera.rng, ('road', 'sidewalk', 'terrain')
    ids = [camera.canvas.new_id(name) for name in names]
    brush = Brush(camera, ids[2], (0, 0), 0)
    light = camera.light(np.array((0, 1, 0))) / 1.05

    def strip(
        left: float, right: float, tone: str, near: float = 0.6, far: float = 1500
    ) -> None:
        corners = [(left, 0, near), (left, 0, far), (right, 0, far), (right, 0, near)]
        brush.fill(corners, tone, light)

    strip(-400, 400, 'terrain')
    brush.ident, kerb = ids[1], sides[0].kerb
    for sign, _, inner, outer, _ in sides:
        strip(inner * sign, outer * sign, 'sidewalk')
        strip(kerb * sign, (kerb + 0.16) * sign, 'sidewalk*1.16')
    brush.ident = ids[0]
    strip(-kerb, kerb, 'road*.72')
    strip(0.14 - kerb, kerb - 0.14, 'road')
    for left, near, long in rng.uniform((-kerb, 5, 1), (kerb - 1.5, 30, 5), (3, 3)):
        strip(left, left + 1.2, 'road*.8', near, near + long)
    dash, marked = rng.choice((3, 6)), rng.random() < 0.5
    for near in np.arange(rng.uniform(0.6, 6), 150, 6).tolist():
        strip(-0.08, 0.08, 'white', near, near + dash)
    for sign in (-1, 1) if marked else ():
        strip((kerb - 2.3) * sign, (kerb - 2.15) * sign, 'white')
    for rail in () if tracks is None else (tracks - 0.72, tracks + 0.72):
        strip(rail - 0.09, rail + 0.09, 'steel')
        strip(rail - 0.03, rail + 0.03, 'chrome')
    apply_textures(camera, ids)


def apply_textures(camera: Camera, ids: Sequence[int]) -> None:
    """Lay textures over the flat surfaces with these ids, and haze over all."""
    rows = slice(int(camera.vanish[1]) + 2, camera.canvas.rows)
    colour, classes = camera.canvas.colour[rows], camera.canvas.ids[rows]
    change = plane(camera, textures()[0], -camera.eye[1], rows, 1)
    below = np.arange(rows.start, rows.stop, dtype=np.float32) - camera.vanish[1]
    depth = np.minimum(camera.focal * camera.eye[1] / below, 150)[:, None]
    air = 1 - np.exp(-depth / camera.haze_length)
    gain: np.ndarray = np.full(classes.shape, 128, np.uint8)
    for channel, ident in enumerate(ids):
        np.copyto(gain, change[..., channel], where=classes == ident)
    fade = np.minimum(1, 9 / depth).astype(np.float32)
    gain = ((128 + (gain - np.float32(128)) * fade) * (1 - air)).astype(np.uint8)
    haze = np.broadcast_to((air * camera.haze)[:, None], colour.shape).astype(np.uint8)
    textured = cv2.multiply(colour, cv2.merge([gain] * 3), scale=1 / 128)
    colour[:] = cv2.add(textured, haze)


def paint_shadows(camera: Camera, feet: Sequence[tuple[np.ndarray, float]]) -> None:
    """Darken the ground by what stands on it: outlines (N, 3) and heights."""
    canvas, slant = camera.canvas, np.array((-0.5 * camera.sun_side, 0, 0.28))
    top = int(camera.vanish[1])
    below = canvas.colour[top:]
    light: np.ndarray = np.ones((len(below) // 3 + 1, canvas.cols // 3 + 1), np.float32)
    for reach, strength, blur in ((1, 0.52 * camera.sun, 0.8), (0, 0.6, 2.2)):
        mask: np.ndarray = np.zeros(light.shape, np.uint8)
        for foot, height in feet:
            cast = np.concatenate([foot, foot + slant * height * reach])
            outline = fixed((camera.project(cast) - (0, top)) / 3)
            cv2.fillConvexPoly(mask, cv2.convexHull(outline), (255,), shift=4)
        mask = cv2.GaussianBlur(mask, (0, 0), max(blur * canvas.cols / 1536, 0.3))
        light *= 1 - strength / 255 * mask
    gain = cv2.resize((255 * light).astype(np.uint8), below.shape[1::-1])
    below[:] = cv2.multiply(below, cv2.merge([gain] * 3), scale=1 / 255)


def grid(xs: np.ndarray, ys: np.ndarray, wide: float, high: float) -> np.ndarray:
    """Rectangles with their bottom middle at every x and y, (M, 4)."""
    x, y = (values.ravel() for values in np.meshgrid(xs, ys))
    return np.stack([x - wide / 2, y, x + wide / 2, y + high], axis=1)


def draw_front(wall: Brush, width: float, height: float, street: bool) -> None:
    """Paint windows on a wall, and a door or a shop where it is to the street."""
    light = wall.camera.light(-wall.turn[2])
    storey, bay, wide, high = wall.rng.uniform((2.9, 2.1, 0.9, 1.4), (3.3, 3, 1.4, 1.9))
    shutters, shop, courses = wall.rng.random(3) < (0.3, 0.45, 0.4)
    lines = np.arange(0.2, height * courses, 0.25)
    wall.rects([(0, y, width, y + 0.03) for y in lines], 'wall*1.15', light)
    xs = np.arange(bay / 2 + width % bay / 2, width - bay / 2 + 0.1, bay)
    ys = np.arange(0.95, height - high - 0.2, storey)
    door, windows = wall.rng.choice(xs), grid(xs, ys, wide, high)
    if street:
        upstairs, aside = windows[:, 1] > 1, abs(windows[:, 0] + wide / 2 - door) > 0.1
        windows = windows[upstairs | (aside & ~shop)]
        if shop:
            wall.rects([(0.1, 0, width - 0.1, 2.8)], 'accent*.75', light)
            wall.rects(grid(xs, ys[:1] - 0.5, 0.85 * bay, 2), 'glass', light)
            wall.rects([(0.1, 2.5, width - 0.1, 2.9)], 'accent*1.2', light)
        wall.rects([(door - 0.7, 0, door + 0.7, 2.5)], 'trim', light)
        wall.rects([(door - 0.55, 0, door + 0.55, 2.35)], 'accent', light)
    lit = windows[wall.rng.random(len(windows)) < 0.3]
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


def draw_house(camera: Camera, house: House) -> None:
    """Paint a house: its body with the roof, then what is on its seen walls."""
    sign, front, near, far, up, rise = house
    length, deep, top, front = far - near, DEPTH / 2, up + rise, front * sign
    ident = camera.canvas.new_id('building')
    middle = front + deep * sign, (near + far) / 2
    body = Brush(camera, ident, middle, np.pi / 2)
    outline = [(-deep, 0), (-deep, up), (0, top), (deep, up), (deep, 0)]
    body.body([(*point, length / 2) for point in outline], 'wall')
    for face in (1, 2) if rise else ():
        body.panel(np.array([(0, 0), (1, 1)]), 'roof', face)
        tiles = [((0, low), (1, low + 0.04)) for low in np.arange(0.06, 1, 0.1)]
        body.panel(np.array(tiles), 'roof*.85', face)
    chimney = Brush(camera, ident, (middle[0], camera.rng.uniform(near, far)), 0)
    chimney.rects([(-0.4, top - 1, 0.4, top + 0.9)], 'brick*.9')
    end = Brush(camera, ident, (min(front, front + DEPTH * sign), near), 0)
    wall = Brush(camera, ident, (front, near if sign < 0 else far), sign * np.pi / 2)
    end.tones = wall.tones = body.tones
    if near < 60:
        draw_front(end, DEPTH, up, street=False)
    draw_front(wall, length, up, street=True)


def draw_skyline(camera: Camera) -> None:
    """Paint far houses and tree tops that close the street."""
    stone, green = (camera.canvas.new_id(name) for name in ('building', 'vegetation'))
    rng, far = camera.rng, camera.rng.uniform(110, 160)
    for x in np.arange(-1.3, 1.3, 0.1) * far:
        wide, high = rng.uniform((7, 5), (18, 15))
        Brush(camera, stone, (x, far), 0).rects([(0, -2, wide, high)], 'wall*.8')
        for shift, up, radius in rng.uniform((0, -2, 4), (14, 3, 8), (2, 3)):
            draw_leaves(Brush(camera, green, (x + shift, far), 0), (0, up), radius)
