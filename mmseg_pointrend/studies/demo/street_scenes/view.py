"""Driver's view of the street: projection, light and haze."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mmseg_pointrend.studies.demo.street_scenes.canvas import Canvas, Colour

Tone = tuple[float, float, float]

_TURN = np.linspace(np.pi / 2, 3 * np.pi / 2, 7)
_HALF_CIRCLE = np.stack([np.cos(_TURN), np.sin(_TURN)], axis=1)


@dataclass(frozen=True)
class View:
    """Camera and weather of one scene.

    World axes in metres: x to the right of the road's middle, y up, z ahead.

    Attributes:
        rows, cols: canvas size in samples.
        vanish_x, horizon: vanishing point in samples.
        focal: focal length in samples.
        eye_x, eye_height: camera position in metres.
        sun_side: +1 where the light comes from the right, -1 from the left.
        sun: strength of direct light, 0 (overcast) to 1.
        haze: RGB of the air, 0 to 255.
        haze_length: distance in metres at which 63 % of a colour is air.
    """

    rows: int
    cols: int
    vanish_x: float
    horizon: float
    focal: float
    eye_x: float
    eye_height: float
    sun_side: int
    sun: float
    haze: Tone
    haze_length: float

    def project(self, points: np.ndarray | Sequence[Sequence[float]]) -> np.ndarray:
        """Maps (N, 3) metres to (N, 2) samples; z is held in front of the camera."""
        world = np.asarray(points, float)
        scale = self.focal / np.maximum(world[:, 2:], 0.5)
        seen = (world[:, :2] - (self.eye_x, self.eye_height)) * scale
        seen *= (1, -1)
        seen += (self.vanish_x, self.horizon)
        return seen

    def air(self, distance: float) -> float:
        """Share of haze in a colour seen at a distance in metres."""
        return 1 - math.exp(-max(distance, 0.0) / self.haze_length)

    def shade(self, tone: Tone, light: float, distance: float) -> Colour:
        """Colour of a surface: `light` scales it, haze takes over with distance."""
        share = self.air(distance)
        gain = light * (1 - share)
        red = int(tone[0] * gain + self.haze[0] * share)
        green = int(tone[1] * gain + self.haze[1] * share)
        blue = int(tone[2] * gain + self.haze[2] * share)
        return min(max(red, 0), 255), min(max(green, 0), 255), min(max(blue, 0), 255)

    def light(self, normal: Sequence[float]) -> float:
        """Brightness of a face from its unit normal (x, y, z)."""
        direct = 0.62 * self.sun_side * normal[0] + 0.62 * normal[1] - 0.45 * normal[2]
        return 0.72 + 0.1 * normal[1] + (0.12 + 0.38 * self.sun) * max(direct, -0.25)


@dataclass(frozen=True)
class Pose:
    """Place of an object on the ground.

    Attributes:
        x, z: position in metres.
        heading: angle in radians; 0 looks away from the camera, pi / 2 to the right.
    """

    x: float
    z: float
    heading: float = 0.0

    def place(self, local: np.ndarray | Sequence[Sequence[float]]) -> np.ndarray:
        """Maps (N, 3) local (right, up, forward) metres to world metres."""
        cos, sin = math.cos(self.heading), math.sin(self.heading)
        turn = np.array(((cos, 0, -sin), (0, 1, 0), (sin, 0, cos)))
        return np.asarray(local, float) @ turn + (self.x, 0, self.z)


class Brush:
    """Paints one object, posed in the world, with one id."""

    def __init__(self, canvas: Canvas, view: View, pose: Pose, ident: int) -> None:
        """Holds what every stroke of the object shares."""
        self.canvas = canvas
        self.view = view
        self.pose = pose
        self.ident = ident

    def with_id(self, ident: int) -> Brush:
        """Returns a brush for another class at the same place."""
        return Brush(self.canvas, self.view, self.pose, ident)

    def scale(self) -> float:
        """Samples per metre at the object."""
        return self.view.focal / max(self.pose.z, 0.5)

    def points(self, local: np.ndarray | Sequence[Sequence[float]]) -> np.ndarray:
        """Projects (N, 3) local metres to (N, 2) samples."""
        view, pose = self.view, self.pose
        if isinstance(local, np.ndarray):
            return view.project(pose.place(local))
        cos, sin = math.cos(pose.heading), math.sin(pose.heading)
        aside, eye, focal = pose.x - view.eye_x, view.eye_height, view.focal
        seen = []
        for right, up, forward in local:
            depth = pose.z - right * sin + forward * cos
            scale = focal / depth if depth > 0.5 else focal / 0.5
            seen.append((aside + right * cos + forward * sin) * scale)
            seen.append((eye - up) * scale)
        points = np.array(seen).reshape(-1, 2)
        points += (view.vanish_x, view.horizon)
        return points

    def colour(self, tone: Tone, light: float = 1.0) -> Colour:
        """Colour at the object's distance."""
        return self.view.shade(tone, light, self.pose.z)

    def shape(
        self, local: Sequence[Sequence[float]], tone: Tone, light: float = 1.0
    ) -> None:
        """Fills a planar polygon of (right, up, forward) corners."""
        self.canvas.polygon(self.points(local), self.colour(tone, light), self.ident)

    def board(
        self, outline: Sequence[Sequence[float]], tone: Tone, light: float = 1.0
    ) -> None:
        """Fills a polygon of (x, y) metres in a plane that faces the camera."""
        flat = np.asarray(outline, float)
        corner = self.points([(0, 0, 0)])
        points = corner + flat * (self.scale(), -self.scale())
        self.canvas.polygon(points, self.colour(tone, light), self.ident)

    def face(
        self, corners: Sequence[Sequence[float]], tone: Tone, glow: float = 0.0
    ) -> bool:
        """Fills a face if its front is seen; corners run clockwise from outside.

        Args:
            corners: (4, 3) local metres.
            tone: RGB.
            glow: added to the light, for lamps.

        Returns:
            Whether the face is turned to the camera.
        """
        points = self.points(corners)
        (x0, y0), (x1, y1), (x2, y2), (x3, y3) = points.tolist()
        if (x2 - x0) * (y3 - y1) <= (y2 - y0) * (x3 - x1):
            return False
        right, up, forward = _normal(corners)
        cos, sin = math.cos(self.pose.heading), math.sin(self.pose.heading)
        normal = (right * cos + forward * sin, up, forward * cos - right * sin)
        light = self.view.light(normal) + glow
        self.canvas.polygon(points, self.colour(tone, light), self.ident)
        return True

    def tube(
        self,
        start: Sequence[float],
        end: Sequence[float],
        radii: tuple[float, float],
        tone: Tone,
        light: float = 1.0,
    ) -> None:
        """Fills a tapered round bar between two local points, radii in metres."""
        ends = self.points([start, end])
        outline = capsule(ends[0], ends[1], *(r * self.scale() for r in radii))
        self.canvas.polygon(outline, self.colour(tone, light), self.ident)


