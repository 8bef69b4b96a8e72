"""Poles, lamps, lights, signs, fences, walls, bins and benches."""

from __future__ import annotations

import cv2
import numpy as np

from mmseg_pointrend.street_scenes import textures
from mmseg_pointrend.street_scenes.view import Brush, Tone, ellipse

WALL, FENCE, POLE, LIGHT, SIGN, STATIC = 12, 13, 17, 19, 20, 4
STEEL: Tone = (134, 138, 140)
DARK: Tone = (52, 56, 58)


def _post(brush: Brush, height: float, radius: float, tone: Tone) -> None:
    brush.tube((0, -0.02, 0), (0, height, 0), (radius, radius * 0.8), tone, 0.78)
    lit = 0.35 * radius * brush.view.sun_side
    brush.tube((lit, 0, 0), (lit, height, 0), (radius * 0.4, radius * 0.3), tone, 1.2)
    if radius > 0.05:
        brush.tube((0, -0.02, 0), (0, 0.7, 0), (radius * 1.6, radius * 1.4), tone, 0.7)


def draw_lamp(brush: Brush, rng: np.random.Generator) -> None:
    """Paints a street lamp: one arm over the road, or an old-fashioned lantern."""
    tone = DARK if rng.random() < 0.4 else STEEL
    side = -1.0 if brush.pose.x > 0 else 1.0
    if rng.random() < 0.65:
        height = float(rng.uniform(6.5, 8.5))
        _post(brush, height, 0.085, tone)
        bend = [(0, height), (0.25 * side, height + 0.55), (0.9 * side, height + 0.8),
                (1.9 * side, height + 0.85)]  # fmt: skip
        for (x0, y0), (x1, y1) in zip(bend[:-1], bend[1:], strict=True):
            brush.tube((x0, y0, 0), (x1, y1, 0), (0.055, 0.05), tone, 0.8)
        end = 1.9 * side
        brush.board(
            [(end - 0.2 * side, height + 0.8), (end - 0.1 * side, height + 0.98),
             (end + 0.7 * side, height + 0.95), (end + 0.75 * side, height + 0.78)],
            DARK,
        )  # fmt: skip
        brush.board(
            [(end, height + 0.79), (end + 0.6 * side, height + 0.79),
             (end + 0.5 * side, height + 0.72), (end + 0.1 * side, height + 0.72)],
            (238, 234, 214),
        )  # fmt: skip
        return
    height = float(rng.uniform(3.4, 4.4))
    _post(brush, height, 0.07, DARK)
    brush.board([(-0.14, height), (-0.24, height + 0.5), (0.24, height + 0.5), (0.14, height)], (236, 226, 190))
    for x in (-0.19, 0.0, 0.19):
        brush.tube((x * 0.74, height, 0), (x * 1.25, height + 0.5, 0), (0.022, 0.022), DARK)
    brush.board([(-0.3, height + 0.48), (0, height + 0.78), (0.3, height + 0.48)], DARK)


def draw_pole(brush: Brush, rng: np.random.Generator) -> None:
    """Paints a bare pole or a row of low bollards."""
    if rng.random() < 0.45:
        _post(brush, float(rng.uniform(3.0, 6.0)), 0.05, STEEL)
        return
    tone: Tone = (190, 60, 50) if rng.random() < 0.4 else (70, 72, 76)
    for x in (-1.6, 0.0, 1.6):
        brush.tube((x, 0, 0), (x, 0.95, 0), (0.06, 0.055), tone, 0.85)
        brush.tube((x, 0.72, 0), (x, 0.84, 0), (0.062, 0.062), (232, 232, 228))


def draw_traffic_light(brush: Brush, rng: np.random.Generator) -> None:
    """Paints a signal on a post, sometimes with a second one on an arm."""
    spots = [(0.0, 2.75)]
    state = int(rng.integers(3))
    arm = rng.random() < 0.45
    _post(brush, 5.6 if arm else 3.3, 0.075, DARK)
    if arm:
        reach = -2.6 if brush.pose.x > 0 else 2.6
        brush.tube((0, 5.3, 0), (reach, 5.5, 0), (0.06, 0.045), DARK, 0.9)
        spots.append((reach, 5.0))
    housing = brush.with_id(LIGHT)
    lamps: tuple[Tone, ...] = ((255, 60, 40), (255, 190, 40), (60, 240, 120))
    for x, y in spots:
        housing.board(
            [(x - 0.25, y - 0.55), (x - 0.25, y + 0.6), (x + 0.25, y + 0.6), (x + 0.25, y - 0.55)],
            (206, 200, 188),
        )  # fmt: skip
        housing.board(
            [(x - 0.2, y - 0.5), (x - 0.2, y + 0.55), (x + 0.2, y + 0.55), (x + 0.2, y - 0.5)],
            (34, 36, 38),
        )  # fmt: skip
        for index, lamp in enumerate(lamps):
            glow = 1.0 if index == state else 0.3
            middle = (x, y + 0.36 - 0.34 * index)
            housing.board(ellipse(middle, (0.13, 0.13), 14).tolist(), lamp, glow)


