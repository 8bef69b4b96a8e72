"""Sky, road, sidewalks and lawns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from mmseg_pointrend.studies.demo.street_scenes import textures
from mmseg_pointrend.studies.demo.street_scenes.canvas import Canvas
from mmseg_pointrend.studies.demo.street_scenes.view import Tone, View

FAR = 1500.0

ROAD, SIDEWALK, TERRAIN, SKY = 7, 8, 22, 23


@dataclass(frozen=True)
class Side:
    """One side of the street, widths in metres from the kerb outwards.

    Attributes:
        sign: -1 left, +1 right.
        verge: grass between kerb and sidewalk.
        sidewalk: paved width.
        yard: ground between sidewalk and house fronts.
        paved_yard: whether the yard is paved.
    """

    sign: int
    verge: float
    sidewalk: float
    yard: float
    paved_yard: bool


@dataclass(frozen=True)
class Street:
    """Cross-section of the street and its only crossing, in metres."""

    half_width: float
    sides: tuple[Side, Side]
    crossing: tuple[float, float] | None
    tracks: float | None


def paint_sky(canvas: Canvas, view: View, rng: np.random.Generator) -> None:
    """Fills the canvas with a graded sky and clouds in perspective."""
    cover = rng.uniform(0.0, 1.0) + 0.9 * (1 - view.sun)
    shift = rng.uniform(0, textures.TILE, 2)
    rows = int(min(canvas.rows, max(view.horizon + 8, 8)))
    height, width = max(rows // 3, 2), max(canvas.cols // 3, 2)
    rise = ((rows - 8) - np.linspace(0, rows, height)) / view.focal
    rise = np.maximum(rise, 0.0).astype(np.float32)
    top = np.array((78, 128, 196)) * view.sun + np.array((150, 160, 172)) * (
        1 - view.sun
    )
    share = (1 - np.exp(-rise * 3.2))[:, None, None]
    sky = np.asarray(view.haze) * (1 - share) + top * share
    sideways = (np.linspace(0, canvas.cols, width) - view.vanish_x) / view.focal
    reach = (1 / (rise + 0.16))[:, None]
    map_x = (sideways[None] * reach * 60 + shift[0]).astype(np.float32)
    map_y = np.broadcast_to(reach * 60 + shift[1], map_x.shape).astype(np.float32)
    cloud: np.ndarray = cv2.remap(
        textures.noise(21, 1.55), map_x, map_y, cv2.INTER_LINEAR, None, cv2.BORDER_WRAP
    )
    cloud = np.clip((cloud + cover - 0.9) * 0.75, 0, 1)
    cloud *= np.clip(rise * 5, 0.25, 1)[:, None]
    white = np.array((246, 244, 240)) * (0.82 + 0.18 * view.sun)
    body = white * (1 - 0.14 * cloud[..., None])
    sky = sky + (body - sky) * (cloud * 0.9)[..., None]
    sky = np.clip(sky, 0, 255).astype(np.uint8)
    canvas.colour[:] = view.shade(view.haze, 1, 0)
    canvas.colour[:rows] = cv2.resize(sky, (canvas.cols, rows))
    canvas.ids[:] = SKY


def _varied(tone: Tone, change: np.ndarray) -> Tone:
    red, green, blue = (np.array(tone) + change).tolist()
    return red, green, blue


def paint_ground(
    canvas: Canvas, view: View, street: Street, rng: np.random.Generator
) -> None:
    """Paints all flat surfaces with their textures, without shadows."""
    tints = rng.normal(0, 5, (4, 3))
    road = _varied((96, 96, 99), rng.normal(0, 8) + tints[0] * 0.4)
    slab = _varied((164, 156, 146), rng.normal(0, 9) + tints[1])
    green = _varied((104, 126, 62), tints[2] * 1.5)
    line: Tone = (226, 224, 216)
    light = view.light((0, 1, 0)) / 1.05

    def strip(
        left: float,
        right: float,
        tone: Tone,
        ident: int,
        near: float = 0.6,
        far: float = FAR,
        gain: float = 1.0,
    ) -> None:
        corners = [(left, 0, near), (left, 0, far), (right, 0, far), (right, 0, near)]
        colour = view.shade(tone, light * gain, 0)
        canvas.polygon(view.project(corners), colour, ident)

    half = street.half_width
    for side in street.sides:
        edges = np.cumsum([half, side.verge, side.sidewalk, side.yard]) * side.sign
        beyond = side.sign * 400.0
        strip(edges[3], beyond, green, TERRAIN)
        if side.yard > 0:
            paved = side.paved_yard
            strip(
                edges[2],
                edges[3],
                slab if paved else green,
                SIDEWALK if paved else TERRAIN,
            )
        strip(edges[1], edges[2], slab, SIDEWALK)
        if side.verge > 0:
            strip(half * side.sign, edges[1], green, TERRAIN)
        strip(half * side.sign, (half + 0.16) * side.sign, slab, SIDEWALK, gain=1.16)
    strip(-half, half, road, ROAD)
    if street.crossing:
        strip(-400, 400, road, ROAD, *street.crossing)
    for side in street.sides:
        gutter = (half - 0.14) * side.sign
        strip(gutter, half * side.sign, road, ROAD, gain=0.72)
    _paint_markings(strip, street, line, rng)
    _apply_texture(canvas, view, rng.uniform(0, 100, 2))


def _paint_markings(
    strip: Callable[..., None], street: Street, line: Tone, rng: np.random.Generator
) -> None:
    half = street.half_width
    gap = street.crossing or (1e3, 1e3)
    worn = float(rng.uniform(0.82, 1.0))
    solid = rng.random() < 0.3
    start = float(rng.uniform(0, 6))
    for step in range(24):
        near = start + 6.0 * step
        if gap[0] - 5 < near + 3 and near < gap[1] + 2:
            continue
        strip(-0.07, 0.07, line, ROAD, near, near + (6.0 if solid else 3.0), worn)
    if rng.random() < 0.5:
        for sign in (-1, 1):
            inner, outer = (half - 2.3) * sign, (half - 2.18) * sign
            strip(inner, outer, line, ROAD, 0.6, min(gap[0] - 4, 150), worn)
    if street.crossing:
        strip(0.1, half - 0.3, line, ROAD, gap[0] - 4.6, gap[0] - 4.1, worn)
        for left in np.arange(-half + 0.4, half - 0.6, 1.0).tolist():
            strip(left, left + 0.5, line, ROAD, gap[0] - 3.6, gap[0] - 0.8, worn)
            strip(left, left + 0.5, line, ROAD, gap[1] + 0.8, gap[1] + 3.6, worn)
    if street.tracks is not None:
        for offset in (-0.72, 0.72):
            rail = street.tracks + offset
            strip(rail - 0.09, rail + 0.09, (52, 50, 48), ROAD)
            strip(rail - 0.03, rail + 0.03, (168, 168, 170), ROAD)
    for _ in range(int(rng.integers(1, 5))):
        left = float(rng.uniform(-half + 0.5, half - 2.0))
        near = float(rng.uniform(5, 30))
        wide, long = rng.uniform(0.7, 1.6), rng.uniform(1.0, 5.0)
        strip(left, left + wide, (74, 74, 76), ROAD, near, near + long)


def _apply_texture(canvas: Canvas, view: View, shift: np.ndarray) -> None:
    top = int(np.ceil(view.horizon + 1))
    if top >= canvas.rows:
        return
    colour, ids = canvas.colour[top:], canvas.ids[top:]
    # Every second sample is enough: the picture averages several of them.
    row = np.arange(top, canvas.rows + 1, 2) + 1
    depth = view.focal * view.eye_height / (row - view.horizon)
    depth = np.minimum(depth, 150.0).astype(np.float32)[:, None]
    across = np.arange(0, canvas.cols + 1, 2, dtype=np.float32) + 1
    per_metre = textures.TILE / 8
    map_x = (across - np.float32(view.vanish_x)) * (depth * per_metre / view.focal)
    map_x += np.float32((view.eye_x + shift[0]) * per_metre)
    map_y = np.repeat((depth + np.float32(shift[1])) * per_metre, len(across), axis=1)
    tiles = cv2.merge([textures.asphalt(), textures.paving(), textures.grass()])
    gains = cv2.remap(tiles, map_x, map_y, cv2.INTER_LINEAR, None, cv2.BORDER_WRAP)
    strength = np.minimum(1.0, 9.0 / depth)[..., None]
    air = 1 - np.exp(-depth / view.haze_length)[..., None]
    faded = (gains * strength + 128 * (1 - strength)) * (1 - air)
    full = (ids.shape[1], ids.shape[0])
    gains = cv2.resize(faded.astype(np.uint8), full)
    gain = np.full(ids.shape, 128, np.uint8)
    for channel, ident in enumerate((ROAD, SIDEWALK, TERRAIN)):
        np.copyto(gain, gains[..., channel], where=ids == ident)
    haze = (air * np.array(view.haze, np.float32)).astype(np.uint8)
    haze = cv2.resize(np.repeat(haze, 2, axis=1), full)
    textured = cv2.multiply(colour, cv2.merge([gain] * 3), scale=1 / 128)
    colour[:] = cv2.add(textured, haze)
