"""Trucks, buses and trams as shaded low-poly solids."""

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
    row,
    solid,
    wheels,
)
from mmseg_pointrend.studies.demo.street_scenes.view import Brush, Tone


def draw_bus(brush: Brush, rng: np.random.Generator) -> None:
    """Paints a city bus, 11 m long."""
    tone: Tone = ((222, 176, 40), (186, 40, 44), (64, 110, 170), (232, 228, 220))[
        int(rng.integers(4))
    ]
    low, high = Slab(1.26, -5.5, 5.5, 0.32), Slab(1.24, -5.46, 5.42, 3.0)
    axles = (-3.2, 3.0)
    wheels(brush, 1.24, axles, 0.46)
    seen = solid(brush, low, high, tone)
    solid(
        brush, Slab(0.9, -4.5, 3.5, 3.0), Slab(0.85, -4.3, 3.3, 3.22), (204, 204, 204)
    )
    for side in ('left', 'right'):
        panes = row(7, 0.14, 0.52, GLASS)
        shine = [
            (a, 0.16, (a + c) / 2, 0.34, (88, 102, 116)) for a, _, c, _, _ in panes
        ]
        panels(
            brush, seen.get(side), [(0.0, 0.78, 1.0, 1.0, (70, 72, 76)), *panes, *shine]
        )
        if side in seen:
            doors = [(u, 0.14, u + 0.1, 0.94, (58, 66, 76)) for u in (0.2, 0.56)]
            panels(brush, seen[side], doors if side == 'right' else [])
            discs(brush, side, 1.26, axles, 0.46)
    panels(
        brush,
        seen.get('rear'),
        [
            (0.12, 0.1, 0.88, 0.45, GLASS),
            (0.3, 0.62, 0.7, 0.86, (60, 60, 62)),
            (0.03, 0.6, 0.14, 0.8, TAIL),
            (0.86, 0.6, 0.97, 0.8, TAIL),
            (0.0, 0.9, 1.0, 1.0, (50, 50, 52)),
        ],
    )
    panels(
        brush,
        seen.get('front'),
        [
            (0.05, 0.16, 0.95, 0.66, GLASS),
            (0.1, 0.2, 0.5, 0.42, (92, 106, 120)),
            (0.2, 0.03, 0.8, 0.13, (26, 26, 26)),
            (0.06, 0.8, 0.22, 0.9, LAMP),
            (0.78, 0.8, 0.94, 0.9, LAMP),
            (0.0, 0.92, 1.0, 1.0, (50, 50, 52)),
        ],
    )
    panels(brush, seen.get('front'), [(0.27, 0.05, 0.72, 0.11, (250, 190, 60))], 0.4)


def draw_truck(brush: Brush, rng: np.random.Generator) -> None:
    """Paints a box truck, 8 m long."""
    paint = PAINTS[int(rng.integers(len(PAINTS)))]
    cargo: Tone = ((226, 226, 222), (198, 204, 210), (188, 150, 96), (92, 128, 160))[
        int(rng.integers(4))
    ]
    stripe = PAINTS[int(rng.integers(3, 5))]
    axles = (-2.4, 2.9)

    def box() -> None:
        solid(
            brush, Slab(0.9, -3.9, 2.0, 0.55), Slab(0.9, -3.9, 2.0, 0.95), (56, 56, 58)
        )
        seen = solid(
            brush, Slab(1.24, -4.0, 1.9, 0.95), Slab(1.24, -4.0, 1.9, 3.3), cargo
        )
        for side in ('left', 'right'):
            panels(
                brush,
                seen.get(side),
                [
                    (0.0, 0.42, 1.0, 0.58, stripe),
                    (0.0, 0.0, 1.0, 0.03, (90, 90, 92)),
                    (0.3, 0.2, 0.7, 0.34, stripe),
                ],
            )
        panels(
            brush,
            seen.get('rear'),
            [
                (0.49, 0.03, 0.51, 0.97, (90, 90, 92)),
                (0.03, 0.42, 0.97, 0.56, stripe),
                (0.44, 0.4, 0.46, 0.9, (120, 120, 122)),
                (0.54, 0.4, 0.56, 0.9, (120, 120, 122)),
            ],
        )
        bumper = solid(
            brush,
            Slab(1.2, -4.02, -3.9, 0.45),
            Slab(1.2, -4.02, -3.9, 0.75),
            (60, 60, 62),
        )
        panels(
            brush,
            bumper.get('rear'),
            [(0.02, 0.2, 0.16, 0.8, TAIL), (0.84, 0.2, 0.98, 0.8, TAIL)],
        )

    def cab() -> None:
        lower = solid(
            brush, Slab(1.14, 2.0, 3.95, 0.4), Slab(1.16, 2.0, 4.0, 1.3), paint
        )
        upper = solid(
            brush, Slab(1.16, 2.0, 4.0, 1.3), Slab(1.06, 2.1, 3.6, 2.6), paint
        )
        for side in ('left', 'right'):
            panels(brush, upper.get(side), [(0.2, 0.18, 0.85, 0.9, GLASS)])
        panels(
            brush,
            upper.get('front'),
            [(0.06, 0.16, 0.94, 0.95, GLASS), (0.1, 0.2, 0.5, 0.55, (92, 106, 120))],
        )
        panels(
            brush,
            lower.get('front'),
            [
                (0.25, 0.1, 0.75, 0.6, (44, 46, 48)),
                (0.03, 0.55, 0.2, 0.8, LAMP),
                (0.8, 0.55, 0.97, 0.8, LAMP),
                (0.0, 0.85, 1.0, 1.0, (50, 50, 52)),
            ],
        )

    wheels(brush, 1.2, axles, 0.48)
    order = (cab, box) if np.cos(brush.pose.heading) > 0 else (box, cab)
    for draw in order:
        draw()
    side = 'right' if brush.points([(1, 0, 0)])[0, 0] < brush.view.vanish_x else 'left'
    if np.cos(brush.pose.heading) < 0:
        side = 'left' if brush.pose.x < brush.view.eye_x else 'right'
    discs(brush, side, 1.24, axles, 0.48)