def _disc(radius: float, count: int = 20, turn: float = 0.0) -> np.ndarray:
    angle = np.arange(count) * 2 * np.pi / count + turn
    return np.stack([np.cos(angle), np.sin(angle)], axis=1) * radius


def _plate(kind: int) -> list[tuple[np.ndarray, Tone]]:
    red: Tone = (206, 32, 36)
    blue: Tone = (28, 84, 170)
    white: Tone = (240, 240, 236)
    up, square = np.pi / 2, np.pi / 4
    if kind == 0:
        bar = np.array([(-0.24, -0.07), (-0.24, 0.07), (0.24, 0.07), (0.24, -0.07)])
        return [(_disc(0.4), red), (bar, white)]
    if kind == 1:
        return [(_disc(0.5, 3, up), red), (_disc(0.3, 3, up), white)]
    if kind == 2:
        one = np.array([(-0.14, -0.14), (-0.14, 0.14), (-0.05, 0.14), (-0.05, -0.14)])
        return [(_disc(0.4), red), (_disc(0.29), white), (one, (20, 20, 20)), (one + (0.17, 0), (20, 20, 20))]
    if kind == 3:
        return [(_disc(0.5, 4), white), (_disc(0.42, 4), (24, 24, 24)), (_disc(0.38, 4), (244, 196, 40))]
    if kind == 4:
        arrow = np.array([(-0.06, -0.24), (-0.06, 0.04), (-0.18, 0.04), (0, 0.28), (0.18, 0.04), (0.06, 0.04), (0.06, -0.24)])
        return [(_disc(0.4), white), (_disc(0.37), blue), (arrow, white)]
    if kind == 5:
        stem = np.array([(-0.14, -0.25), (-0.14, 0.26), (0.14, 0.26), (0.17, 0.0), (-0.02, -0.03), (-0.02, -0.25)])
        return [(_disc(0.56, 4, square), white), (_disc(0.51, 4, square), blue), (stem, white)]
    letters = np.array([(-0.24, -0.06), (-0.24, 0.07), (0.24, 0.07), (0.24, -0.06)])
    return [(_disc(0.42, 8, np.pi / 8), white), (_disc(0.38, 8, np.pi / 8), red), (letters, white)]


def draw_sign(brush: Brush, rng: np.random.Generator) -> None:
    """Paints one or two traffic signs on a thin post, or a direction board."""
    if rng.random() < 0.14:
        _post(brush, 3.4, 0.05, STEEL)
        board = brush.with_id(SIGN)
        for low, tone in ((2.5, (238, 238, 230)), (1.95, (240, 204, 60))):
            quad = [(-0.9, low), (-0.9, low + 0.5), (0.8, low + 0.5), (1.05, low + 0.25), (0.8, low)]
            board.board(quad, tone)
            for left in (-0.75, -0.35, 0.1):
                board.board([(left, low + 0.18), (left, low + 0.32), (left + 0.3, low + 0.32), (left + 0.3, low + 0.18)], DARK)
        return
    high = float(rng.uniform(2.2, 2.6))
    kinds = [int(rng.integers(7))]
    if rng.random() < 0.4:
        kinds.append(int(rng.integers(7)))
    _post(brush, high + 0.5 + 0.9 * (len(kinds) - 1), 0.04, STEEL)
    plate = brush.with_id(SIGN)
    for index, kind in enumerate(kinds):
        centre = np.array((0.0, high + 0.9 * index))
        for outline, tone in _plate(kind):
            plate.board((outline + centre).tolist(), tone)


