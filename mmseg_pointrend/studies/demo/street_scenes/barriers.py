"""Fences with true gaps, and walls."""

from __future__ import annotations

import cv2
import numpy as np

from mmseg_pointrend.studies.demo.street_scenes import textures
from mmseg_pointrend.studies.demo.street_scenes.view import Brush, Tone

WALL, FENCE = 12, 13


def draw_fence(
    brush: Brush, rng: np.random.Generator, style: int, length: float
) -> None:
    """Paints a fence along the object's forward axis with true gaps.

    Args:
        brush: at the near end of the fence.
        rng: source of small irregularities.
        style: 0 pickets, 1 thin iron bars, 2 rails, 3 mesh.
        length: in metres.
    """
    view, canvas = brush.view, brush.canvas
    wood: Tone = ((206, 196, 178), (64, 68, 70), (150, 122, 92), (96, 128, 104))[style]
    spacing, width, height = (
        (0.2, 0.1, 1.05),
        (0.22, 0.04, 1.35),
        (1.5, 0.12, 1.05),
        (2.0, 0.07, 1.4),
    )[style]
    light = 0.62 + 0.5 * view.light((-np.sign(brush.pose.x), 0, 0))

    def slat(
        z0: float, z1: float, low: float, high: float, pointed: float = 0.0
    ) -> np.ndarray:
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
        wires = [
            slat(0, length, low, low + 0.03)
            for low in np.arange(0.1, 1.4, 0.21).tolist()
        ]
        wires += [
            slat(z, z + 0.03, 0.1, 1.37) for z in np.arange(0.1, length, 0.21).tolist()
        ]
        for wire in wires:
            canvas.polygon(wire, colour, FENCE)
    tips = 0.1 if style < 2 else 0.0
    wobble = rng.normal(0, 0.012, 64)
    tall = [
        slat(z, z + width, 0.02, height + float(wobble[index % 64]), tips)
        for index, z in enumerate(np.arange(0.0, length - width, spacing).tolist())
    ]
    canvas.polygon(tall, brush.colour(wood, light), FENCE)


def draw_wall(brush: Brush, length: float, brick: bool) -> None:
    """Paints a free-standing wall along the object's forward axis, height 1.7 m."""
    view, height = brush.view, 1.75
    tone = np.array((158, 100, 82) if brick else (176, 168, 154))
    per_metre = float(np.clip(brush.scale() * 0.45, 5, 28 * view.cols / 1536))
    size = (max(int(height * per_metre), 4), max(int(length * per_metre), 4))
    tile = textures.bricks() if brick else textures.plaster()
    gain = textures.tiled(tile, size, (height, length)).astype(np.float32) / 128
    light = view.light((-np.sign(brush.pose.x), 0, 0))
    air = view.air(brush.pose.z)
    stain = np.linspace(1.02, 0.8, size[0], dtype=np.float32)[:, None]
    sheet = (gain * stain)[..., None] * tone * light * (1 - air) + np.array(
        view.haze
    ) * air
    pixels = np.clip(sheet, 0, 255).astype(np.uint8)
    for post in np.arange(0, length, 3.0) * per_metre:
        start = int(post)
        width = max(int(0.3 * per_metre), 1)
        cv2.rectangle(
            pixels,
            (start, 0),
            (start + width, size[0]),
            brush.colour((150, 144, 134), light),
            -1,
        )
    corners = brush.points(
        [(0, height, 0), (0, height, length), (0, 0, length), (0, 0, 0)]
    )
    brush.canvas.warp(pixels, corners, WALL)
    cap = brush.points(
        [
            (0, height, 0),
            (0, height, length),
            (0, height + 0.14, length),
            (0, height + 0.14, 0),
        ]
    )
    brush.canvas.polygon(cap, brush.colour((196, 190, 178), light * 1.05), WALL)
    end = 0.3 * np.sign(brush.pose.x)
    face = brush.points(
        [(0, 0, 0), (0, height + 0.14, 0), (end, height + 0.14, 0), (end, 0, 0)]
    )
    brush.canvas.polygon(
        face, brush.colour((150, 130, 116), view.light((0, 0, -1))), WALL
    )
