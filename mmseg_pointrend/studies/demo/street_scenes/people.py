"""Walking people and people on two wheels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mmseg_pointrend.studies.demo.street_scenes.view import Brush, Tone, ellipse

SKIN: tuple[Tone, ...] = (
    (232, 190, 160),
    (206, 158, 126),
    (150, 104, 78),
    (110, 76, 58),
)
HAIR: tuple[Tone, ...] = (
    (44, 34, 30),
    (92, 62, 42),
    (150, 118, 74),
    (30, 28, 30),
    (170, 166, 160),
)
TOPS: tuple[Tone, ...] = (
    (176, 44, 48), (40, 68, 128), (222, 216, 204), (48, 50, 56), (60, 120, 96),
    (214, 160, 60), (120, 70, 110), (96, 120, 150), (206, 110, 130),
)  # fmt: skip
LEGS: tuple[Tone, ...] = (
    (44, 52, 78),
    (40, 40, 44),
    (92, 84, 72),
    (70, 84, 110),
    (120, 110, 96),
)

Point = Sequence[float]


def _choose(options: Sequence[Tone], rng: np.random.Generator) -> Tone:
    return options[int(rng.integers(len(options)))]


def _bent(start: Point, end: Point, lengths: tuple[float, float], bend: float) -> Point:
    """Joint of a two-part limb in the (up, forward) plane."""
    a = np.array(start[1:], float)
    b = np.array(end[1:], float)
    span = b - a
    distance = min(float(np.hypot(*span)), 0.999 * sum(lengths))
    along = (lengths[0] ** 2 - lengths[1] ** 2 + distance**2) / (2 * distance)
    out = np.sqrt(max(lengths[0] ** 2 - along**2, 0.0)) * bend
    unit = span / max(float(np.hypot(*span)), 1e-6)
    joint = a + unit * along + np.array((-unit[1], unit[0])) * out
    return (start[0], float(joint[0]), float(joint[1]))


def draw_person(brush: Brush, rng: np.random.Generator) -> None:
    """Paints a person who walks along the object's forward axis or stands."""
    tall = float(rng.uniform(0.9, 1.08)) * (0.72 if rng.random() < 0.1 else 1.0)
    skin, hair = _choose(SKIN, rng), _choose(HAIR, rng)
    top, legs = _choose(TOPS, rng), _choose(LEGS, rng)
    stride = float(rng.uniform(0.08, 0.38)) if rng.random() < 0.8 else 0.05
    swing = stride * 0.7
    shoe: Tone = (46, 40, 38) if rng.random() < 0.6 else (210, 206, 200)
    skirt, bag = rng.random() < 0.22, rng.random() < 0.3
    bald, long_hair = rng.random() < 0.12, rng.random() < 0.4
    sleeve = skin if rng.random() < 0.35 else top

    def at(x: float, y: float, z: float) -> Point:
        return (x * tall, y * tall, z * tall)

    def leg(side: float, foot: float, light: float) -> None:
        hip, ankle = at(0.09 * side, 0.9, 0), at(0.1 * side, 0.09, foot)
        knee = _bent(hip, ankle, (0.42 * tall, 0.41 * tall), 1.0)
        tone = skin if skirt else legs
        brush.tube(hip, knee, (0.095, 0.07), legs if not skirt else skin, light)
        brush.tube(knee, ankle, (0.068, 0.048), tone, light)
        toe = at(0.1 * side + 0.03 * side, 0.04, foot + 0.16)
        heel = (ankle[0], 0.05 * tall, ankle[2] - 0.03)
        brush.tube(heel, toe, (0.055, 0.045), shoe, light)

    def arm(side: float, hand: float, light: float) -> None:
        shoulder, wrist = at(0.21 * side, 1.42, 0), at(0.26 * side, 0.86, hand)
        elbow = _bent(shoulder, wrist, (0.3 * tall, 0.28 * tall), -1.0)
        brush.tube(shoulder, elbow, (0.06, 0.05), top, light)
        brush.tube(elbow, wrist, (0.047, 0.036), sleeve, light)
        brush.tube(wrist, wrist, (0.045, 0.045), skin, light)

    lit = 1.12 if brush.view.sun_side > 0 else 0.86
    arm(-1, stride * 0.7, 0.8)
    leg(-1, -stride, 0.78)
    leg(1, stride, lit)
    if skirt:
        brush.shape(
            [
                at(-0.15, 0.98, 0),
                at(0.15, 0.98, 0),
                at(0.25, 0.5, 0.05),
                at(-0.25, 0.5, -0.05),
            ],
            legs,
        )
        brush.board(
            np.multiply(
                [(-0.15, 0.98), (0.15, 0.98), (0.24, 0.52), (-0.24, 0.52)], tall
            ).tolist(),
            legs,
            0.9,
        )
    if long_hair and not bald:
        back = ellipse((0, 1.6 * tall), (0.12, 0.2))
        brush.board(back.tolist(), hair, 0.85)
    torso = np.array(
        [
            (-0.13, 0.88),
            (-0.15, 1.1),
            (-0.21, 1.4),
            (-0.15, 1.48),
            (0.15, 1.48),
            (0.21, 1.4),
            (0.15, 1.1),
            (0.13, 0.88),
        ]
    )
    brush.board((torso * tall).tolist(), top, 0.88)
    bright = torso.copy()
    bright[:, 0] = (
        np.clip(bright[:, 0] * brush.view.sun_side, 0.0, 1.0) * brush.view.sun_side
    )
    brush.board((bright * tall).tolist(), top, 1.1)
    if bag:
        brush.board(
            (
                np.array([(-0.2, 0.98), (-0.2, 1.38), (0.05, 1.42), (0.05, 0.96)])
                * tall
            ).tolist(),
            (90, 58, 44),
        )
    arm(1, -swing, lit)
    brush.tube(at(0, 1.45, 0), at(0, 1.55, 0), (0.06, 0.055), skin, 0.85)
    _head(brush, (0, 1.66 * tall), skin, None if bald else hair)