def draw_tram(brush: Brush, rng: np.random.Generator) -> None:
    """Paints a tram of three cars, 24 m long, class train."""
    tone: Tone = ((206, 50, 44), (236, 204, 70), (60, 130, 96), (232, 228, 218))[
        int(rng.integers(4))
    ]
    pale: Tone = (228, 224, 214)
    order = (8.1, 0.0, -8.1) if np.cos(brush.pose.heading) > 0 else (-8.1, 0.0, 8.1)
    solid(
        brush, Slab(0.95, -11.0, 11.0, 0.5), Slab(0.95, -11.0, 11.0, 2.9), (44, 44, 46)
    )
    for middle in order:
        rear, front = middle - 3.9, middle + 3.9
        nose_rear = 0.35 if middle < 0 else 0.0
        nose_front = 0.35 if middle > 0 else 0.0
        solid(
            brush,
            Slab(1.1, rear + 0.4, front - 0.4, 0.06),
            Slab(1.1, rear + 0.4, front - 0.4, 0.4),
            (52, 52, 54),
        )
        lower = solid(
            brush, Slab(1.2, rear, front, 0.3), Slab(1.22, rear, front, 1.25), tone
        )
        seen = solid(
            brush,
            Slab(1.22, rear, front, 1.25),
            Slab(1.14, rear + nose_rear, front - nose_front, 3.15),
            pale,
        )
        solid(
            brush,
            Slab(0.8, rear + 1.2, front - 1.2, 3.15),
            Slab(0.7, rear + 1.4, front - 1.4, 3.4),
            (150, 152, 154),
        )
        for side in ('left', 'right'):
            panes = row(6, 0.2, 0.78, GLASS, 0.04)
            shine = [
                (a, 0.22, (a + c) / 2, 0.48, (88, 102, 116)) for a, _, c, _, _ in panes
            ]
            panels(brush, seen.get(side), [(0.0, 0.0, 1.0, 0.1, tone), *panes, *shine])
            panels(
                brush,
                lower.get(side),
                [
                    (0.36, 0.0, 0.37, 1.0, (40, 40, 42)),
                    (0.63, 0.0, 0.64, 1.0, (40, 40, 42)),
                ],
            )
        for name in ('rear', 'front'):
            panels(
                brush,
                seen.get(name),
                [
                    (0.08, 0.2, 0.92, 0.9, GLASS),
                    (0.12, 0.24, 0.5, 0.55, (92, 106, 120)),
                    (0.25, 0.04, 0.75, 0.15, (26, 26, 26)),
                ],
            )
            lamp = LAMP if name == 'front' else TAIL
            panels(
                brush,
                lower.get(name),
                [(0.08, 0.25, 0.24, 0.55, lamp), (0.76, 0.25, 0.92, 0.55, lamp)],
                0.2,
            )
