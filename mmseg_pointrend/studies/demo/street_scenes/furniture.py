"""Poles, lamps, traffic lights, bins and benches."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from mmseg_pointrend.studies.demo.street_scenes.view import Brush, Tone, ellipse

LIGHT = 19
STEEL: Tone = (134, 138, 140)
DARK: Tone = (52, 56, 58)


def post(brush: Brush, height: float, radius: float, tone: Tone) -> None:
    """Paints an upright post with a lit side, sizes in metres."""
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
        post(brush, height, 0.085, tone)
        bend = [(0, height), (0.25 * side, height + 0.55), (0.9 * side, height + 0.8),
                (1.9 * side, height + 0.85)]  # fmt: skip
        for (x0, y0), (x1, y1) in pairwise(bend):
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
    post(brush, height, 0.07, DARK)
    brush.board(
        [(-0.14, height), (-0.24, height + 0.5), (0.24, height + 0.5), (0.14, height)],
        (236, 226, 190),
    )
    for x in (-0.19, 0.0, 0.19):
        brush.tube(
            (x * 0.74, height, 0), (x * 1.25, height + 0.5, 0), (0.022, 0.022), DARK
        )
    brush.board([(-0.3, height + 0.48), (0, height + 0.78), (0.3, height + 0.48)], DARK)


def draw_pole(brush: Brush, rng: np.random.Generator) -> None:
    """Paints a bare pole or a row of low bollards."""
    if rng.random() < 0.45:
        post(brush, float(rng.uniform(3.0, 6.0)), 0.05, STEEL)
        return
    tone: Tone = (190, 60, 50) if rng.random() < 0.4 else (70, 72, 76)
    for place in (1.6, 0.0, -1.6):
        low, high = (0, 0, place), (0, 0.95, place)
        brush.tube(low, high, (0.06, 0.055), tone, 0.85)
        brush.tube((0, 0.72, place), (0, 0.84, place), (0.062, 0.062), (232, 232, 228))


def draw_traffic_light(brush: Brush, rng: np.random.Generator) -> None:
    """Paints a signal on a post, sometimes with a second one on an arm."""
    spots = [(0.0, 2.75)]
    state = int(rng.integers(3))
    arm = rng.random() < 0.45
    post(brush, 5.6 if arm else 3.3, 0.075, DARK)
    if arm:
        reach = -2.6 if brush.pose.x > 0 else 2.6
        brush.tube((0, 5.3, 0), (reach, 5.5, 0), (0.06, 0.045), DARK, 0.9)
        spots.append((reach, 5.0))
    housing = brush.with_id(LIGHT)
    lamps: tuple[Tone, ...] = ((255, 60, 40), (255, 190, 40), (60, 240, 120))
    for x, y in spots:
        for rim, tone in ((0.05, (206, 200, 188)), (0.0, (34, 36, 38))):
            left, right, low, high = (
                x - 0.2 - rim,
                x + 0.2 + rim,
                y - 0.5 - rim,
                y + 0.55 + rim,
            )
            corners = [(left, low), (left, high), (right, high), (right, low)]
            housing.board(corners, tone)
        for index, lamp in enumerate(lamps):
            glow = 1.0 if index == state else 0.3
            middle = (x, y + 0.36 - 0.34 * index)
            housing.board(ellipse(middle, (0.13, 0.13), 14).tolist(), lamp, glow)


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
        brush.board(
            [(-0.85, low), (-0.85, low + 0.1), (0.85, low + 0.1), (0.85, low)],
            wood,
            float(rng.uniform(0.9, 1.1)),
        )
