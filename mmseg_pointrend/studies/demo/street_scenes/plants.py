"""Trees, bushes and grass."""

from __future__ import annotations

import numpy as np

from mmseg_pointrend.studies.demo.street_scenes.brush import Brush

LEAF = np.array([(1, 0), (0.4, 0.55), (-0.5, 0.45), (-1, 0), (-0.4, -0.5), (0.5, -0.5)])


def draw_leaves(
    brush: Brush,
    rng: np.random.Generator,
    centre: tuple[float, float],
    radius: float,
    count: int,
    light: float = 1.0,
) -> None:
    """Paint a bunch of leaves, dark ones first, with gaps at its ragged edge.

    Args:
        brush: placed at the stem.
        rng: source of chance.
        centre: right and up in metres.
        radius: in metres.
        count: number of leaves; the fewer, the larger they are.
        light: brightness.
    """
    camera, tone = brush.camera, np.multiply(brush.tones['leaf'], light)
    angle, reach = rng.uniform(0, 2 * np.pi, count), np.sqrt(rng.random(count))
    reach *= 1 + 0.16 * np.sin(3 * angle + rng.uniform(0, 6))
    x, y = reach * np.cos(angle), reach * np.sin(angle)
    level = 0.5 + 0.34 * y + 0.2 * x * camera.sun_side + rng.normal(0, 0.13, count)
    order = np.argsort(level + rng.normal(0, 0.15, count))
    dark, bright = tone * (0.34, 0.4, 0.46), tone * (1.3, 1.22, 0.9)
    mixed = dark + np.outer(np.clip(level[order], 0, 1), bright + 12 - dark)
    turn, size = rng.uniform(0, np.pi, count), rng.uniform(0.75, 1.5, count)
    cos, sin = np.cos(turn) * size, np.sin(turn) * size
    spin = np.stack([cos, sin, -sin, cos], axis=1).reshape(-1, 2, 2) / np.sqrt(count)
    leaves = np.stack([x, y], axis=1)[order, None] + LEAF @ spin
    scale = camera.focal / brush.foot[2] * radius
    middle = camera.project(brush.foot + (*centre, 0))
    colours = camera.shade(mixed, 1, brush.foot[2])
    camera.canvas.scatter(middle + leaves * (scale, -scale), colours, brush.ident)


def draw_tree(brush: Brush, rng: np.random.Generator) -> None:
    """Paint a broad-leaved tree with see-through gaps in its crown."""
    height, lean = rng.uniform(5.5, 9.5), rng.normal(0, 0.15)
    trunk, spread = height * rng.uniform(0.3, 0.4), height * rng.uniform(0.2, 0.27)
    girth, middle = 0.02 * height, (height + trunk) / 2
    near = brush.foot[2] < 45
    count = int(np.clip(1000 / brush.foot[2], 16, 90))
    for x, y in rng.normal(0, (0.5, 0.35), (3 if near else 1, 2)) * spread:
        draw_leaves(brush, rng, (lean + x, middle + y), 0.9 * spread, count, 0.68)
    shift = 0.4 * girth * brush.camera.sun_side
    for x, tone, wide in ((0, 'bark*.8', girth), (shift, 'bark*1.2', 0.4 * girth)):
        stem = [(x, 0, 0), (lean + x, 1.3 * trunk, 0)]
        brush.tube(stem, tone, 1.25 * wide, 0.7 * wide)
    for x in rng.uniform(-0.75, 0.75, 4 if near else 0):
        tip = lean + x * spread, middle + rng.uniform(-0.1, 0.6) * spread, 0
        fork = lean, trunk * rng.uniform(0.85, 1.25), 0
        brush.tube([fork, tip], 'bark*.7', 0.5 * girth, 0.15 * girth)
    bunches = 8 if near else 4
    for turn in 2 * np.pi * (np.arange(bunches) + rng.uniform(0, 0.5)) / bunches:
        x, y = rng.uniform(0.5, 0.85) * spread * np.array((np.cos(turn), np.sin(turn)))
        size = spread * rng.uniform(0.42, 0.66)
        draw_leaves(brush, rng, (lean + x, middle + 0.85 * y), size, count)
    draw_leaves(brush, rng, (lean, middle + 0.3 * spread), 0.6 * spread, count)


def draw_bush(brush: Brush, rng: np.random.Generator) -> None:
    """Paint a low bush."""
    count = int(np.clip(600 / brush.foot[2], 16, 60))
    for x, y in rng.uniform((-0.8, 0.3), (0.8, 0.7), (4, 2)).tolist():
        draw_leaves(brush, rng, (x, y), rng.uniform(0.4, 0.7), count)
