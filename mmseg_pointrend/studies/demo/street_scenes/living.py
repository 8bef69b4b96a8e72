"""People on foot and on two wheels, trees and bushes."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from mmseg_pointrend.studies.demo.street_scenes.brush import Brush

Point = tuple[float, float, float]
LEAF = np.array([(1, 0), (0.4, 0.55), (-0.5, 0.45), (-1, 0), (-0.4, -0.5), (0.5, -0.5)])


def bent(start: Point, end: Point, part: float, bend: int) -> list[Point]:
    """A limb of two equal parts with its joint to the front (1) or the back (-1)."""
    up, forward = end[1] - start[1], end[2] - start[2]
    span = math.hypot(up, forward)
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
    neck, head = (0, up + 0.5, forward + lean), (0, up + 0.68, forward + 1.3 * lean)
    skirt, bag, mane, bare = rng.random(4) < (0.2, 0.25, 0.4, 0.35)
    shift = 0.05 * brush.camera.sun_side
    for side, light in ((-1, '*.8'), (1, '*1.05')):
        foot, hand = feet[side > 0], hands[side > 0]
        arm = bent((0.2 * side, neck[1] - 0.06, neck[2]), hand, 0.29, -1)
        leg = bent((0.09 * side, up, forward), foot, 0.43, 1)
        brush.tube(leg, ('skin' if skirt else 'cloth') + light, 0.1, 0.072, 0.052)
        toe = [(foot[0], foot[1] - 0.03, foot[2] + z) for z in (-0.03, 0.17)]
        brush.tube(toe, 'black', 0.055, 0.045)
        for x, size, tone in ((0, 1, 'paint*.85'), (shift, 0.6, 'paint*1.1')):
            torso = [(x, up + 0.02, forward), (x, neck[1] - 0.1, neck[2])]
            brush.tube(
                torso, tone, *((0.15 * size, 0.19 * size) if side > 0 else (0, 0))
            )
        brush.tube(arm, ('skin' if bare else 'paint') + light, 0.062, 0.05, 0.045)
    if skirt and not helmet:
        brush.tube([hip, (0, up - 0.25, forward)], 'cloth', 0.15, 0.25)
    if bag:
        pack = [(0, up + y, neck[2] - 0.2) for y in (0.38, 0.12)]
        brush.tube(pack, 'metal', 0.14)
    if mane and not helmet:
        brush.tube([head, (0, neck[1], neck[2] - 0.08)], 'hair*.85', 0.13, 0.11)
    brush.tube([neck, head, (0, head[1] + 0.03, head[2])], 'skin', 0.06, 0.105, 0.105)
    crown = [(0, head[1] + 0.1, head[2] + z) for z in (-0.04, 0.03)]
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
    up, forward = 0.15 * math.sin(turn), 0.15 * math.cos(turn)
    feet = [(s * 0.12, pedal + s * up, s * forward) for s in (-1, 1)]
    hands = [(s * 0.24, 1.09, 0.3) for s in (-1, 1)]
    draw_figure(brush, rng, (0, seat, -0.18), 0.25, feet, hands, helmet=True)


def draw_leaves(
    brush: Brush,
    rng: np.random.Generator,
    centre: Sequence[float],
    radius: float,
    light: float = 1.0,
) -> None:
    """Paint a bunch of leaves, dark ones first, with gaps at its ragged edge.

    Its centre is right and up of the brush; far away, leaves are fewer and larger.
    """
    camera, tone = brush.camera, np.multiply(brush.tones['leaf'], light)
    count = int(np.clip(900 / brush.foot[2], 12, 80))
    angle, turn = rng.uniform(0, 2 * np.pi, (2, count))
    reach = np.sqrt(rng.random(count)) * (1 + 0.16 * np.sin(3 * angle + turn[0]))
    place = np.stack([reach * np.cos(angle), reach * np.sin(angle)], axis=1)
    level = 0.5 + place @ (0.2 * camera.sun_side, 0.34) + rng.normal(0, 0.17, count)
    order = np.argsort(level)
    dark, bright = tone * (0.34, 0.4, 0.46), tone * (1.3, 1.22, 0.9)
    mixed = dark + np.outer(level[order].clip(0, 1), bright + 12 - dark)
    size = rng.uniform(0.75, 1.5, count) / np.sqrt(count)
    cos, sin = np.cos(turn) * size, np.sin(turn) * size
    spin = np.stack([cos, sin, -sin, cos], axis=1).reshape(-1, 2, 2)
    leaves = (place[order, None] + LEAF @ spin) * np.array((radius, -radius))
    middle = camera.project(brush.foot + np.array((*centre, 0)))
    seen = middle + leaves * camera.focal / brush.foot[2]
    camera.canvas.scatter(seen, camera.shade(mixed, 1, brush.foot[2]), brush.ident)


def draw_tree(brush: Brush, rng: np.random.Generator) -> None:
    """Paint a broad-leaved tree with see-through gaps in its crown."""
    height, lean = rng.uniform(5.5, 9.5), rng.normal(0, 0.15)
    trunk, spread = height * rng.uniform((0.3, 0.2), (0.4, 0.27))
    middle, girth = np.array((lean, (height + trunk) / 2)), 0.02 * height
    bunches = 7 if brush.foot[2] < 45 else 4
    for shift in rng.normal(0, (0.5, 0.35), (2, 2)) * spread:
        draw_leaves(brush, rng, middle + shift, 0.9 * spread, 0.68)
    shift = 0.4 * girth * brush.camera.sun_side
    for x, tone, wide in ((0, 'bark*.8', girth), (shift, 'bark*1.2', 0.4 * girth)):
        stem = [(x, 0, 0), (lean + x, 1.3 * trunk, 0)]
        brush.tube(stem, tone, 1.25 * wide, 0.7 * wide)
    for x, y in rng.uniform((-0.75, -0.1), (0.75, 0.6), (bunches - 4, 2)) * spread:
        branch = [
            (lean, trunk * rng.uniform(0.85, 1.25), 0),
            (lean + x, middle[1] + y, 0),
        ]
        brush.tube(branch, 'bark*.7', 0.5 * girth, 0.15 * girth)
    for turn in 2 * np.pi / bunches * (np.arange(bunches) + rng.random()):
        reach, size = rng.uniform((0.5, 0.42), (0.85, 0.66)) * spread
        shift = reach * np.array((np.cos(turn), 0.85 * np.sin(turn)))
        draw_leaves(brush, rng, middle + shift, size)
    draw_leaves(brush, rng, middle + (0, 0.3 * spread), 0.6 * spread)
