"""Flat pictures of house fronts, drawn in metres and warped into place later."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from mmseg_pointrend.studies.demo.street_scenes import textures
from mmseg_pointrend.studies.demo.street_scenes.view import Tone

PLASTERS: tuple[Tone, ...] = (
    (222, 208, 178), (214, 188, 140), (206, 160, 134), (190, 196, 196),
    (176, 190, 204), (224, 218, 206), (196, 172, 150), (204, 196, 160),
    (178, 152, 140), (160, 172, 156),
)  # fmt: skip
BRICKS: tuple[Tone, ...] = ((156, 92, 74), (134, 82, 68), (168, 116, 90), (120, 88, 78))
ACCENTS: tuple[Tone, ...] = (
    (172, 44, 40), (34, 92, 70), (38, 66, 120), (206, 150, 40), (80, 50, 44),
    (226, 222, 214), (50, 52, 58),
)  # fmt: skip


@dataclass(frozen=True)
class FacadeStyle:
    """Looks of one house.

    Attributes:
        wall: RGB of the wall.
        trim: RGB of frames, sills and cornices.
        accent: RGB of the door, the awning or the shop sign.
        brick: whether the wall is of bricks.
        shop: whether the ground floor is a shop.
        shutters: whether windows have shutters in the accent colour.
        balconies: whether some windows have a balcony.
        floor: height of a storey in metres.
        bay: distance between windows in metres.
        window: window width and height in metres.
    """

    wall: Tone
    trim: Tone
    accent: Tone
    brick: bool
    shop: bool
    shutters: bool
    balconies: bool
    floor: float
    bay: float
    window: tuple[float, float]


def pick(options: tuple[Tone, ...], rng: np.random.Generator, spread: float) -> Tone:
    """Draws a colour and varies it."""
    base = np.array(options[int(rng.integers(len(options)))])
    red, green, blue = np.clip(base + rng.normal(0, spread, 3), 20, 250).tolist()
    return red, green, blue


def random_style(rng: np.random.Generator) -> FacadeStyle:
    """Draws the looks of a house."""
    brick = bool(rng.random() < 0.32)
    pale = float(rng.uniform(205, 240))
    return FacadeStyle(
        wall=pick(BRICKS if brick else PLASTERS, rng, 7),
        trim=(pale, pale * 0.98, pale * 0.93),
        accent=pick(ACCENTS, rng, 8),
        brick=brick,
        shop=bool(rng.random() < 0.45),
        shutters=bool(rng.random() < 0.25),
        balconies=bool(rng.random() < 0.3),
        floor=float(rng.uniform(2.8, 3.4)),
        bay=float(rng.uniform(2.1, 3.0)),
        window=(float(rng.uniform(1.0, 1.4)), float(rng.uniform(1.4, 1.9))),
    )


class _Sheet:
    def __init__(self, width: float, height: float, per_metre: float, wall: Tone):
        self.per_metre = per_metre
        self.height = height
        rows = max(int(height * per_metre), 4)
        cols = max(int(width * per_metre), 4)
        self.pixels: np.ndarray = np.empty((rows, cols, 3), np.uint8)
        self.pixels[:] = np.clip(wall, 0, 255).astype(np.uint8)

    def block(
        self, left: float, bottom: float, width: float, height: float, tone: Tone
    ) -> None:
        """Fills a rectangle unless it is too thin to be seen.

        Metres, from the lower left corner of the sheet.
        """
        if min(width, height) * self.per_metre < 0.75:
            return
        scale, top = 16 * self.per_metre, self.height - bottom - height
        start = (round(left * scale - 8), round(top * scale - 8))
        end = (round((left + width) * scale - 8), round((top + height) * scale - 8))
        cv2.rectangle(self.pixels, start, end, tone, -1, shift=4)

    def poly(self, points: list[tuple[float, float]], tone: Tone) -> None:
        """Fills a polygon; metres from the lower left corner of the sheet."""
        flat = np.array([(x, self.height - y) for x, y in points])
        fixed = np.rint((flat * self.per_metre - 0.5) * 16).astype(np.int32)
        cv2.fillPoly(self.pixels, [fixed], tone, shift=4)


def _scaled(tone: Tone, gain: float) -> Tone:
    red, green, blue = (min(255.0, part * gain) for part in tone)
    return red, green, blue


def draw_facade(
    rng: np.random.Generator,
    style: FacadeStyle,
    size: tuple[float, float],
    per_metre: float,
    blind: bool = False,
) -> np.ndarray:
    """Draws a house front.

    Args:
        rng: source of all choices; the draws do not depend on the resolution.
        style: looks.
        size: width and height in metres.
        per_metre: resolution in texels.
        blind: whether it is a side wall, with few windows and no door.

    Returns:
        (rows, cols, 3) uint8, RGB.
    """
    width, height = size
    sheet = _Sheet(width, height, per_metre, style.wall)
    tile = textures.bricks() if style.brick else textures.plaster()
    gain = textures.tiled(tile, sheet.pixels.shape[:2], (height, width))
    sheet.pixels = cv2.multiply(sheet.pixels, cv2.merge([gain] * 3), scale=1 / 128)
    sheet.block(0, 0, width, 0.55, _scaled(style.wall, 0.66))
    ground = 3.7
    if not blind:
        _ground_floor(sheet, rng, style, width, ground)
    bays = max(int(width / style.bay), 1)
    pitch = width / bays
    floor = ground if not blind else ground + 0.2
    level = 0
    while floor + style.floor < height - 0.2:
        if not blind and level % 2 == 0:
            sheet.block(0, floor - 0.18, width, 0.14, _scaled(style.trim, 0.93))
            sheet.block(0, floor - 0.28, width, 0.1, _scaled(style.wall, 0.7))
        for bay in range(bays):
            skip = rng.random()
            if blind and skip > 0.22:
                continue
            left = (bay + 0.5) * pitch - style.window[0] / 2
            _window(sheet, rng, style, left, floor + 0.75)
            if style.balconies and not blind and bay % 2 == level % 2:
                _balcony(sheet, style, left, floor + 0.1)
        floor += style.floor
        level += 1
    if not blind:
        sheet.block(0, height - 0.34, width, 0.34, _scaled(style.trim, 0.96))
        sheet.block(0, height - 0.5, width, 0.16, _scaled(style.wall, 0.62))
        sheet.block(0.05, 0, 0.12, height, _scaled(style.wall, 0.6))
    return sheet.pixels


def _window(
    sheet: _Sheet,
    rng: np.random.Generator,
    style: FacadeStyle,
    left: float,
    sill: float,
) -> None:
    width, height = style.window
    sky, curtain, lit = rng.uniform(0.75, 1.25), rng.random(), rng.random()
    cut = float(rng.uniform(0.2, 0.8))
    glass: Tone = (58 * sky, 70 * sky, 86 * sky)
    if lit < 0.06:
        glass = (232, 196, 120)
    if style.shutters:
        for shift in (-0.5, width + 0.08):
            sheet.block(left + shift, sill, 0.42, height, _scaled(style.accent, 0.85))
    sheet.block(left - 0.1, sill - 0.1, width + 0.2, height + 0.2, style.trim)
    sheet.block(left, sill, width, height, glass)
    shine = _scaled(glass, 1.7)
    edge = width * cut
    sheet.poly(
        [
            (left, sill + height),
            (left + edge, sill + height),
            (left + edge * 0.35, sill),
            (left, sill),
        ],
        shine,
    )
    if curtain < 0.4:
        sheet.block(left, sill, width * 0.24, height, (206, 200, 190))
        sheet.block(left + width * 0.76, sill, width * 0.24, height, (206, 200, 190))
    sheet.block(left, sill + height - 0.1, width, 0.1, (30, 34, 40))
    sheet.block(left + width / 2 - 0.04, sill, 0.08, height, style.trim)
    sheet.block(left, sill + height * 0.62, width, 0.07, style.trim)
    sheet.block(left - 0.18, sill - 0.2, width + 0.36, 0.12, style.trim)
    sheet.block(left - 0.12, sill - 0.32, width + 0.24, 0.12, _scaled(style.wall, 0.62))


def _balcony(sheet: _Sheet, style: FacadeStyle, left: float, bottom: float) -> None:
    width = style.window[0] + 0.8
    start = left - 0.4
    dark: Tone = (46, 46, 50)
    for bar in np.arange(0, width, 0.16):
        sheet.block(start + float(bar), bottom + 0.15, 0.05, 0.9, dark)
    sheet.block(start, bottom + 1.0, width, 0.09, dark)
    sheet.block(start - 0.05, bottom, width + 0.1, 0.18, _scaled(style.trim, 0.85))
    sheet.block(start, bottom - 0.35, width, 0.35, _scaled(style.wall, 0.66))


def _ground_floor(
    sheet: _Sheet,
    rng: np.random.Generator,
    style: FacadeStyle,
    width: float,
    height: float,
) -> None:
    door = float(rng.uniform(0.15, 0.7)) * width
    sky = float(rng.uniform(0.8, 1.2))
    glass: Tone = (54 * sky, 64 * sky, 74 * sky)
    if style.shop:
        sheet.block(0, 0, width, height - 0.5, _scaled(style.accent, 0.5))
        for start in np.arange(0.3, width - 2.2, 2.6).tolist():
            sheet.block(start, 0.5, 2.2, 2.1, glass)
            shine = [(start + 0.3, 2.6), (start + 1.2, 2.6), (start + 0.6, 0.5)]
            sheet.poly([*shine, (start + 0.1, 0.5)], _scaled(glass, 1.6))
            goods = rng.uniform(90, 220, 3)
            tone: Tone = (goods[0], goods[1], goods[2])
            sheet.block(start + 0.2, 0.5, 1.7, float(rng.uniform(0.3, 0.9)), tone)
        sheet.block(0.1, height - 0.95, width - 0.2, 0.62, style.accent)
        for left in np.arange(0.8, width - 1.2, 0.55).tolist():
            if rng.random() < 0.75:
                sheet.block(left, height - 0.8, 0.34, 0.32, style.trim)
        if rng.random() < 0.6:
            for index, left in enumerate(np.arange(0, width - 0.45, 0.5).tolist()):
                tone = style.trim if index % 2 else style.accent
                sheet.block(left, height - 1.5, 0.5, 0.55, tone)
    else:
        bays = max(int(width / style.bay), 1)
        for bay in range(bays):
            left = (bay + 0.5) * width / bays - style.window[0] / 2
            if abs(left + style.window[0] / 2 - door) > 1.4:
                _window(sheet, rng, style, left, 1.15)
    sheet.block(door - 0.7, 0, 1.4, 2.5, style.trim)
    sheet.block(door - 0.55, 0, 1.1, 2.1, _scaled(style.accent, 0.72))
    sheet.block(door - 0.4, 1.1, 0.8, 0.8, _scaled(style.accent, 0.5))
    sheet.block(door - 0.55, 2.15, 1.1, 0.3, glass)
