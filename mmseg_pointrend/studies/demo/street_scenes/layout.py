"""What stands where in a street, in metres and independent of the picture's size."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np

from mmseg_pointrend.studies.demo.street_scenes import objects
from mmseg_pointrend.studies.demo.street_scenes.backdrop import House, Side
from mmseg_pointrend.studies.demo.street_scenes.brush import Brush


class Kind(NamedTuple):
    """A kind of object: class, sketch or function, half width and length, height."""

    name: str
    drawing: str | Callable[[Brush], None]
    size: tuple[float, float, float]


bus = partial(objects.draw_coach, length=11.5, roof=3.05, plain=True)
tram = partial(objects.draw_coach, length=22, roof=3.45, plain=False)
cyclist = partial(objects.draw_rider, sketch=objects.BICYCLE, seat=1.04, pedal=0.32)
biker = partial(objects.draw_rider, sketch=objects.MOTORCYCLE, seat=0.96, pedal=0.36)
bush = partial(objects.draw_leaves, centre=(0, 0.5), radius=0.8)
KINDS = {
    'car': Kind('car', objects.draw_car, (0.9, 2.2, 1.5)),
    'truck': Kind('truck', objects.TRUCK, (1.25, 4, 3.3)),
    'bus': Kind('bus', bus, (1.25, 5.75, 3)),
    'tram': Kind('train', tram, (1.2, 11, 3.4)),
    'bicycle': Kind('bicycle', objects.BICYCLE, (0.12, 0.85, 1)),
    'cyclist': Kind('bicycle', cyclist, (0.2, 0.85, 1.7)),
    'motorcycle': Kind('motorcycle', objects.MOTORCYCLE, (0.2, 1, 1)),
    'biker': Kind('motorcycle', biker, (0.25, 1, 1.6)),
    'person': Kind('person', objects.draw_person, (0.24, 0.2, 1.7)),
    'tree': Kind('vegetation', objects.draw_tree, (0.2, 0.2, 6)),
    'bush': Kind('vegetation', bush, (0.9, 0.6, 0.9)),
    'lamp': Kind('pole', objects.LAMP, (0.09, 0.09, 7)),
    'bollard': Kind('pole', objects.BOLLARD, (0.08, 0.08, 0.9)),
    'traffic light': Kind('pole', objects.draw_traffic_light, (0.1, 0.1, 3.3)),
    'sign': Kind('pole', objects.draw_sign, (0.06, 0.06, 2.6)),
    'bin': Kind('static', objects.BIN, (0.28, 0.2, 0.9)),
}
# Along a side: kind, edge it is placed from, how far beyond it, from where to where it
# repeats and after how many metres, how often a side has it and a place, and where it
# looks: along the street, over the road, or about across the street in both ways.
ALONG = (
    ('lamp', 'kerb', (0.5, 0.5), (10, 90), 20, 1, 1, 'over'),
    ('tree', 'kerb', (0.9, 1.1), (10, 65), 10, 0.65, 1, 'along'),
    ('sign', 'kerb', (0.4, 0.6), (7, 40), 9, 1, 0.6, 'over'),
    ('traffic light', 'kerb', (0.5, 0.5), (10, 60), 24, 0.7, 1, 'over'),
    ('bollard', 'kerb', (0.4, 0.4), (6, 30), 3, 0.5, 0.7, 'along'),
    ('bin', 'kerb', (0.6, 0.6), (8, 40), 18, 0.5, 0.7, 'along'),
    ('car', 'kerb', (-1.2, -1.1), (8, 70), 5.8, 0.45, 0.72, 'along'),
    ('person', 'inner', (0.4, 2.0), (6, 40), 3, 1, 0.45, 'about'),
    ('bicycle', 'inner', (0.6, 1.4), (7, 16), 2, 0.7, 0.5, 'about'),
    ('motorcycle', 'inner', (0.6, 1.4), (7, 20), 6, 0.5, 0.5, 'about'),
    ('tree', 'outer', (1, 2), (9, 60), 9, 0.6, 0.7, 'along'),
    ('bush', 'outer', (1, 2), (8, 50), 4, 0.6, 0.7, 'along'),
    ('bush', 'fronts', (0, 4), (7, 60), 5, 1, 1, 'along'),
    ('tree', 'fronts', (1, 12), (7, 60), 3, 1, 1, 'along'),
)


class Street:
    """A street: its sides, x of a tramway's middle, houses, and items.

    An item has an order of painting, a kind, x, z and a heading.
    """

    def __init__(self, rng: np.random.Generator) -> None:
        """Decide on everything."""
        self.rng = rng
        self.houses: list[House] = []
        self.items: list[tuple[float, Kind, float, float, float]] = []
        self.city = self.chance(0.6)
        self.tracks = -1.75 if self.chance(0.4) else None
        kerb = rng.uniform(3.5, 4.3) + 2.2 * self.chance(0.7)
        self.sides = []
        for sign in (-1, 1):
            inner = kerb + rng.uniform(1.3, 2.2) * self.chance(0.4)
            outer = inner + rng.uniform(2.2, 3.6)
            yard = rng.uniform(2.5, 5) * self.chance(0.3 if self.city else 1)
            self.sides.append(Side(sign, kerb, inner, outer, outer + yard))
            self.line(self.sides[-1], park=self.chance(0.2))
        self.drive()

    def chance(self, share: float) -> bool:
        """Draw True with the given probability."""
        return bool(self.rng.random() < share)

    def add(
        self, kind: Kind, x: float, z: float, turn: float, behind: float = 0
    ) -> None:
        """Place an object; `behind` has it painted as if it were farther away."""
        depth = z - kind.size[1] * abs(np.cos(turn)) + behind
        self.items.append((-depth, kind, x, z, turn))

    def line(self, side: Side, park: bool) -> None:
        """Line a side with houses or a park, with fences and with all of `ALONG`."""
        rng, sign = self.rng, side.sign
        low, high = (8.5, 17) if self.city else (3.6, 6.8)
        near = rng.uniform(-2, 4)
        while near < 120 and not park:
            far, height = near + rng.uniform(8, 15), rng.uniform(low, high)
            rise = rng.uniform(2.6, 4.4) * self.chance(0.4 if self.city else 0.85)
            front = side.fronts + rng.uniform(0, 0.5)
            self.houses.append(House(sign, front, max(near, 1.3), far, height, rise))
            near = far + rng.uniform(2, 6) * self.chance(0.15 if self.city else 0.75)
        lawn = park or side.fronts > side.outer
        name = 'wall' if lawn and self.chance(0.4) else 'fence'
        styles = objects.WALLS if name == 'wall' else objects.FENCES
        drawing = partial(objects.draw_fence, style=styles[rng.integers(len(styles))])
        x, end = (side.outer + 0.15, 60) if lawn else (side.kerb + 0.3, 30)
        for place in range(3, end, 3) if lawn or self.chance(0.35) else ():
            self.add(Kind(name, drawing, (0.1, 0, 1)), sign * x, place, 0, behind=3)
        turns = dict(along=np.pi * (sign < 0), over=-sign * np.pi / 2)
        for name, edge, beyond, (start, end), gap, some, each, look in ALONG:
            fits = dict(outer=lawn and not park, fronts=park).get(edge, True)
            places = np.arange(start + rng.uniform(0, gap), end, gap)
            for z in places.tolist() if fits and self.chance(some) else ():
                x = getattr(side, edge) + rng.uniform(*beyond)
                turns['about'] = rng.choice((-1, 1)) * rng.uniform(0.7, 1.4)
                behind = 4 + beyond[1] if edge in ('outer', 'fronts') else 0
                if self.chance(each):
                    z += rng.uniform(-0.1, 0.1) * gap
                    self.add(KINDS[name], sign * x, z, turns[look], behind)

    def drive(self) -> None:
        """Place those who cross the road, and the traffic of both lanes behind them."""
        rng, busy = self.rng, self.chance(0.65)
        for lane, heading in ((1.75, 0), (-1.75, np.pi)):
            line = ['car'] * rng.integers(1, 4) + ['bus'] * self.chance(0.3)
            line += ['truck'] * (lane > 0 and self.chance(0.5))
            rng.shuffle(line)
            if lane < 0 and self.tracks:
                line.insert(rng.integers(2), 'tram')
            z = rng.uniform(13, 19) if busy else rng.uniform(7, 14)
            for name in line:
                long = KINDS[name].size[1]
                x = lane + rng.uniform(-0.15, 0.15)
                self.add(KINDS[name], x, z + long, heading)
                z += 2 * long + rng.uniform(3.5, 14)
        for name in ('cyclist', 'biker', 'person', 'cyclist', 'biker') if busy else ():
            x, z, turn = rng.uniform((-3.2, 7.5, 0.7), (3.2, 12.5, 1.4))
            if self.chance(0.5):
                self.add(KINDS[name], x, z, turn * rng.choice((-1, 1)))
