"""The street under construction, as far as it is decided."""

from __future__ import annotations

import numpy as np

from mmseg_pointrend.studies.demo.street_scenes.buildings import House
from mmseg_pointrend.studies.demo.street_scenes.ground import Side, Street
from mmseg_pointrend.studies.demo.street_scenes.props import EXTENT, Prop

VEHICLES = ('car', 'truck', 'bus', 'train')


class Draft:
    """A street with the objects placed so far and its source of chance."""

    def __init__(self, rng: np.random.Generator) -> None:
        """Draws the cross-section of the street."""
        self.rng = rng
        self.props: list[Prop] = []
        self.houses: list[House] = []
        self.city = self.chance(0.6)
        self.parked = (self.chance(0.45), self.chance(0.5))
        self.skyline = self.between(110, 160)
        self.tram = self.chance(0.24)
        half = 3.5 + self.between(0, 0.8) + 2.2 * any(self.parked)
        crossing = None
        if self.chance(0.45):
            start = self.between(20, 38)
            crossing = (start, start + self.between(7, 10))
        tracks = -1.75 if self.tram else None
        sides = (self._side(-1), self._side(1))
        self.street = Street(half, sides, crossing, tracks)

    def chance(self, share: float) -> bool:
        """Draws True with the given probability."""
        return bool(self.rng.random() < share)

    def between(self, low: float, high: float) -> float:
        """Draws a number from an interval."""
        return float(self.rng.uniform(low, high))

    def _side(self, sign: int) -> Side:
        verge = self.between(1.3, 2.2) if self.chance(0.4) else 0.0
        yard = self.between(2.5, 5.0) if not self.city or self.chance(0.25) else 0.0
        return Side(
            sign, verge, self.between(2.2, 3.6), yard, self.city and self.chance(0.4)
        )

    def in_crossing(self, z: float, margin: float) -> bool:
        """Whether a distance lies in the crossing, widened by a margin in metres."""
        gap = self.street.crossing
        return gap is not None and gap[0] - margin < z < gap[1] + margin

    def add(
        self,
        kind: str,
        x: float,
        z: float,
        heading: float = 0.0,
        *,
        behind: float = 0.0,
        style: int = 0,
        ridden: bool = False,
    ) -> None:
        """Adds an object; `behind` moves it back in the painting order."""
        seed = int(self.rng.integers(2**31))
        long = EXTENT[kind][1] if kind in VEHICLES else 0.0
        depth = z - long * abs(float(np.cos(heading))) + behind
        self.props.append(Prop(kind, x, z, heading, seed, depth, style, ridden))

    def free(self, x: float, z: float, margin: float) -> bool:
        """Whether no vehicle stands at a place."""
        for prop in self.props:
            wide, long, _ = EXTENT[prop.kind]
            if (
                prop.kind in VEHICLES
                and abs(prop.x - x) < wide + margin
                and abs(prop.z - z) < long + margin
            ):
                return False
        return True