def _normal(corners: Sequence[Sequence[float]]) -> tuple[float, float, float]:
    (x0, y0, z0), (x1, y1, z1), (x2, y2, z2) = corners[:3]
    ax, ay, az = x1 - x0, y1 - y0, z1 - z0
    bx, by, bz = x2 - x1, y2 - y1, z2 - z1
    x, y, z = ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx
    length = max(math.sqrt(x * x + y * y + z * z), 1e-9)
    return x / length, y / length, z / length


def capsule(
    start: np.ndarray, end: np.ndarray, start_radius: float, end_radius: float
) -> np.ndarray:
    """Outline of a tapered bar with round ends, (14, 2)."""
    x, y = (end - start).tolist()
    length = math.hypot(x, y)
    cos, sin = (x / length, y / length) if length > 0 else (1.0, 0.0)
    back = _HALF_CIRCLE @ ((cos, sin), (-sin, cos))
    return np.concatenate([start + start_radius * back, end - end_radius * back])


def ellipse(
    centre: Sequence[float] | np.ndarray,
    radii: Sequence[float] | np.ndarray,
    count: int = 20,
) -> np.ndarray:
    """Outline of an ellipse, (count, 2)."""
    turn = np.arange(count) * (2 * np.pi / count)
    ring = np.stack([np.cos(turn), np.sin(turn)], axis=1)
    return np.asarray(centre, float) + ring * np.asarray(radii, float)
