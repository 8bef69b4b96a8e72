"""Layout of a street: its cross-section, houses and objects, all in metres."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mmseg_pointrend.studies.demo.street_scenes import traffic
from mmseg_pointrend.studies.demo.street_scenes.buildings import House
from mmseg_pointrend.studies.demo.street_scenes.draft import Draft
from mmseg_pointrend.studies.demo.street_scenes.facades import pick, random_style
from mmseg_pointrend.studies.demo.street_scenes.ground import Side, Street
from mmseg_pointrend.studies.demo.street_scenes.props import SEGMENT, Prop
from mmseg_pointrend.studies.demo.street_scenes.view import Tone

TILES: tuple[Tone, ...] = ((152, 78, 56), (120, 70, 58), (84, 84, 90), (70, 62, 60))


@dataclass(frozen=True)
class Plan:
    """All decisions about a scene.

    Attributes:
        street: cross-section.
        houses, props: what stands there.
        skyline: distance in metres at which the view closes.
        bonnet: share of the rows that the own car covers, 0 for none.
    """

    street: Street
    houses: list[House]
    props: list[Prop]
    skyline: float
    bonnet: float


def houses_along(draft: Draft, side: Side) -> None:
    """Lines a side with houses, leaving room for the crossing."""
    front = draft.street.half_width + side.verge + side.sidewalk + side.yard
    z = draft.between(-2, 4)
    while z < draft.skyline:
        width = draft.between(9, 16) if draft.city else draft.between(8, 12)
        far = z + width
        gap = draft.street.crossing
        if gap and z < gap[1] + 2.5 and far > gap[0] - 2.5:
            far = gap[0] - 2.5
            if far - z < 6:
                z = gap[1] + 2.5
                continue
        height = draft.between(8.5, 17) if draft.city else draft.between(3.4, 6.8)
        roof = str(
            draft.rng.choice(
                ['flat', 'gable', 'mansard'],
                p=[0.4, 0.25, 0.35] if draft.city else [0.1, 0.7, 0.2],
            )
        )
        rise = {'flat': 0.0, 'gable': draft.between(2.6, 4.4), 'mansard': 2.8}[roof]
        shift = draft.between(0, 0.5) if draft.city else draft.between(0, 1.6)
        tiles = pick(TILES, draft.rng, 6)
        style = random_style(draft.rng)
        seed = int(draft.rng.integers(2**31))
        draft.houses.append(
            House(
                side.sign,
                front + shift,
                z,
                far,
                height,
                roof,
                rise,
                tiles,
                style,
                seed,
            )
        )
        spacing = draft.chance(0.15) if draft.city else draft.chance(0.75)
        z = far + (draft.between(2, 6) if spacing else 0.0)


def park_along(draft: Draft, side: Side) -> None:
    """Lines a side with trees and bushes instead of houses."""
    edge = draft.street.half_width + side.verge + side.sidewalk + side.yard
    z = 7.0
    while z < 80:
        if not draft.in_crossing(z, 1):
            kind = 'conifer' if draft.chance(0.25) else 'tree'
            draft.add(kind, side.sign * (edge + draft.between(0.5, 5)), z, behind=5)
            draft.add('bush', side.sign * (edge + draft.between(1, 6)), z + 1, behind=4)
            if draft.chance(0.8):
                draft.add(
                    'tree',
                    side.sign * (edge + draft.between(6, 16)),
                    z + 2,
                    behind=8,
                )
        z += draft.between(3.0, 6.0)


def border_along(draft: Draft, side: Side, park: bool) -> None:
    """Fence, wall or hedge between sidewalk and yard."""
    if not park and side.yard == 0:
        return
    x = side.sign * (draft.street.half_width + side.verge + side.sidewalk + 0.15)
    kind = str(draft.rng.choice(['fence', 'wall', 'bush'], p=[0.55, 0.33, 0.12]))
    style = (
        int(draft.rng.integers(4)) if kind == 'fence' else int(draft.rng.integers(2))
    )
    z = draft.between(3, 6)
    while z < 75:
        if draft.chance(0.1):
            z += 2.2
        if not draft.in_crossing(z + 1.5, 4.5):
            if kind == 'bush':
                for step in range(3):
                    draft.add('bush', x + side.sign * 0.5, z + step, behind=0.4)
            else:
                draft.add(kind, x, z, behind=SEGMENT, style=style)
        z += SEGMENT


def planting_along(draft: Draft, side: Side) -> None:
    """Plants street trees, yards and the edges of lawns."""
    half, sign = draft.street.half_width, side.sign
    if draft.chance(0.65):
        x = half + (side.verge * 0.5 if side.verge else min(0.9, side.sidewalk * 0.3))
        z = draft.between(9, 16)
        while z < 75:
            if not draft.in_crossing(z, 3):
                draft.add('tree', sign * x, z, behind=0.2)
            z += draft.between(8, 14)
    if side.yard and not side.paved_yard:
        inner = half + side.verge + side.sidewalk
        for _ in range(6):
            z = draft.between(10, 60)
            if not draft.in_crossing(z, 3):
                x = inner + draft.between(1.0, max(side.yard - 0.5, 1.1))
                draft.add(
                    'bush' if draft.chance(0.6) else 'conifer',
                    sign * x,
                    z,
                    behind=3.2,
                )
    edges = [half + 0.24, half + side.verge] if side.verge else []
    if side.yard and not side.paved_yard:
        edges.append(half + side.verge + side.sidewalk)
    for edge in edges:
        for z in np.arange(3.2, 18, 0.9).tolist():
            if not draft.in_crossing(z, 1):
                draft.add(
                    'tuft',
                    sign * (edge + draft.between(0, 0.25)),
                    z,
                    behind=0.3,
                )


def furniture_along(draft: Draft, side: Side) -> None:
    """Sets up lamps, signs, signals, bins and benches along the kerb."""
    half, sign = draft.street.half_width, side.sign
    kerb = sign * (half + 0.5)
    z = draft.between(9, 24)
    pace = draft.between(17, 26)
    while z < 100:
        if not draft.in_crossing(z, 1):
            draft.add('lamp', kerb, z)
        z += pace
    for kind, most in (('sign', 3), ('pole', 2), ('bin', 1), ('bench', 1)):
        for _ in range(int(draft.rng.integers(0 if most < 3 else 1, most + 1))):
            z = draft.between(7, 42)
            if not draft.in_crossing(z, 1):
                x = (
                    sign * (half + side.verge + side.sidewalk - 0.5)
                    if kind == 'bench'
                    else kerb
                )
                draft.add(kind, x, z, behind=0.1)
    if draft.street.crossing:
        at = (
            draft.street.crossing[0] - 0.6
            if sign > 0
            else draft.street.crossing[1] + 0.6
        )
        draft.add('traffic light', kerb, at)
    if draft.chance(0.4):
        draft.add('traffic light', kerb, draft.between(11, 34))
    if draft.chance(0.14):
        for z in np.arange(8.0, 26.0, SEGMENT).tolist():
            if not draft.in_crossing(z + 1.5, 3.5):
                draft.add('fence', sign * (half + 0.3), z, behind=SEGMENT, style=2)


def plan_street(rng: np.random.Generator) -> Plan:
    """Decides on everything in a scene.

    Args:
        rng: source of all decisions.

    Returns:
        The plan, in metres and independent of the size of the picture.
    """
    draft = Draft(rng)
    for side in draft.street.sides:
        park = draft.chance(0.17)
        if park:
            park_along(draft, side)
        else:
            houses_along(draft, side)
        border_along(draft, side, park)
        planting_along(draft, side)
        furniture_along(draft, side)
        traffic.people_along(draft, side)
    traffic.vehicles(draft)
    traffic.people_on_road(draft)
    bonnet = draft.between(0.04, 0.08) if draft.chance(0.35) else 0.0
    return Plan(draft.street, draft.houses, draft.props, draft.skyline, bonnet)
