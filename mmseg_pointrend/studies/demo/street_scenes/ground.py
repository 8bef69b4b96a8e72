"""Sky, road, sidewalks and lawns, and the shadows on them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np

from mmseg_pointrend.studies.demo.street_scenes.brush import Brush, Camera, pick
from mmseg_pointrend.studies.demo.street_scenes.canvas import fixed

PALETTES = {
    'road': ((96, 96, 99), (110, 107, 104), (84, 86, 92)),
    'sidewalk': ((164, 156, 146), (150, 150, 150), (172, 158, 138)),
    'terrain': ((104, 126, 62), (118, 128, 66), (92, 116, 60)),
}
TILE = 512
"""Side of a texture in samples."""


@dataclass(frozen=True)
class Side:
    """One side of the street, left (sign -1) or right.

    The distances from the road's middle, in metres, of the kerb, the sidewalk's two
    edges and the house fronts; between them are lawns, which may have no width.
    """

    sign: int
    kerb: float
    inner: float
    outer: float
    fronts: float


@cache
def noise(seed: int, softness: float) -> np.ndarray:
    """Seamless noise of unit variance, (512, 512) float32."""
    white = np.random.default_rng(seed).standard_normal((TILE, TILE))
    waves = np.hypot(np.fft.fftfreq(TILE)[:, None], np.fft.rfftfreq(TILE)[None])
    spectrum = np.fft.rfft2(white) * np.maximum(waves, 1 / TILE) ** -softness
    field = np.fft.irfft2(spectrum * (waves > 0), s=(TILE, TILE))
    return (field / field.std()).astype(np.float32)


@cache
def textures() -> np.ndarray:
    """Road, sidewalk and terrain over 8 m as relative changes, (512, 512, 3)."""
    row, col = np.mgrid[:TILE, :TILE]
    joints = np.minimum(row % 32, (col + row // 32 % 2 * 16) % 32) < 2
    road = 0.07 * noise(1, 0.15) + 0.05 * noise(2, 1.2)
    road -= 0.18 * (np.abs(noise(3, 1.6)) < 0.006)
    slabs = 0.05 * noise(4, 0.6) - 0.16 * joints
    return np.stack([road, slabs, 0.2 * noise(5, 0.8)], axis=2).astype(np.float32)


def read(field: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Read a tile that repeats itself at places x and y, which are broadcast."""
    maps = (values.astype(np.float32) for values in np.broadcast_arrays(x, y))
    return cv2.remap(field, *maps, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)


