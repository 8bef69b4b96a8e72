"""Bicycles and motorcycles."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mmseg_pointrend.studies.demo.street_scenes.view import Brush, Tone

FRAMES: tuple[Tone, ...] = (
    (186, 40, 44), (36, 84, 150), (30, 30, 32), (226, 224, 218), (52, 130, 96),
    (228, 150, 40), (112, 60, 120),
)  # fmt: skip
RUBBER: Tone = (30, 30, 32)
CHROME: Tone = (176, 180, 184)

SADDLE = (0.0, 0.98, -0.18)
GRIP = (0.0, 1.06, 0.42)
PEDAL = (0.0, 0.3, 0.02)


def _ring(
    brush: Brush,
    centre: Sequence[float],
    outer: float,
    inner: float,
    tone: Tone,
    light: float = 1.0,
) -> None:
    turn = np.linspace(0, 2 * np.pi, 33)[:-1]

    def circle(radius: float) -> np.ndarray:
        up = centre[1] + radius * np.sin(turn)
        forward = centre[2] + radius * np.cos(turn)
        return brush.points(np.stack([np.full(32, centre[0]), up, forward], axis=1))

    outlines = [circle(outer)] + ([circle(inner)] if inner > 0 else [])
    brush.canvas.polygon(outlines, brush.colour(tone, light), brush.ident)


def draw_bicycle(brush: Brush, rng: np.random.Generator) -> None:
    """Paints a bicycle with see-through wheels and frame, 1.75 m long."""
    tone = FRAMES[int(rng.integers(len(FRAMES)))]
    turn = float(rng.uniform(0, 0.7))
    rear, front = (0.0, 0.34, -0.53), (0.0, 0.34, 0.55)
    low, head = (0.0, 0.3, 0.02), (0.0, 0.86, 0.34)
    seat = (0.0, 0.84, -0.14)
    basket = rng.random() < 0.35
    for hub in (rear, front):
        for spoke in range(5):
            angle = turn + np.pi * spoke / 5
            reach = np.array((0, np.sin(angle), np.cos(angle))) * 0.31
            brush.tube(
                (np.array(hub) - reach).tolist(),
                (np.array(hub) + reach).tolist(),
                (0.006, 0.006),
                CHROME,
                0.9,
            )
        _ring(brush, hub, 0.345, 0.285, RUBBER)
        _ring(brush, hub, 0.305, 0.285, CHROME)
        brush.tube(hub, hub, (0.035, 0.035), CHROME, 0.7)
    for start, end, width in (
        (rear, low, 0.016), (rear, seat, 0.014), (low, head, 0.024), (low, seat, 0.021),
        (seat, head, 0.021), (front, head, 0.02), (head, (0, 1.02, 0.3), 0.017),
    ):  # fmt: skip
        brush.tube(start, end, (width, width), tone)
    brush.tube(seat, (0, 0.95, -0.17), (0.016, 0.016), CHROME)
    brush.tube((0, 0.98, -0.3), (0, 0.97, -0.06), (0.05, 0.03), RUBBER)
    for side in (-0.26, 0.26):
        brush.tube((0, 1.02, 0.3), (side, 1.06, 0.4), (0.015, 0.015), CHROME)
        brush.tube((side, 1.06, 0.4), (side, 1.05, 0.27), (0.02, 0.02), RUBBER)
    _ring(brush, low, 0.1, 0.06, CHROME, 0.7)
    brush.tube((0.03, 0.3, 0.02), (0.06, 0.15, 0.1), (0.014, 0.014), CHROME, 0.8)
    brush.tube((0.06, 0.15, 0.05), (0.06, 0.15, 0.16), (0.02, 0.02), RUBBER)
    if basket:
        for shift in (0.0, 0.1, 0.2):
            brush.shape(
                [
                    (0, 0.78 + shift, 0.5),
                    (0, 0.82 + shift, 0.5),
                    (0, 0.82 + shift, 0.78),
                    (0, 0.78 + shift, 0.78),
                ],
                (120, 92, 62),
            )
        for place in (0.5, 0.58, 0.66, 0.74):
            brush.shape(
                [
                    (0, 0.78, place),
                    (0, 1.02, place),
                    (0, 1.02, place + 0.03),
                    (0, 0.78, place + 0.03),
                ],
                (120, 92, 62),
            )


MOTOR_SADDLE = (0.0, 0.86, -0.22)
MOTOR_GRIP = (0.0, 1.06, 0.36)
MOTOR_PEDAL = (0.0, 0.36, 0.12)


def draw_motorcycle(brush: Brush, rng: np.random.Generator) -> None:
    """Paints a motorcycle, 2.1 m long."""
    tone = FRAMES[int(rng.integers(len(FRAMES)))]
    rear, front = (0.0, 0.31, -0.68), (0.0, 0.31, 0.72)
    for hub in (rear, front):
        _ring(brush, hub, 0.32, 0.19, RUBBER)
        _ring(brush, hub, 0.2, 0.16, CHROME, 0.8)
        for spoke in range(3):
            angle = np.pi * spoke / 3 + 0.4
            reach = np.array((0, np.sin(angle), np.cos(angle))) * 0.18
            brush.tube(
                (np.array(hub) - reach).tolist(),
                (np.array(hub) + reach).tolist(),
                (0.02, 0.02),
                CHROME,
                0.7,
            )
    brush.tube(front, (0, 0.95, 0.42), (0.035, 0.035), CHROME, 0.9)
    brush.tube(rear, (0, 0.4, -0.1), (0.04, 0.05), (60, 60, 64))
    brush.shape(
        [
            (0, 0.2, -0.28),
            (0, 0.58, -0.32),
            (0, 0.62, 0.34),
            (0, 0.3, 0.36),
            (0, 0.18, 0.2),
        ],
        (62, 64, 68),
    )
    brush.tube((0, 0.36, 0.08), (0, 0.46, 0.16), (0.13, 0.12), (120, 122, 126), 0.9)
    brush.tube((0, 0.24, 0.1), (0, 0.34, -0.85), (0.04, 0.055), CHROME, 0.85)
    brush.shape(
        [
            (0, 0.64, -0.02),
            (0, 0.9, 0.04),
            (0, 0.96, 0.3),
            (0, 0.82, 0.46),
            (0, 0.6, 0.32),
        ],
        tone,
        1.05,
    )
    brush.shape(
        [(0, 0.66, -0.02), (0, 0.74, 0.0), (0, 0.78, 0.38), (0, 0.62, 0.32)], tone, 0.72
    )
    brush.tube((0, 0.8, 0.0), (0, 0.84, -0.62), (0.08, 0.07), (34, 32, 34))
    brush.shape(
        [(0, 0.62, -0.3), (0, 0.76, -0.3), (0, 0.84, -0.92), (0, 0.72, -0.88)],
        tone,
        0.9,
    )
    brush.shape(
        [(0, 0.62, 0.5), (0, 0.68, 0.62), (0, 0.6, 0.96), (0, 0.54, 0.94)], tone, 0.95
    )
    brush.tube((0, 0.92, 0.46), (0, 0.92, 0.52), (0.1, 0.09), (236, 232, 214))
    for side in (-0.3, 0.3):
        brush.tube((0, 1.0, 0.4), (side, 1.06, 0.3), (0.02, 0.018), (40, 40, 42))
    brush.tube((0.3, 1.06, 0.32), (0.34, 1.2, 0.36), (0.012, 0.04), (40, 40, 42))
