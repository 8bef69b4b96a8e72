"""People on foot and on two wheels."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from mmseg_pointrend.studies.demo.street_scenes.brush import Brush

Point = tuple[float, float, float]


def bent(start: Point, end: Point, part: float, bend: int) -> list[Point]:
    """A limb of two equal parts with its joint to the front (1) or the back (-1)."""
    up, forward = end[1] - start[1], end[2] - start[2]
    span = max(math.hypot(up, forward), 1e-6)
    out = bend * math.sqrt(max(part**2 - span**2 / 4, 0)) / span
    x, y, z = ((a + b) / 2 for a, b in zip(start, end, strict=True))
    return [start, (x, y + forward * out, z - up * out), end]


def draw_figure(
    brush: Brush,
    rng: np.random.Generator,
    hip: Point,
    lean: float,
    feet: Sequence[Point],
    hands: Sequence[Point],
    helmet: bool = False,
) -> None:
    """Paint a person whose shoulders lean forward; feet and hands are left, right."""
    _, up, forward = hip
    neck, head = (0, up + 0.5, forward + lean), (0, up + 0.71, forward + 1.3 * lean)
    skirt, bag, mane = rng.random(3) < (0.2, 0.25, 0.4)
    sleeve = 'skin' if rng.random() < 0.35 else 'paint'
    for side, light in ((-1, '*.8'), (1, '*1.05')):
        foot, hand = feet[side > 0], hands[side > 0]
        arm = bent((0.2 * side, neck[1] - 0.06, neck[2]), hand, 0.29, -1)
        leg = bent((0.09 * side, up, forward), foot, 0.43, 1)
        brush.tube(leg, ('skin' if skirt else 'cloth') + light, 0.1, 0.072, 0.052)
        toe = [(foot[0], foot[1] - 0.03, foot[2] + z) for z in (-0.03, 0.17)]
        brush.tube(toe, 'black', 0.055, 0.045)
        if side > 0:
            shift = 0.05 * brush.camera.sun_side
            for x, share, tone in ((0, 1, 'paint*.85'), (shift, 0.6, 'paint*1.1')):
                torso = [(x, up + 0.02, forward), (x, neck[1] - 0.1, neck[2])]
                brush.tube(torso, tone, 0.15 * share, 0.19 * share)
        brush.tube(arm, sleeve + light, 0.062, 0.05, 0.045)
    if skirt and not helmet:
        edges = [(x, y, z) for x, y in ((0.16, 0.05), (0.25, -0.4)) for z in (-x, x)]
        brush.hull([(s * x, up + y, z) for x, y, z in edges for s in (-1, 1)], 'cloth')
    if bag:
        back = neck[2] - 0.2
        brush.tube([(0, neck[1] - 0.12, back), (0, up + 0.12, back)], 'metal', 0.14)
    brush.tube([neck, head], 'skin*.85', 0.06)
    if mane and not helmet:
        brush.tube([head, (0, neck[1], neck[2] - 0.08)], 'hair*.85', 0.13, 0.11)
    brush.tube([(0, head[1] - 0.03, head[2]), head], 'skin', 0.105)
    crown = [(0, head[1] + 0.07, head[2] + z) for z in (-0.04, 0.03)]
    brush.tube(crown, 'metal' if helmet else 'hair', 0.115)


def draw_person(brush: Brush, rng: np.random.Generator) -> None:
    """Paint a person who walks or stands."""
    step = rng.uniform(0.1, 0.4) if rng.random() < 0.8 else 0.04
    feet = [(s * 0.1, 0.08, s * step) for s in (-1, 1)]
    hands = [(s * 0.27, 0.88, -s * 0.8 * step) for s in (-1, 1)]
    draw_figure(brush, rng, (0, 0.92, 0), 0.03, feet, hands)


def draw_rider(
    brush: Brush, rng: np.random.Generator, sketch: str, seat: float, pedal: float
) -> None:
    """Paint two wheels and who rides them; the seat and the pedals are so high."""
    brush.sketch(sketch + '@ rider')
    turn = rng.uniform(0, np.pi)
    swing = 0.15 * math.sin(turn), 0.15 * math.cos(turn)
    feet = [(s * 0.12, pedal + s * swing[0], s * swing[1]) for s in (-1, 1)]
    hands = [(s * 0.24, 1.09, 0.3) for s in (-1, 1)]
    draw_figure(brush, rng, (0, seat, -0.18), 0.25, feet, hands, helmet=True)