def draw_fence(brush: Brush, rng: np.random.Generator, style: int, length: float) -> None:
    """Paints a fence along the object's forward axis with true gaps.

    Args:
        brush: at the near end of the fence.
        rng: source of small irregularities.
        style: 0 pickets, 1 thin iron bars, 2 rails, 3 mesh.
        length: in metres.
    """
    view, canvas = brush.view, brush.canvas
    wood: Tone = ((206, 196, 178), (64, 68, 70), (150, 122, 92), (96, 128, 104))[style]
    spacing, width, height = ((0.2, 0.1, 1.05), (0.22, 0.04, 1.35), (1.5, 0.12, 1.05), (2.0, 0.07, 1.4))[style]
    light = 0.62 + 0.5 * view.light((-np.sign(brush.pose.x), 0, 0))

    def slat(z0: float, z1: float, low: float, high: float, pointed: float = 0.0) -> np.ndarray:
        outline = [(0, low, z0), (0, high, z0)]
        if pointed:
            outline.append((0, high + pointed, (z0 + z1) / 2))
        return brush.points([*outline, (0, high, z1), (0, low, z1)])

    rails = ((0.25, 0.33), (0.75, 0.83)) if style == 0 else ((0.12, 0.17), (1.15, 1.2))
    if style == 2:
        rails = ((0.35, 0.47), (0.78, 0.9))
    colour = brush.colour(wood, light * 0.85)
    if style != 3:
        for low, high in rails:
            canvas.polygon(slat(0, length, low, high), colour, FENCE)
    else:
        wires = [slat(0, length, low, low + 0.03) for low in np.arange(0.1, 1.4, 0.21)]
        wires += [slat(z, z + 0.03, 0.1, 1.37) for z in np.arange(0.1, length, 0.21)]
        for wire in wires:
            canvas.polygon(wire, colour, FENCE)
    tips = 0.1 if style < 2 else 0.0
    wobble = rng.normal(0, 0.012, 64)
    tall = [
        slat(z, z + width, 0.02, height + wobble[index % 64], tips)
        for index, z in enumerate(np.arange(0.0, length - width, spacing).tolist())
    ]
    canvas.polygon(tall, brush.colour(wood, light), FENCE)


def draw_wall(brush: Brush, rng: np.random.Generator, length: float, brick: bool) -> None:
    """Paints a free-standing wall along the object's forward axis, height 1.7 m."""
    view, height = brush.view, 1.75
    tone = np.array((158, 100, 82) if brick else (176, 168, 154))
    per_metre = float(np.clip(brush.scale() * 0.55, 5, 40 * view.cols / 1536))
    size = (max(int(height * per_metre), 4), max(int(length * per_metre), 4))
    tile = textures.bricks() if brick else textures.plaster()
    gain = textures.tiled(tile, size, (height, length)).astype(np.float32) / 128
    light = view.light((-np.sign(brush.pose.x), 0, 0))
    air = view.air(brush.pose.z)
    stain = np.linspace(1.02, 0.8, size[0], dtype=np.float32)[:, None]
    sheet = (gain * stain)[..., None] * tone * light * (1 - air) + np.array(view.haze) * air
    pixels = np.clip(sheet, 0, 255).astype(np.uint8)
    for post in np.arange(0, length, 3.0) * per_metre:
        start = int(post)
        width = max(int(0.3 * per_metre), 1)
        cv2.rectangle(pixels, (start, 0), (start + width, size[0]), brush.colour((150, 144, 134), light), -1)
    corners = brush.points([(0, height, 0), (0, height, length), (0, 0, length), (0, 0, 0)])
    brush.canvas.warp(pixels, corners, WALL)
    cap = brush.points([(0, height, 0), (0, height, length), (0, height + 0.14, length), (0, height + 0.14, 0)])
    brush.canvas.polygon(cap, brush.colour((196, 190, 178), light * 1.05), WALL)
    end = 0.3 * np.sign(brush.pose.x)
    face = brush.points([(0, 0, 0), (0, height + 0.14, 0), (end, height + 0.14, 0), (end, 0, 0)])
    brush.canvas.polygon(face, brush.colour((150, 130, 116), view.light((0, 0, -1))), WALL)


def draw_bin(brush: Brush, rng: np.random.Generator) -> None:
    """Paints a litter bin, class static."""
    tone: Tone = (216, 110, 40) if rng.random() < 0.5 else (60, 84, 70)
    brush.board([(-0.24, 0), (-0.28, 0.85), (0.28, 0.85), (0.24, 0)], tone, 0.8)
    brush.board([(0.02, 0), (0.02, 0.85), (0.28, 0.85), (0.24, 0)], tone, 1.0)
    brush.board([(-0.31, 0.83), (-0.28, 0.97), (0.28, 0.97), (0.31, 0.83)], DARK)


def draw_bench(brush: Brush, rng: np.random.Generator) -> None:
    """Paints a park bench, class static."""
    wood: Tone = (140, 98, 64)
    for x in (-0.75, 0.7):
        brush.board([(x, 0), (x, 0.85), (x + 0.07, 0.85), (x + 0.07, 0)], DARK)
    for low in (0.42, 0.58, 0.74):
        brush.board([(-0.85, low), (-0.85, low + 0.1), (0.85, low + 0.1), (0.85, low)], wood, float(rng.uniform(0.9, 1.1)))