def paint_sky(camera: Camera, rng: np.random.Generator) -> None:
    """Fill the canvas with a graded sky and clouds in perspective."""
    canvas, (vanish, horizon) = camera.canvas, camera.vanish
    rise = np.linspace(horizon / camera.focal, 0, canvas.rows // 6 + 1)[:, None]
    aside = np.linspace(-vanish, canvas.cols - vanish, canvas.cols // 3) / camera.focal
    reach, shift = 60 / (rise + 0.16), rng.uniform(0, TILE, 2)
    cloud = read(noise(6, 1.55), aside * reach + shift[0], reach + shift[1])
    cloud = (0.75 * (cloud + rng.uniform(0, 1) - 0.9 * camera.sun)).clip(0, 1)
    cloud, rise = (0.9 * cloud * (5 * rise).clip(0.25, 1))[..., None], rise[..., None]
    top = np.array((150, 160, 172)) - (1 - camera.sun) * np.array((72, 32, -24))
    sky = top + (camera.haze - top) * np.exp(-3.2 * rise)
    sky = sky + ((246, 244, 240) * np.array(0.72 + 0.2 * camera.sun) - sky) * cloud
    canvas.colour[:] = camera.haze
    rows = canvas.colour[: int(horizon)]
    rows[:] = cv2.resize(sky.clip(0, 255).astype(np.uint8), rows.shape[1::-1])
    canvas.ids[:] = canvas.new_id('sky')


def paint_ground(
    camera: Camera,
    rng: np.random.Generator,
    sides: Sequence[Side],
    zebra: float | None,
    tracks: float | None,
) -> None:
    """Paint all flat surfaces with their textures, without shadows.

    Args:
        camera: camera and canvas.
        rng: source of chance.
        sides: left and right side of the street.
        zebra: distance of a crossing, if there is one.
        tracks: x of the middle of a tramway, if there is one.
    """
    tones = {name: pick(rng, palette) for name, palette in PALETTES.items()}
    light = camera.light(np.array((0, 1, 0))) / 1.05
    ids = [camera.canvas.new_id(name) for name in PALETTES]
    brush = Brush(camera, ids[2], (0, 0), 0, tones)

    def strip(
        left: float, right: float, tone: str, near: float = 0.6, far: float = 1500
    ) -> None:
        corners = [(left, 0, near), (left, 0, far), (right, 0, far), (right, 0, near)]
        brush.fill(corners, tone, light)

    kerb = sides[0].kerb
    strip(-400, 400, 'terrain')
    brush.ident = ids[1]
    for side in sides:
        strip(side.inner * side.sign, side.outer * side.sign, 'sidewalk')
        strip(side.kerb * side.sign, (side.kerb + 0.16) * side.sign, 'sidewalk*1.16')
    brush.ident = ids[0]
    strip(-kerb, kerb, 'road*.72')
    strip(0.14 - kerb, kerb - 0.14, 'road')
    for left, near, long in rng.uniform((-kerb, 5, 1), (kerb - 1.5, 30, 5), (3, 3)):
        strip(left, left + 1.2, 'road*.8', near, near + long)
    dash, free = 6 if rng.random() < 0.3 else 3, zebra or 1e3
    for near in np.arange(rng.uniform(0.6, 6), 150, 6):
        if abs(near - free) > 5:
            strip(-0.08, 0.08, 'white', near, near + dash)
    for sign in (-1, 1) if rng.random() < 0.5 else ():
        strip((kerb - 2.3) * sign, (kerb - 2.15) * sign, 'white', 0.6, free - 4)
    if zebra:
        strip(0.1, kerb - 0.3, 'white', zebra - 3.8, zebra - 3.3)
        for left in np.arange(0.4 - kerb, kerb - 0.6, 1):
            strip(left, left + 0.5, 'white', zebra - 1.8, zebra + 1.8)
    for rail in () if tracks is None else (tracks - 0.72, tracks + 0.72):
        strip(rail - 0.09, rail + 0.09, 'steel')
        strip(rail - 0.03, rail + 0.03, 'chrome')
    apply_textures(camera, rng.uniform(0, TILE, 2), ids)


def apply_textures(camera: Camera, shift: np.ndarray, ids: Sequence[int]) -> None:
    """Lay textures over the flat surfaces with these ids, and haze over all."""
    canvas, (vanish, horizon) = camera.canvas, camera.vanish
    top = int(horizon) + 2
    colour, classes = canvas.colour[top:], canvas.ids[top:]
    # Every second sample is enough: the picture averages several of them.
    row, aside = np.arange(top, canvas.rows, 2)[:, None], np.arange(0, canvas.cols, 2)
    depth = np.minimum(camera.focal * camera.eye[1] / (row + 1 - horizon), 150)
    x = (aside + 1 - vanish) * depth / camera.focal + camera.eye[0]
    change = read(textures(), x * 64 + shift[0], depth * 64 + shift[1])
    depth = depth[..., None].astype(np.float32)
    air = 1 - np.exp(-depth / camera.haze_length)
    gains = (128 * (1 + change * np.minimum(1, 9 / depth)) * (1 - air)).clip(0, 255)
    gains = cv2.resize(gains.astype(np.uint8), classes.shape[::-1])
    gain = np.full(classes.shape, 128, np.uint8)
    for channel, ident in enumerate(ids):
        np.copyto(gain, gains[..., channel], where=classes == ident)
    haze = cv2.resize((air * camera.haze).astype(np.uint8), classes.shape[::-1])
    colour[:] = cv2.multiply(colour, cv2.merge([gain] * 3), scale=1 / 128)
    colour[:] = cv2.add(colour, haze)


def paint_shadows(camera: Camera, feet: Sequence[tuple[np.ndarray, float]]) -> None:
    """Darken the ground under and behind what stands on it.

    Args:
        camera: camera and canvas, with the ground only.
        feet: outlines on the ground, (N, 3) in metres, and heights in metres.
    """
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
