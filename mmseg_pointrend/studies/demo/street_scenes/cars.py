"""Cars as shaded low-poly solids."""

from __future__ import annotations

import numpy as np

from mmseg_pointrend.studies.demo.street_scenes.solids import (
    GLASS,
    LAMP,
    PAINTS,
    TAIL,
    Slab,
    discs,
    panels,
    solid,
    wheels,
)
from mmseg_pointrend.studies.demo.street_scenes.view import Brush


def draw_car(brush: Brush, rng: np.random.Generator) -> None:
    """Paints a saloon, hatchback, estate, off-roader or van about 4.2 m long."""
    tone = PAINTS[int(rng.integers(len(PAINTS)))]
    kind = int(rng.integers(5))
    half, length = float(rng.uniform(0.86, 0.93)), float(rng.uniform(3.9, 4.5))
    end = length / 2
    roof = (1.44, 1.48, 1.5, 1.72, 1.95)[kind]
    waist = (0.9, 0.92, 0.92, 1.02, 1.1)[kind]
    cabin_rear = (-end + 0.75, -end + 0.06, -end + 0.04, -end + 0.06, -end + 0.03)[kind]
    roof_rear = (-end + 1.35, -end + 0.5, -end + 0.3, -end + 0.3, -end + 0.12)[kind]
    cabin_front, roof_front = (0.85, 0.05) if kind < 4 else (1.35, 0.7)
    radius = 0.32 if kind < 3 else 0.36
    axles = (-end + 0.75, end - 0.8)
    lights_on = rng.random() < 0.35

    wheels(brush, half, axles, radius)
    sill = Slab(half * 0.95, -end + 0.05, end - 0.08, 0.24)
    belt = Slab(half, -end, end, 0.58)
    lower = solid(brush, sill, belt, tone)
    upper = solid(brush, belt, Slab(half * 0.93, -end + 0.08, end - 0.22, waist), tone)
    cabin = solid(
        brush,
        Slab(half * 0.9, cabin_rear, cabin_front, waist),
        Slab(half * 0.72, roof_rear, roof_front, roof),
        tone,
    )
    panels(
        brush,
        cabin.get('rear'),
        [(0.1, 0.14, 0.9, 0.86, GLASS), (0.1, 0.14, 0.5, 0.5, (84, 98, 112))],
    )
    panels(
        brush,
        cabin.get('front'),
        [(0.06, 0.1, 0.94, 0.96, GLASS), (0.1, 0.12, 0.55, 0.5, (92, 106, 120))],
    )
    for side in ('left', 'right'):
        panes = [
            (0.1, 0.16, 0.48, 0.9, GLASS),
            (0.53, 0.16, 0.9, 0.9, GLASS),
            (0.1, 0.16, 0.9, 0.4, (80, 92, 106)),
        ]
        panels(brush, cabin.get(side), panes[:2])
        if side in upper:
            seams = [(u, 0.05, u + 0.012, 1.0, (30, 30, 32)) for u in (0.36, 0.57)]
            handles = [(u, 0.3, u + 0.05, 0.42, (40, 40, 44)) for u in (0.39, 0.6)]
            panels(brush, upper[side], [*seams, *handles])
        if side in lower:
            panels(brush, lower[side], [(0.0, 0.62, 1.0, 1.0, (48, 48, 50))])
            discs(brush, side, half, axles, radius)
    panels(
        brush,
        upper.get('rear'),
        [
            (0.03, 0.1, 0.13, 0.8, TAIL),
            (0.87, 0.1, 0.97, 0.8, TAIL),
            (0.13, 0.1, 0.2, 0.4, TAIL),
            (0.8, 0.1, 0.87, 0.4, TAIL),
            (0.2, 0.62, 0.8, 0.66, (40, 40, 42)),
        ],
        0.35 if lights_on else 0.0,
    )
    panels(
        brush,
        lower.get('rear'),
        [(0.0, 0.5, 1.0, 1.0, (44, 44, 46)), (0.33, 0.05, 0.67, 0.45, (226, 226, 216))],
    )
    panels(
        brush,
        upper.get('front'),
        [
            (0.03, 0.3, 0.21, 0.78, (150, 154, 160)),
            (0.79, 0.3, 0.97, 0.78, (150, 154, 160)),
            (0.06, 0.36, 0.18, 0.72, LAMP),
            (0.82, 0.36, 0.94, 0.72, LAMP),
        ],
        0.4 if lights_on else 0.1,
    )
    panels(brush, upper.get('front'), [(0.28, 0.25, 0.72, 0.85, (36, 38, 40))])
    panels(
        brush,
        lower.get('front'),
        [(0.0, 0.6, 1.0, 1.0, (40, 40, 42)), (0.34, 0.1, 0.66, 0.5, (226, 226, 216))],
    )
