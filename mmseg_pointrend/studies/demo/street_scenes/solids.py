"""Shaded low-poly solids with panels and wheels, for vehicles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mmseg_pointrend.studies.demo.street_scenes.view import Brush, Tone

PAINTS: tuple[Tone, ...] = (
    (206, 208, 210), (46, 50, 56), (150, 156, 162), (176, 36, 40), (36, 72, 136),
    (226, 224, 218), (92, 100, 106), (70, 104, 90), (196, 150, 60), (88, 46, 52),
)  # fmt: skip
GLASS: Tone = (50, 60, 72)
RUBBER: Tone = (30, 30, 32)
LAMP: Tone = (238, 236, 222)
TAIL: Tone = (196, 30, 34)

Corner = tuple[float, float, float]
Face = list[Corner]


@dataclass(frozen=True)
class Slab:
    """Horizontal rectangle of a solid: half width, rear end, front end, height."""

    half: float
    rear: float
    front: float
    up: float


def faces(low: Slab, high: Slab) -> dict[str, Face]:
    """Faces between two slabs, corners from the top left clockwise from outside."""
    a, b = low, high
    return {
        'rear': [(-b.half, b.up, b.rear), (b.half, b.up, b.rear),
                 (a.half, a.up, a.rear), (-a.half, a.up, a.rear)],
        'front': [(b.half, b.up, b.front), (-b.half, b.up, b.front),
                  (-a.half, a.up, a.front), (a.half, a.up, a.front)],
        'left': [(-b.half, b.up, b.front), (-b.half, b.up, b.rear),
                 (-a.half, a.up, a.rear), (-a.half, a.up, a.front)],
        'right': [(b.half, b.up, b.rear), (b.half, b.up, b.front),
                  (a.half, a.up, a.front), (a.half, a.up, a.rear)],
        'top': [(-b.half, b.up, b.front), (b.half, b.up, b.front),
                (b.half, b.up, b.rear), (-b.half, b.up, b.rear)],
    }  # fmt: skip


def part(face: Face, left: float, top: float, right: float, bottom: float) -> Face:
    """Part of a four-cornered face, in shares of its width and height."""

    (x0, y0, z0), (x1, y1, z1), (x2, y2, z2), (x3, y3, z3) = face

    def at(u: float, v: float) -> Corner:
        a, b, c, d = (1 - u) * (1 - v), u * (1 - v), u * v, (1 - u) * v
        return (
            a * x0 + b * x1 + c * x2 + d * x3,
            a * y0 + b * y1 + c * y2 + d * y3,
            a * z0 + b * z1 + c * z2 + d * z3,
        )

    return [at(left, top), at(right, top), at(right, bottom), at(left, bottom)]


def solid(brush: Brush, low: Slab, high: Slab, tone: Tone) -> dict[str, Face]:
    """Paints a solid and returns its visible faces."""
    return {
        name: face for name, face in faces(low, high).items() if brush.face(face, tone)
    }


def wheels(brush: Brush, half: float, places: Sequence[float], radius: float) -> None:
    """Paints the boxes of the tyres that show below the body.

    Args:
        brush: posed like the vehicle.
        half: half width of the vehicle in metres.
        places: distances of the axles from the middle in metres.
        radius: of the wheels in metres.
    """
    if brush.pose.z > 70:
        return
    for place in places:
        rear, front = place - radius * 0.8, place + radius * 0.8
        box = faces(Slab(0.11, rear, front, 0.0), Slab(0.11, rear, front, 1.6 * radius))
        for shift in (0.13 - half, half - 0.13):
            for name in ('rear', 'front', 'left', 'right'):
                corners = [(x + shift, y, z) for x, y, z in box[name]]
                brush.face(corners, RUBBER)


def discs(
    brush: Brush, side: str, half: float, places: Sequence[float], radius: float
) -> None:
    """Paints wheels seen from the side, with their arches."""
    x = half * (1.0 if side == 'right' else -1.0)
    turn = np.linspace(0, 2 * np.pi, 25)[:-1]
    for place in places:
        for size, tone in (
            (1.16, (22, 22, 24)),
            (1.0, RUBBER),
            (0.62, (150, 152, 156)),
            (0.22, (80, 82, 86)),
        ):
            up = radius + radius * size * np.sin(turn)
            if size > 1:
                up = np.maximum(up, 0.62 * radius)
            forward = place + radius * size * np.cos(turn)
            ring = np.stack([np.full(24, x), up, forward], axis=1)
            brush.canvas.polygon(brush.points(ring), brush.colour(tone), brush.ident)


def panels(
    brush: Brush,
    face: Face | None,
    items: Sequence[tuple[float, float, float, float, Tone]],
    glow: float = 0.0,
) -> None:
    if face is None or brush.pose.z > 70:
        return
    for left, top, right, bottom, tone in items:
        brush.face(part(face, left, top, right, bottom), tone, glow)


def row(
    count: int, top: float, bottom: float, tone: Tone, margin: float = 0.03
) -> list[tuple[float, float, float, float, Tone]]:
    width = (1 - 2 * margin) / count
    return [
        (
            margin + i * width + 0.1 * width,
            top,
            margin + (i + 1) * width - 0.1 * width,
            bottom,
            tone,
        )
        for i in range(count)
    ]
