"""Traffic signs on their posts."""

from __future__ import annotations

import numpy as np

from mmseg_pointrend.studies.demo.street_scenes.furniture import DARK, STEEL, post
from mmseg_pointrend.studies.demo.street_scenes.view import Brush, Tone

SIGN = 20


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
        return [
            (_disc(0.4), red),
            (_disc(0.29), white),
            (one, (20, 20, 20)),
            (one + np.array((0.17, 0)), (20, 20, 20)),
        ]
    if kind == 3:
        return [
            (_disc(0.5, 4), white),
            (_disc(0.42, 4), (24, 24, 24)),
            (_disc(0.38, 4), (244, 196, 40)),
        ]
    if kind == 4:
        arrow = np.array(
            [
                (-0.06, -0.24),
                (-0.06, 0.04),
                (-0.18, 0.04),
                (0, 0.28),
                (0.18, 0.04),
                (0.06, 0.04),
                (0.06, -0.24),
            ]
        )
        return [(_disc(0.4), white), (_disc(0.37), blue), (arrow, white)]
    if kind == 5:
        stem = np.array(
            [
                (-0.14, -0.25),
                (-0.14, 0.26),
                (0.14, 0.26),
                (0.17, 0.0),
                (-0.02, -0.03),
                (-0.02, -0.25),
            ]
        )
        return [
            (_disc(0.56, 4, square), white),
            (_disc(0.51, 4, square), blue),
            (stem, white),
        ]
    letters = np.array([(-0.24, -0.06), (-0.24, 0.07), (0.24, 0.07), (0.24, -0.06)])
    return [
        (_disc(0.42, 8, np.pi / 8), white),
        (_disc(0.38, 8, np.pi / 8), red),
        (letters, white),
    ]


def draw_sign(brush: Brush, rng: np.random.Generator) -> None:
    """Paints one or two traffic signs on a thin post, or a direction board."""
    if rng.random() < 0.14:
        post(brush, 3.4, 0.05, STEEL)
        board = brush.with_id(SIGN)
        for low, tone in ((2.5, (238, 238, 230)), (1.95, (240, 204, 60))):
            quad = [
                (-0.9, low),
                (-0.9, low + 0.5),
                (0.8, low + 0.5),
                (1.05, low + 0.25),
                (0.8, low),
            ]
            board.board(quad, tone)
            for left in (-0.75, -0.35, 0.1):
                board.board(
                    [
                        (left, low + 0.18),
                        (left, low + 0.32),
                        (left + 0.3, low + 0.32),
                        (left + 0.3, low + 0.18),
                    ],
                    DARK,
                )
        return
    high = float(rng.uniform(2.2, 2.6))
    kinds = [int(rng.integers(7))]
    if rng.random() < 0.4:
        kinds.append(int(rng.integers(7)))
    post(brush, high + 0.5 + 0.9 * (len(kinds) - 1), 0.04, STEEL)
    plate = brush.with_id(SIGN)
    for index, kind in enumerate(kinds):
        centre = np.array((0.0, high + 0.9 * index))
        for outline, paint in _plate(kind):
            plate.board((outline + centre).tolist(), paint)