def _head(
    brush: Brush, centre: tuple[float, float], skin: Tone, hair: Tone | None
) -> None:
    x, y = centre
    side = brush.view.sun_side
    brush.board(ellipse((x, y), (0.105, 0.135)).tolist(), skin, 0.9)
    brush.board(ellipse((x + 0.03 * side, y), (0.07, 0.125)).tolist(), skin, 1.08)
    if hair:
        cap = ellipse((x, y + 0.02), (0.118, 0.135))
        cap[:, 1] = np.maximum(cap[:, 1], y + 0.035)
        brush.board(cap.tolist(), hair)


def draw_rider(
    brush: Brush, rng: np.random.Generator, saddle: Point, grip: Point, pedal: Point
) -> None:
    """Paints a seated rider.

    Args:
        brush: posed like the vehicle.
        rng: source of looks.
        saddle, grip, pedal: local (right, up, forward) metres on the middle plane.
    """
    skin, top, legs = _choose(SKIN, rng), _choose(TOPS, rng), _choose(LEGS, rng)
    helmet: Tone = _choose(TOPS, rng)
    phase = float(rng.uniform(0, np.pi))
    crank = 0.16
    hip = (0.0, saddle[1] + 0.08, saddle[2])
    shoulder = (0.0, hip[1] + 0.5, hip[2] + 0.22)

    def leg(side: float, turn: float, light: float) -> None:
        foot = (
            0.1 * side,
            pedal[1] + crank * np.sin(turn),
            pedal[2] + crank * np.cos(turn),
        )
        start = (0.08 * side, hip[1], hip[2])
        knee = _bent(start, foot, (0.44, 0.44), 1.0)
        brush.tube(start, knee, (0.095, 0.07), legs, light)
        brush.tube(knee, foot, (0.068, 0.048), legs, light)
        brush.tube(
            (foot[0], foot[1] - 0.03, foot[2] - 0.05),
            (foot[0], foot[1] - 0.03, foot[2] + 0.13),
            (0.05, 0.042),
            (40, 38, 38),
        )

    leg(-1, phase + np.pi, 0.78)
    brush.tube(hip, shoulder, (0.16, 0.17), top, 0.88)
    lit = 0.05 * brush.view.sun_side
    brush.tube(
        (lit, hip[1], hip[2]), (lit, shoulder[1], shoulder[2]), (0.1, 0.12), top, 1.1
    )
    leg(1, phase, 1.05)
    elbow = _bent(
        (0.16, shoulder[1], shoulder[2]), (0.2, grip[1], grip[2]), (0.29, 0.29), 1.0
    )
    brush.tube((0.16, shoulder[1], shoulder[2]), elbow, (0.06, 0.05), top, 1.0)
    brush.tube(elbow, (0.2, grip[1], grip[2]), (0.047, 0.036), skin)
    neck = (0.0, shoulder[1] + 0.08, shoulder[2] + 0.04)
    head = (0.0, shoulder[1] + 0.27, shoulder[2] + 0.1)
    brush.tube(neck, head, (0.06, 0.06), skin, 0.85)
    brush.tube(head, (0.0, head[1] + 0.02, head[2] + 0.01), (0.12, 0.12), skin)
    brush.tube(
        (0, head[1] + 0.08, head[2] - 0.06),
        (0, head[1] + 0.08, head[2] + 0.05),
        (0.12, 0.11),
        helmet,
        1.05,
    )
