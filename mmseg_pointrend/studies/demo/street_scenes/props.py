"""Everything that stands on the ground, by kind: how to draw it, what it shades."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mmseg_pointrend.studies.demo.street_scenes import (
    barriers,
    cars,
    cycles,
    furniture,
    heavy_vehicles,
    people,
    plants,
    signs,
)
from mmseg_pointrend.studies.demo.street_scenes.canvas import Canvas
from mmseg_pointrend.studies.demo.street_scenes.view import Brush, Pose, View


@dataclass(frozen=True)
class Prop:
    """One object of the street.

    Attributes:
        kind: a key of `EXTENT`.
        x, z: position in metres.
        heading: angle in radians, 0 looks away from the camera.
        seed: seed of its looks.
        depth: sorting distance in metres; larger is painted earlier.
        style: variant of fences and walls.
        ridden: whether a cycle carries a rider.
    """

    kind: str
    x: float
    z: float
    heading: float
    seed: int
    depth: float
    style: int = 0
    ridden: bool = False


SEGMENT = 3.0

# Half width, half length and height in metres.
EXTENT: dict[str, tuple[float, float, float]] = {
    'car': (0.9, 2.1, 1.5),
    'truck': (1.2, 4.0, 3.2),
    'bus': (1.25, 5.5, 3.0),
    'train': (1.2, 12.0, 3.2),
    'bicycle': (0.12, 0.85, 1.0),
    'motorcycle': (0.2, 0.95, 1.0),
    'person': (0.24, 0.2, 1.7),
    'tree': (0.2, 0.2, 6.0),
    'conifer': (0.6, 0.6, 5.0),
    'bush': (0.9, 0.6, 0.9),
    'tuft': (0.0, 0.0, 0.0),
    'lamp': (0.09, 0.09, 7.0),
    'pole': (0.06, 0.06, 3.0),
    'traffic light': (0.1, 0.1, 3.3),
    'sign': (0.06, 0.06, 2.6),
    'bin': (0.28, 0.2, 0.9),
    'bench': (0.85, 0.25, 0.8),
    'fence': (0.04, SEGMENT / 2, 0.6),
    'wall': (0.1, SEGMENT / 2, 1.7),
}

_CLASS = {
    'car': 'car',
    'truck': 'truck',
    'bus': 'bus',
    'train': 'train',
    'bicycle': 'bicycle',
    'motorcycle': 'motorcycle',
    'person': 'person',
    'tuft': 'terrain',
    'lamp': 'pole',
    'pole': 'pole',
    'traffic light': 'pole',
    'sign': 'pole',
    'bin': 'static',
    'bench': 'static',
    'fence': 'fence',
    'wall': 'wall',
    'tree': 'vegetation',
    'conifer': 'vegetation',
    'bush': 'vegetation',
}

_DRAW = {
    'car': cars.draw_car,
    'truck': heavy_vehicles.draw_truck,
    'bus': heavy_vehicles.draw_bus,
    'train': heavy_vehicles.draw_tram,
    'bicycle': cycles.draw_bicycle,
    'motorcycle': cycles.draw_motorcycle,
    'person': people.draw_person,
    'tuft': plants.draw_tuft,
    'lamp': furniture.draw_lamp,
    'pole': furniture.draw_pole,
    'traffic light': furniture.draw_traffic_light,
    'sign': signs.draw_sign,
    'bin': furniture.draw_bin,
    'bench': furniture.draw_bench,
    'tree': plants.draw_tree,
    'conifer': plants.draw_conifer,
    'bush': plants.draw_bush,
}


def in_sight(prop: Prop, view: View, reach: float) -> bool:
    """Whether the picture can show anything within `reach` metres of an object."""
    scale = view.focal / (prop.z + reach)
    left = view.vanish_x + (prop.x - view.eye_x - reach) * scale
    return left < view.cols and left + 2 * reach * scale > 0


def draw_prop(canvas: Canvas, view: View, prop: Prop) -> None:
    """Paints an object, a cycle with its rider."""
    if not in_sight(prop, view, 3.0 + EXTENT[prop.kind][1]):
        return
    rng = np.random.default_rng(prop.seed)
    pose = Pose(prop.x, prop.z, prop.heading)
    brush = Brush(canvas, view, pose, canvas.new_id(_CLASS[prop.kind]))
    if prop.kind == 'fence':
        barriers.draw_fence(brush, rng, prop.style, SEGMENT)
    elif prop.kind == 'wall':
        barriers.draw_wall(brush, SEGMENT, prop.style == 1)
    else:
        _DRAW[prop.kind](brush, rng)
    if prop.ridden:
        rider = brush.with_id(canvas.new_id('rider'))
        posture = {
            'bicycle': (cycles.SADDLE, cycles.GRIP, cycles.PEDAL),
            'motorcycle': (cycles.MOTOR_SADDLE, cycles.MOTOR_GRIP, cycles.MOTOR_PEDAL),
        }[prop.kind]
        people.draw_rider(rider, rng, *posture)
