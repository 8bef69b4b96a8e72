"""Vehicles, cyclists and people of a street."""

from __future__ import annotations

import numpy as np

from mmseg_pointrend.studies.demo.street_scenes.draft import Draft
from mmseg_pointrend.studies.demo.street_scenes.ground import Side
from mmseg_pointrend.studies.demo.street_scenes.props import EXTENT


def vehicles(draft: Draft) -> None:
    """Places parked cars and the traffic of both lanes."""
    half = draft.street.half_width
    for side, parked in zip(draft.street.sides, draft.parked, strict=True):
        z = draft.between(7, 13)
        while parked and z < 85:
            if not draft.in_crossing(z, 7) and draft.chance(0.72):
                heading = (0.0 if side.sign > 0 else np.pi) + draft.between(-0.03, 0.03)
                draft.add('car', side.sign * (half - 1.1), z, heading)
            z += draft.between(5.2, 6.4)
    ahead, oncoming = draft.between(11, 22), draft.between(8, 20)
    for lane, start, heading in ((1.75, ahead, 0.0), (-1.75, oncoming, np.pi)):
        kinds = ['car'] * int(draft.rng.integers(1, 5))
        for kind in ('truck', 'bus'):
            if draft.chance(0.17):
                kinds.insert(int(draft.rng.integers(len(kinds) + 1)), kind)
        if lane < 0 and draft.tram:
            kinds.insert(int(draft.rng.integers(2)), 'train')
        z = start
        for kind in kinds:
            long = EXTENT[kind][1]
            z += long
            if z < 110:
                draft.add(kind, lane + draft.between(-0.15, 0.15), z, heading)
            z += long + draft.between(3.5, 18)
    if draft.street.crossing and draft.chance(0.4):
        z = sum(draft.street.crossing) / 2 + draft.between(-1.5, 1.5)
        turn = np.pi / 2 if draft.chance(0.5) else -np.pi / 2
        clear = all(
            abs(p.z - z) > 3 + EXTENT[p.kind][1] for p in draft.props if abs(p.x) < half
        )
        if clear:
            draft.add('car', draft.between(-half - 5, half + 5), z, turn)


def people_along(draft: Draft, side: Side) -> None:
    """Places people and parked cycles on a sidewalk."""
    inner = draft.street.half_width + side.verge
    for _ in range(int(draft.rng.poisson(3.2)) + 1):
        z = 6.5 + 32 * draft.between(0, 1) ** 1.4
        x = side.sign * (inner + draft.between(0.3, side.sidewalk - 0.4))
        turn = draft.between(0.5, 1.3) * (1 if draft.chance(0.5) else -1)
        heading = turn + (np.pi if draft.chance(0.5) else 0.0)
        draft.add('person', x, z, heading)
        if draft.chance(0.3):
            draft.add('person', x + 0.55, z + 0.15, heading + draft.between(-0.1, 0.1))
    if draft.chance(0.65):
        z = draft.between(7, 20)
        heading = np.pi / 2 * (1 if draft.chance(0.5) else -1)
        for step in range(int(draft.rng.integers(1, 4))):
            x = side.sign * (inner + 0.95 + draft.between(-0.2, 0.2))
            draft.add(
                'bicycle', x, z + 0.75 * step, heading + draft.between(-0.35, 0.35)
            )
    if draft.chance(0.25):
        x = side.sign * (inner + 1.0)
        draft.add(
            'motorcycle',
            x,
            draft.between(7, 18),
            np.pi / 2 + draft.between(-0.4, 0.4),
        )


def people_on_road(draft: Draft) -> None:
    """Places cyclists and people who cross the road."""
    half = draft.street.half_width
    wishes = [
        ('bicycle', 0.5),
        ('bicycle', 0.4),
        ('motorcycle', 0.32),
        ('person', 0.35),
        ('person', 0.3),
    ]
    for kind, share in wishes:
        if not draft.chance(share):
            continue
        x, z = draft.between(-half + 0.6, half - 0.6), draft.between(7.5, 20)
        turn = draft.between(0.75, 1.35) * (1 if draft.chance(0.5) else -1)
        heading = turn + (np.pi if draft.chance(0.4) else 0.0)
        if draft.free(x, z, 1.0):
            draft.add(kind, x, z, heading, ridden=kind != 'person')
