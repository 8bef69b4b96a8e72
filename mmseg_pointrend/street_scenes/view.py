"""Driver's view of the street: projection, light and haze."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mmseg_pointrend.street_scenes.canvas import Canvas, Colour

Tone = tuple[float, float, float]


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
        scale = self.focal / np.maximum(world[:, 2], 0.5)
        return np.stack(
            [
                self.vanish_x + (world[:, 0] - self.eye_x) * scale,
                self.horizon + (self.eye_height - world[:, 1]) * scale,
            ],
            axis=1,
        )

    def air(self, distance: float) -> float:
        """Share of haze in a colour seen at a distance in metres."""
        return float(1 - np.exp(-max(distance, 0.0) / self.haze_length))

    def shade(self, tone: Tone, light: float, distance: float) -> Colour:
        """Colour of a surface: `light` scales it, haze takes over with distance."""
        share = self.air(distance)
        red, green, blue = (
            int(min(255.0, max(0.0, part * light * (1 - share) + air * share)))
            for part, air in zip(tone, self.haze, strict=True)
        )
        return red, green, blue

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
        y: height of the ground in metres.
    """

    x: float
    z: float
    heading: float = 0.0
    y: float = 0.0

    def place(self, local: np.ndarray | Sequence[Sequence[float]]) -> np.ndarray:
        """Maps (N, 3) local (right, up, forward) metres to world metres."""
        points = np.asarray(local, float)
        cos, sin = np.cos(self.heading), np.sin(self.heading)
        right, up, forward = points.T
        return np.stack(
            [
                self.x + right * cos + forward * sin,
                self.y + up,
                self.z - right * sin + forward * cos,
            ],
            axis=1,
        )


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
        return self.view.project(self.pose.place(local))

    def colour(self, tone: Tone, light: float = 1.0) -> Colour:
        """Colour at the object's distance."""
        return self.view.shade(tone, light, self.pose.z)

    def shape(
        self, local: Sequence[Sequence[float]], tone: Tone, light: float = 1.0
    ) -> None:
        """Fills a planar polygon of (right, up, forward) corners."""
        self.canvas.polygon(
            self.points(np.asarray(local, float)), self.colour(tone, light), self.ident
        )

    def board(
        self, outline: Sequence[Sequence[float]], tone: Tone, light: float = 1.0
    ) -> None:
        """Fills a polygon of (x, y) metres in a plane that faces the camera."""
        flat = np.asarray(outline, float)
        corner = self.view.project([(self.pose.x, self.pose.y, self.pose.z)])
        points = corner + flat * (self.scale(), -self.scale())
        self.canvas.polygon(points, self.colour(tone, light), self.ident)

    def face(
        self, corners: Sequence[Sequence[float]], tone: Tone, glow: float = 0.0
    ) -> bool:
        """Fills a face if its front is seen; corners run clockwise from outside.

        Args:
            corners: (N, 3) local metres.
            tone: RGB.
            glow: added to the light, for lamps.

        Returns:
            Whether the face is turned to the camera.
        """
        world = self.pose.place(corners)
        points = self.view.project(world)
        following = np.roll(points, -1, axis=0)
        area = points[:, 0] @ following[:, 1] - points[:, 1] @ following[:, 0]
        if area <= 0:
            return False
        normal = np.cross(world[1] - world[0], world[2] - world[1])
        normal /= max(float(np.linalg.norm(normal)), 1e-9)
        light = self.view.light(normal.tolist()) + glow
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


def capsule(
    start: np.ndarray, end: np.ndarray, start_radius: float, end_radius: float
) -> np.ndarray:
    """Outline of a tapered bar with round ends, (14, 2)."""
    step = end - start
    angle = float(np.arctan2(step[1], step[0]))
    turn = np.linspace(np.pi / 2, 3 * np.pi / 2, 7) + angle
    back = np.stack([np.cos(turn), np.sin(turn)], axis=1)
    return np.concatenate([start + start_radius * back, end - end_radius * back])


def ellipse(
    centre: Sequence[float], radii: Sequence[float], count: int = 20
) -> np.ndarray:
    """Outline of an ellipse, (count, 2)."""
    turn = np.arange(count) * (2 * np.pi / count)
    ring = np.stack([np.cos(turn), np.sin(turn)], axis=1)
    return np.asarray(centre, float) + ring * np.asarray(radii, float)
