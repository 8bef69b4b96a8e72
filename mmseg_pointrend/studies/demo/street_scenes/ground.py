"""Sky, road, sidewalks and lawns, and the shadows on them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

import cv2
import numpy as np

from mmseg_pointrend.studies.demo.street_scenes.brush import Brush, Camera, pick_tones
from mmseg_pointrend.studies.demo.street_scenes.canvas import fixed

TILE, METRE = 512, 64
"""Side of a texture, and samples of it in a metre."""


class Side(NamedTuple):
    """The left (-1) or right side: metres from the road's middle to the kerb, to both
    edges of the sidewalk and to the house fronts, with lawns between, or without.
    """

    sign: int
    kerb: float
    inner: float
    outer: float
    fronts: float


def noise(rng: np.random.Generator, *sides: int) -> np.ndarray:
    """Sum of noise of so many spots a side, (512, 512), about -1 to 1 for each."""
    grains = [rng.uniform(-1, 1, (side, side)).astype(np.float32) for side in sides]
    size = TILE, TILE
    return sum(
        cv2.resize(grain, size, interpolation=cv2.INTER_CUBIC) for grain in grains
    )


@cache
def textures() -> np.ndarray:
    """Gains of road, sidewalk and terrain, 128 for 1, and clouds, (512, 512, 4) uint8."""
    rng, (row, col) = np.random.default_rng(0), np.mgrid[:TILE, :TILE]
    joints = np.minimum(row % 32, (col + row // 32 % 2 * 16) % 32) < 2
    road, slabs = 8 * noise(rng, 512, 256, 16), 6 * noise(rng, 512, 64) - 20 * joints
    terrain, clouds = 14 * noise(rng, 256, 64, 16), 30 * noise(rng, 9, 18, 40, 90)
    return (128 + np.stack([road, slabs, terrain, clouds], axis=2)).astype(np.uint8)


def plane(camera: Camera, height: float, shift: np.ndarray, rows: slice) -> np.ndarray:
    """Textures as seen on a level plane so far above the eye, (rows, W, 4) uint8."""
    x, horizon = camera.vanish - (0.5, 0.5 + rows.start)
    wide, long = METRE * height, METRE * height * camera.focal
    matrix = [(wide, shift[0], -wide * x - shift[0] * horizon)]
    matrix += [(0, shift[1], -long - shift[1] * horizon), (0, 1, -horizon)]
    size = camera.canvas.cols, rows.stop - rows.start
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    mode = dict(flags=flags, borderMode=cv2.BORDER_REFLECT_101)
    return cv2.warpPerspective(textures(), np.array(matrix, float), size, **mode)


def paint_sky(camera: Camera, rng: np.random.Generator) -> None:
    """Fill the canvas with a graded sky and clouds in perspective."""
    canvas, rows = camera.canvas, slice(0, int(camera.vanish[1]) - 1)
    rise = (camera.vanish[1] - np.arange(rows.stop, dtype=np.float32)) / camera.focal
    cloud = plane(camera, 1.2, rng.uniform(0, TILE, 2), rows)[..., 3].astype(np.float32)
    cloud = cloud / 40 + np.float32(rng.uniform(-3, -2) - camera.sun)
    cloud = (cloud.clip(0, 1) * (3.6 * rise[:, None]).clip(0, 0.9))[..., None]
    top = np.array((150, 160, 172)) - camera.sun * np.array((72, 32, -24))
    sky = (top + (camera.haze - top) * np.exp(-3.2 * rise[:, None]))[:, None]
    white = np.array((246, 244, 240), np.float32) * np.float32(0.72 + 0.2 * camera.sun)
    canvas.colour[:] = camera.haze
    canvas.colour[rows] = sky.astype(np.float32) * (1 - cloud) + white * cloud
    canvas.ids[:] = canvas.new_id('sky')


def paint_ground(
    camera: Camera,
    rng: np.random.Generator,
    sides: Sequence[Side],
    tracks: float | None,
) -> None:
    """Paint all flat surfaces, with a tramway around x = tracks, without shadows."""
    names = 'road', 'sidewalk', 'terrain'
    ids = [camera.canvas.new_id(name) for name in names]
    brush = Brush(camera, ids[2], (0, 0), 0, pick_tones(rng))
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
    dash, edges = rng.choice((3, 6)), rng.choice((0.15, 0))
    for near in np.arange(rng.uniform(0.6, 6), 150, 6):
        strip(-0.08, 0.08, 'white', near, near + dash)
    for sign in (-1, 1):
        strip((kerb - 2.3) * sign, (kerb - 2.3 + edges) * sign, 'white')
    for rail in () if tracks is None else (tracks - 0.72, tracks + 0.72):
        strip(rail - 0.09, rail + 0.09, 'steel')
        strip(rail - 0.03, rail + 0.03, 'chrome')
    apply_textures(camera, ids, rng.uniform(0, TILE, 2))


def apply_textures(camera: Camera, ids: Sequence[int], shift: np.ndarray) -> None:
    """Lay textures over the flat surfaces with these ids, and haze over all."""
    rows = slice(int(camera.vanish[1]) + 2, camera.canvas.rows)
    colour, classes = camera.canvas.colour[rows], camera.canvas.ids[rows]
    change = plane(camera, -camera.eye[1], shift, rows).astype(np.float32) - 128
    below = np.arange(rows.start, rows.stop, dtype=np.float32) - camera.vanish[1]
    depth = np.minimum(camera.focal * camera.eye[1] / below, 150)[:, None]
    air = 1 - np.exp(-depth / camera.haze_length)
    gain = np.zeros(classes.shape, np.float32)
    for channel, ident in enumerate(ids):
        np.copyto(gain, change[..., channel], where=classes == ident)
    gain = ((128 + gain * np.minimum(1, 9 / depth)) * (1 - air)).astype(np.uint8)
    haze = np.broadcast_to((air * camera.haze)[:, None], colour.shape).astype(np.uint8)
    gain = cv2.merge([gain] * 3)
    colour[:] = cv2.add(cv2.multiply(colour, gain, scale=1 / 128), haze)


def paint_shadows(camera: Camera, feet: Sequence[tuple[np.ndarray, float]]) -> None:
    """Darken the ground around outlines (N, 3) of what stands on it, of such heights."""
    canvas, slant = camera.canvas, np.array((-0.5 * camera.sun_side, 0, 0.28))
    top = int(camera.vanish[1])
    below = canvas.colour[top:]
    light = np.ones((len(below) // 3 + 1, canvas.cols // 3 + 1), np.float32)
    for reach, strength, blur in ((1, 0.52 * camera.sun, 0.8), (0, 0.6, 2.2)):
        mask = np.zeros(light.shape, np.uint8)
        for foot, height in feet:
            cast = np.concatenate([foot, foot + slant * height * reach])
            outline = fixed((camera.project(cast) - (0, top)) / 3)
            cv2.fillConvexPoly(mask, cv2.convexHull(outline), (255,), shift=4)
        mask = cv2.GaussianBlur(mask, (0, 0), max(blur * canvas.cols / 1536, 0.3))
        light *= 1 - strength / 255 * mask
    gain = cv2.resize((255 * light).astype(np.uint8), below.shape[1::-1])
    below[:] = cv2.multiply(below, cv2.merge([gain] * 3), scale=1 / 255)
