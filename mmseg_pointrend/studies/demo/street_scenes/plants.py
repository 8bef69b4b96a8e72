"""Trees, hedges and grass."""

from __future__ import annotations

import numpy as np

from mmseg_pointrend.studies.demo.street_scenes import textures
from mmseg_pointrend.studies.demo.street_scenes.buildings import leaf_palette
from mmseg_pointrend.studies.demo.street_scenes.view import Brush, Tone

VEGETATION, TERRAIN = 21, 22
LEAVES: tuple[Tone, ...] = (
    (98, 128, 52), (84, 122, 56), (112, 132, 50), (74, 108, 58), (128, 128, 52),
    (88, 112, 70),
)  # fmt: skip


def _bunch(
    brush: Brush,
    rng: np.random.Generator,
    centre: tuple[float, float],
    radius: float,
    palette: np.ndarray,
    sparse: bool = False,
) -> None:
    variants = textures.leaf_clusters()
    choice = int(rng.integers(6, 10) if sparse else rng.integers(0, 10))
    scale = brush.scale()
    corner = brush.view.project([(brush.pose.x, 0, brush.pose.z)])[0]
    x, y = corner[0] + centre[0] * scale, corner[1] - centre[1] * scale
    half = radius * scale
    level = int(np.clip(np.floor(np.log2(256 / max(2 * half, 1))), 0, 3))
    box = (x - half, y - half, x + half, y + half)
    if brush.view.sun_side < 0:
        box = (box[2], box[1], box[0], box[3])
    brush.canvas.sprite(variants[choice][level], palette, box, VEGETATION)


def draw_tree(brush: Brush, rng: np.random.Generator) -> None:
    """Paints a broad-leaved tree with see-through gaps in its crown."""
    height = float(rng.uniform(5.5, 9.5))
    trunk = height * float(rng.uniform(0.3, 0.4))
    spread = height * float(rng.uniform(0.2, 0.27))
    tone = LEAVES[int(rng.integers(len(LEAVES)))]
    bark: Tone = (96, 78, 62)
    lean = float(rng.normal(0, 0.12))
    girth = 0.022 * height
    crown = (lean, trunk + (height - trunk) * 0.5)
    dim = leaf_palette(
        brush.view, (tone[0] * 0.66, tone[1] * 0.68, tone[2] * 0.74), brush.pose.z
    )
    bright = leaf_palette(brush.view, tone, brush.pose.z)
    near = brush.pose.z < 45
    for _ in range(3 if near else 1):
        spot = (
            crown[0] + rng.normal(0, spread * 0.5),
            crown[1] + rng.normal(0, spread * 0.35),
        )
        _bunch(brush, rng, spot, spread * 1.05, dim, sparse=True)
    brush.tube(
        (0, -0.05, 0), (lean, trunk * 1.3, 0), (girth * 1.25, girth * 0.7), bark, 0.8
    )
    side = 0.4 * girth * brush.view.sun_side
    brush.tube(
        (side, 0.1, 0),
        (lean + side, trunk * 1.2, 0),
        (girth * 0.5, girth * 0.3),
        bark,
        1.2,
    )
    for _ in range(4 if near else 0):
        reach = spread * float(np.clip(rng.normal(0, 0.6), -0.75, 0.75))
        tip = (lean + reach, crown[1] + float(rng.uniform(-0.1, 0.6)) * spread, 0)
        fork = trunk * float(rng.uniform(0.85, 1.25))
        start = (lean * fork / trunk, fork, 0)
        brush.tube(start, tip, (girth * 0.5, girth * 0.15), bark, 0.7)
    count = int(rng.integers(5, 8)) if near else 3
    for step in range(count):
        turn = 2 * np.pi * (step + rng.uniform(-0.3, 0.3)) / count
        reach = spread * float(rng.uniform(0.5, 0.8))
        spot = (
            crown[0] + reach * np.cos(turn),
            crown[1] + 0.85 * reach * np.sin(turn) + 0.1 * spread,
        )
        _bunch(brush, rng, spot, spread * float(rng.uniform(0.48, 0.72)), bright)
    top = (crown[0] + float(rng.normal(0, 0.2)) * spread, crown[1] + spread * 0.3)
    _bunch(brush, rng, top, spread * 0.62, bright)


def draw_conifer(brush: Brush, rng: np.random.Generator) -> None:
    """Paints a slender evergreen with a ragged outline."""
    height = float(rng.uniform(4.5, 8.5))
    tone: Tone = (58, 92, 64)
    palette = leaf_palette(brush.view, tone, brush.pose.z)
    brush.tube((0, -0.05, 0), (0, height * 0.5, 0), (0.13, 0.06), (80, 62, 50), 0.8)
    count = 24 if brush.pose.z < 45 else 9
    for level in np.sort(rng.uniform(0.1, 1.0, count)) ** 1.15 * 0.97:
        girth = height * 0.21 * (1.1 - float(level))
        spot = (girth * float(rng.uniform(-0.75, 0.75)), height * float(level))
        _bunch(brush, rng, spot, 0.3 + 0.55 * girth, palette)


def draw_bush(brush: Brush, rng: np.random.Generator) -> None:
    """Paints a low bush."""
    palette = leaf_palette(
        brush.view, LEAVES[int(rng.integers(len(LEAVES)))], brush.pose.z
    )
    for _ in range(4):
        spot = (float(rng.normal(0, 0.45)), float(rng.uniform(0.3, 0.75)))
        _bunch(brush, rng, spot, float(rng.uniform(0.5, 0.8)), palette)


def draw_tuft(brush: Brush, rng: np.random.Generator) -> None:
    """Paints blades of grass that stick out over the edge of a lawn."""
    light = float(rng.uniform(0.85, 1.12))
    for place in np.linspace(0.36, -0.36, 4).tolist():
        x = float(rng.normal(0, 0.07))
        outline = []
        for shift in (-0.06, 0.0, 0.06):
            tilt, tall = rng.normal(0, 0.05), rng.uniform(0.06, 0.2)
            outline += [
                (x + shift - 0.03, 0.0, place),
                (x + shift + float(tilt), float(tall), place),
            ]
        outline.append((x + 0.09, 0.0, place))
        brush.shape(outline, (104, 128, 60), light)
