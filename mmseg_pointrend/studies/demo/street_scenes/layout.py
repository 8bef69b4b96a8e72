"""What stands where in a street, in metres and independent of the picture's size."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np

from mmseg_pointrend.studies.demo.street_scenes import objects, people, plants
from mmseg_pointrend.studies.demo.street_scenes.brush import Brush
from mmseg_pointrend.studies.demo.street_scenes.buildings import House
from mmseg_pointrend.studies.demo.street_scenes.ground import Side


class Kind(NamedTuple):
    """A kind of object: class, sketch or function, half width, half length, height."""

    name: str
    drawing: str | Callable[[Brush, np.random.Generator], None]
    half_width: float
    half_length: float
    height: float


bus = partial(objects.draw_coach, length=11.5, roof=3.05, plain=True)
tram = partial(objects.draw_coach, length=22, roof=3.45, plain=False)
cyclist = partial(people.draw_rider, sketch=objects.BICYCLE, seat=1.04, pedal=0.32)
biker = partial(people.draw_rider, sketch=objects.MOTORCYCLE, seat=0.96, pedal=0.36)
KINDS = {
    'car': Kind('car', objects.draw_car, 0.9, 2.2, 1.5),
    'truck': Kind('truck', objects.draw_truck, 1.25, 4, 3.3),
    'bus': Kind('bus', bus, 1.25, 5.75, 3),
    'tram': Kind('train', tram, 1.2, 11, 3.4),
    'bicycle': Kind('bicycle', objects.BICYCLE, 0.12, 0.85, 1),
    'cyclist': Kind('bicycle', cyclist, 0.2, 0.85, 1.7),
    'motorcycle': Kind('motorcycle', objects.MOTORCYCLE, 0.2, 1, 1),
    'biker': Kind('motorcycle', biker, 0.25, 1, 1.6),
    'person': Kind('person', people.draw_person, 0.24, 0.2, 1.7),
    'tree': Kind('vegetation', plants.draw_tree, 0.2, 0.2, 6),
    'bush': Kind('vegetation', plants.draw_bush, 0.9, 0.6, 0.9),
    'lamp': Kind('pole', objects.LAMP, 0.09, 0.09, 7),
    'bollard': Kind('pole', objects.BOLLARD, 0.08, 0.08, 0.9),
    'traffic light': Kind('pole', objects.draw_traffic_light, 0.1, 0.1, 3.3),
    'sign': Kind('pole', objects.draw_sign, 0.06, 0.06, 2.6),
    'bin': Kind('static', objects.BIN, 0.28, 0.2, 0.9),
}


class Item(NamedTuple):
    """An object in its place; the larger its depth, the earlier it is painted."""

    kind: Kind
    x: float
    z: float
    heading: float
    depth: float


class Street:
    """A street and everything in it.

    Attributes:
        sides: left and right.
        zebra: distance of a crossing in metres, if there is one.
        tracks: x of the middle of a tramway, if there is one.
        houses, items: what stands there.
    """

    def __init__(self, rng: np.random.Generator) -> None:
        """Decide on everything."""
        self.rng = rng
        self.houses: list[House] = []
        self.items: list[Item] = []
        self.city = self.chance(0.6)
        self.zebra = rng.uniform(16, 36) if self.chance(0.45) else None
        self.tracks = -1.75 if self.chance(0.38) else None
        parked = self.chance(0.45), self.chance(0.5)
        kerb = rng.uniform(3.5, 4.3) + 2.2 * any(parked)
        self.sides = []
        for sign, full in zip((-1, 1), parked, strict=True):
            inner = kerb + rng.uniform(1.3, 2.2) * self.chance(0.4)
            outer = inner + rng.uniform(2.2, 3.6)
            yard = rng.uniform(2.5, 5) * self.chance(0.3 if self.city else 1)
            side = Side(sign, kerb, inner, outer, outer + yard)
            self.sides.append(side)
            park = self.chance(0.2)
            self.build(side, park)
            self.plant(side, park)
            self.furnish(side)
            self.populate(side, full)
        self.drive(kerb)

    def chance(self, share: float) -> bool:
        """Draw True with the given probability."""
        return bool(self.rng.random() < share)

    def across(self) -> float:
        """Draw a heading that shows an object from its side, more or less."""
        return self.rng.uniform(0.7, 1.4) * self.rng.choice((-1, 1))

    def add(
        self, kind: Kind, x: float, z: float, heading: float = 0, behind: float = 0
    ) -> None:
        """Place an object unless it blocks the crossing; `behind` paints it earlier."""
        long = kind.half_length * abs(np.cos(heading))
        if not self.zebra or abs(z - self.zebra) > long + 2:
            self.items.append(Item(kind, x, z, heading, z - long + behind))

    def build(self, side: Side, park: bool) -> None:
        """Line a side with houses, and with a fence or a wall where there is a lawn."""
        rng, z = self.rng, self.rng.uniform(-2, 4)
        low, high = (8.5, 17) if self.city else (3.6, 6.8)
        while z < 120 and not park:
            far, height = z + rng.uniform(8, 15), rng.uniform(low, high)
            rise = rng.uniform(2.6, 4.4) * self.chance(0.4 if self.city else 0.85)
            front = side.fronts + rng.uniform(0, 0.5)
            self.houses.append(House(side.sign, front, max(z, 1.3), far, height, rise))
            z = far + rng.uniform(2, 6) * self.chance(0.15 if self.city else 0.75)
        lawn, style = park or side.fronts > side.outer, int(rng.integers(4))
        kind = Kind('fence', partial(objects.draw_fence, style=style), 0.1, 0, 1)
        if lawn and self.chance(0.4):
            wall = partial(objects.draw_wall, style=style % 3)
            kind = Kind('wall', wall, 0.1, 0, 1)
        x, far = (side.outer + 0.15, 75) if lawn else (side.kerb + 0.3, 30)
        for z in np.arange(3, far, 3) if lawn or self.chance(0.35) else ():
            self.add(kind, side.sign * x, z, behind=3)

    def plant(self, side: Side, park: bool) -> None:
        """Plant a park, street trees and yards."""
        rng, tree, bush = self.rng, KINDS['tree'], KINDS['bush']
        for z in np.arange(7, 80, 4.5) if park else ():
            for kind, near, far in ((tree, 0.5, 5), (bush, 1, 6), (tree, 6, 16)):
                x = side.sign * (side.outer + rng.uniform(near, far))
                self.add(kind, x, z + rng.uniform(0, 3), behind=far)
        x = side.sign * max((side.kerb + side.inner) / 2, side.kerb + 0.9)
        start, pace = rng.uniform((9, 8), (16, 13))
        for z in np.arange(start, 75, pace) if self.chance(0.65) else ():
            self.add(tree, x, z + rng.uniform(-1, 1), behind=0.2)
        for z in rng.uniform(10, 60, 6 if side.fronts > side.outer else 0):
            x = side.sign * rng.uniform(side.outer + 1, side.fronts)
            self.add(bush if self.chance(0.7) else tree, x, z, behind=3.2)

    def furnish(self, side: Side) -> None:
        """Set up lamps, signs, signals and bins at the kerb."""
        rng, kerb = self.rng, side.sign * (side.kerb + 0.5)
        over, (start, pace) = np.pi * (side.sign > 0), rng.uniform((8, 15), (20, 24))
        for z in np.arange(start, 100, pace):
            self.add(KINDS['lamp'], kerb, z, over)
        for name, low, high in (('sign', 1, 4), ('bollard', 0, 6), ('bin', 0, 2)):
            for z in rng.uniform(6.5, 32, rng.integers(low, high)):
                self.add(KINDS[name], kerb, z, behind=0.1)
        if self.zebra or self.chance(0.5):
            z = self.zebra - 2.5 * side.sign if self.zebra else rng.uniform(9, 28)
            self.add(KINDS['traffic light'], kerb, z, over)

    def populate(self, side: Side, full: bool) -> None:
        """Place parked cars, and people and parked cycles on a sidewalk."""
        rng, sign = self.rng, side.sign
        for z in np.arange(rng.uniform(7, 13), 85 if full else 0, 5.8):
            if self.chance(0.72):
                heading = np.pi * (sign < 0) + rng.uniform(-0.03, 0.03)
                self.add(KINDS['car'], sign * (side.kerb - 1.1), z, heading)
        for z in 6.5 + 32 * rng.random(rng.poisson(3.2) + 1) ** 1.4:
            x = sign * rng.uniform(side.inner + 0.3, side.outer - 0.4)
            for pair in np.arange(1 + self.chance(0.3)):
                step = 0.15 * pair
                self.add(KINDS['person'], x + 4 * step, z + step, self.across())
        for name, share in (('bicycle', 0.6), ('motorcycle', 0.35)):
            z, many = rng.uniform(7, 18), rng.integers(1, 4)
            for step in np.arange(many if self.chance(share) else 0):
                x = sign * (side.inner + rng.uniform(0.75, 1.15))
                self.add(KINDS[name], x, z + 0.8 * step, self.across())

    def drive(self, kerb: float) -> None:
        """Place those who cross the road, and the traffic of both lanes behind them."""
        rng, busy = self.rng, self.chance(0.65)
        for lane, heading in ((1.75, 0), (-1.75, np.pi)):
            line = ['car'] * rng.integers(1, 4)
            line += [name for name in ('truck', 'bus') if self.chance(0.24)]
            rng.shuffle(line)
            if lane < 0 and self.tracks:
                line.insert(rng.integers(2), 'tram')
            z = rng.uniform(13, 19) if busy else rng.uniform(7, 14)
            for name in line:
                long = KINDS[name].half_length
                x = lane + rng.uniform(-0.15, 0.15)
                self.add(KINDS[name], x, z + long, heading)
                z += 2 * long + rng.uniform(3.5, 14)
        for name in ('cyclist', 'biker', 'person', 'cyclist', 'biker') if busy else ():
            x, z = rng.uniform((-3.2, 7.5), (3.2, 12.5))
            if self.chance(0.5):
                self.add(KINDS[name], x, z, self.across())
