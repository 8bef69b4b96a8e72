"""The driver's view of the street, and a brush that paints an object in it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
from numpy.typing import ArrayLike

from mmseg_pointrend.studies.demo.street_scenes.canvas import Canvas

Tone = Sequence[float]

TONES: Mapping[str, Tone] = {
    'black': (24, 24, 26), 'rubber': (34, 34, 36), 'steel': (64, 66, 70),
    'chrome': (176, 180, 184), 'white': (236, 234, 228), 'glass': (52, 62, 76),
    'shine': (92, 106, 120), 'lamp': (244, 240, 224), 'red': (200, 30, 36),
    'blue': (30, 80, 170), 'yellow': (242, 196, 40), 'green': (70, 240, 130),
    'bark': (96, 78, 62), 'brick': (150, 92, 74), 'stone': (172, 164, 152),
    'wood': (138, 100, 66),
}  # fmt: skip
ANGLES = np.linspace(0, 2 * np.pi, 25)[:-1]
RING = np.stack([0 * ANGLES, np.sin(ANGLES), np.cos(ANGLES)], axis=1)


def pick(rng: np.random.Generator, tones: Sequence[Tone]) -> Tone:
    """Choose one of several colours and vary it."""
    return (tones[rng.integers(len(tones))] + rng.normal(0, 6, 3)).clip(16, 250)


@dataclass(frozen=True)
class Camera:
    """Camera and weather of one scene.

    World axes in metres: x to the right of the road's middle, y up, z ahead.

    Attributes:
        canvas: where it paints.
        vanish: vanishing point in samples, (x, y).
        focal: focal length in samples.
        eye: place of the camera, (x, height, 0).
        sun_side: +1 where the light comes from the right, -1 from the left.
        sun: strength of direct light, 0 (overcast) to 1.
        haze: RGB of the air.
        haze_length: distance in metres at which 63 % of a colour is air.
    """

    canvas: Canvas
    vanish: np.ndarray
    focal: float
    eye: np.ndarray
    sun_side: int
    sun: float
    haze: np.ndarray
    haze_length: float

    def project(self, world: np.ndarray) -> np.ndarray:
        """Map (..., 3) metres to (..., 2) samples; z is held before the camera."""
        x, y, z = np.moveaxis(world - self.eye, -1, 0)
        scale = self.focal / np.maximum(z, 0.5)
        return np.stack([x * scale, -y * scale], axis=-1) + self.vanish

    def shade(self, tones: ArrayLike, light: float, distance: float) -> np.ndarray:
        """Light colours (..., 3); haze takes over with distance."""
        air = 1 - math.exp(-distance / self.haze_length)
        return (np.multiply(tones, light * (1 - air)) + self.haze * air).clip(0, 255)

    def light(self, normal: np.ndarray) -> float:
        """Brightness of a face from its unit normal (x, y, z)."""
        direct = max(normal @ (0.62 * self.sun_side, 0.62, -0.45), -0.25)
        return 0.72 + 0.1 * normal[1] + (0.12 + 0.38 * self.sun) * direct


class Brush:
    """Paints one object, placed on the ground, with one id.

    All verbs take local points (N, 3) in metres, to the object's right, up and
    forward, and the name of a tone, which may end in a brightness: `'paint*.8'`.
    """

    def __init__(
        self,
        camera: Camera,
        ident: int,
        place: tuple[float, float],
        heading: float = 0.0,
        tones: Mapping[str, Tone] | None = None,
    ) -> None:
        """Take a brush for a place (x, z); a heading of pi / 2 looks to the right."""
        self.camera, self.ident = camera, ident
        self.foot = np.array((place[0], 0.0, place[1]))
        cos, sin = math.cos(heading), math.sin(heading)
        self.turn = np.array(((cos, 0, -sin), (0, 1, 0), (sin, 0, cos)))
        self.tones = {**TONES, **(tones or {})}
        self.seen_side = 0
        self.faces: dict[int, tuple[np.ndarray, float]] = {}

    def sketch(self, text: str) -> None:
        """Paint lines of `verb tone numbers : point, point, ...`, or `@ class`."""
        for verb, tone, numbers, points in parse(text):
            if verb == '@':
                self.ident = self.camera.canvas.new_id(tone)
            else:
                getattr(self, verb)(points, tone, *numbers)

    def world(self, points: ArrayLike) -> np.ndarray:
        """Map (..., 3) local metres to world metres."""
        return np.asarray(points, float) @ self.turn + self.foot

    def draw(self, seen: np.ndarray, tone: str, light: float = 1.0) -> None:
        """Fill one outline (N, 2) or several (M, N, 2), in samples."""
        name, _, gain = tone.partition('*')
        bright = light * float(gain or 1)
        colour = self.camera.shade(self.tones[name], bright, self.foot[2])
        self.camera.canvas.polygon(seen, colour.tolist(), self.ident)

    def fill(self, points: ArrayLike, tone: str, light: float = 1.0) -> None:
        """Fill a planar polygon, or several of them (M, N, 3) by the even-odd rule."""
        self.draw(self.camera.project(self.world(points)), tone, light)

    def rects(self, edges: ArrayLike, tone: str, light: float = 1.0) -> None:
        """Fill upright rectangles across the object: left, low, right, high (M, 4)."""
        edges = np.asarray(edges, float).reshape(-1, 4)
        corners = edges[:, [[0, 1], [0, 3], [2, 3], [2, 1]]]
        if len(edges):
            self.fill(np.pad(corners, ((0, 0), (0, 0), (0, 1))), tone, light)

    def hull(self, points: ArrayLike, tone: str) -> None:
        """Fill the outline of a convex body that has these points."""
        seen = self.camera.project(self.world(points)).astype(np.float32)
        self.draw(cv2.convexHull(seen)[:, 0], tone)

    def tube(self, points: ArrayLike, tone: str, *radii: float) -> None:
        """Fill a bar with round ends along points, with one radius or one for each."""
        world = self.world(points)
        seen = self.camera.project(world)
        size = np.multiply(radii, self.camera.focal / np.maximum(world[:, 2], 0.5))
        for i, (x, y) in enumerate(seen[1:] - seen[:-1]):
            angles = ANGLES[:13:2] + math.atan2(y, x) + np.pi / 2
            half = np.stack([np.cos(angles), np.sin(angles)], axis=1)
            ends = seen[i] + size[i] * half, seen[i + 1] - size[i + 1] * half
            self.draw(np.concatenate(ends), tone)

    def disc(self, points: ArrayLike, tone: str, *radii: float) -> None:
        """Fill a disc in the plane of forward and up, or a ring of two radii."""
        self.fill([np.asarray(points) + r * RING for r in radii], tone)

    def plate(
        self,
        points: ArrayLike,
        tone: str,
        size: float,
        edges: float = 24,
        turn: float = 0,
    ) -> None:
        """Fill a regular polygon in the plane of right and up; turn in degrees."""
        angles = 2 * np.pi * np.arange(edges) / edges + np.radians(turn)
        ring = np.stack([np.cos(angles), np.sin(angles), 0 * angles], axis=1)
        self.fill(np.asarray(points) + size * ring, tone)

    def body(self, points: ArrayLike, tone: str) -> None:
        """Paint the visible faces of a body that runs across the object.

        Args:
            points: (K, 3) outline seen from the right, from the rear bottom over the
                top to the front bottom: forward, up and half width.
            tone: of all faces.
        """
        forward, up, half = np.asarray(points, float).T
        left, right = (np.stack([s * half, up, forward], axis=1) for s in (-1, 1))
        faces = np.stack([left[:-1], right[:-1], right[1:], left[1:]], axis=1)
        self.flank, self.faces, self.seen_side = (up[:4], half[:4]), {}, 0
        for number in np.argsort(-self.world(faces)[..., 2].mean(axis=1)):
            face = faces[number]
            if clockwise(self.camera.project(self.world(face))) < 0:
                _, rise, reach = (face[3] - face[0]) / np.linalg.norm(face[3] - face[0])
                light = self.camera.light(np.array((0, reach, -rise)) @ self.turn)
                self.faces[int(number)] = face, light
                self.fill(face, tone, light)
        for side, outline in ((-1, left), (1, right)):
            if side * clockwise(self.camera.project(self.world(outline))) > 0:
                self.seen_side = side
                self.side_light = self.camera.light(side * self.turn[0])
                self.fill(outline, tone, self.side_light)

    def panel(self, points: np.ndarray, tone: str, number: float) -> None:
        """Fill parts of a body's face, if it is seen: corners as shares (2 M, 2)."""
        if number in self.faces:
            face, light = self.faces[int(number)]
            shares = points.reshape(-1, 4)[:, [[0, 1], [2, 1], [2, 3], [0, 3]]]
            edges = np.stack([face[1] - face[0], face[3] - face[0]])
            self.fill(face[0] + shares @ edges, tone, light)

    def side(self, points: np.ndarray, tone: str, *radii: float) -> None:
        """Fill a part of a body's seen side (N, 2), forward and up, or a line on it."""
        if self.seen_side:
            out = self.seen_side * np.interp(points[:, 1], *self.flank)
            outline = np.stack([out, points[:, 1], points[:, 0]], axis=1)
            if radii:
                self.tube(outline, tone, *radii)
            else:
                self.fill(outline, tone, self.side_light)

    def wheels(self, points: np.ndarray, tone: str, half: float, radius: float) -> None:
        """Paint tyres at places forward (N, 1); after the body, discs on its side."""
        for axle in points[:, 0]:
            middle = self.seen_side * half, radius, axle
            discs = ((1.16, 'black'), (1, 'rubber'), (0.6, tone))
            for share, paint in discs if self.seen_side else ():
                self.disc(middle, paint, share * radius)
            for side in () if self.faces else (-half, half):
                rims = [(x * side, radius, axle) + radius * RING for x in (0.75, 1)]
                self.hull(np.concatenate(rims), 'rubber')


@cache
def parse(text: str) -> list[tuple[str, str, list[float], np.ndarray]]:
    """Read the lines of a sketch: verb, tone or class, numbers and points."""
    strokes = []
    for line in text.replace(',\n', ',').strip().splitlines():
        head, _, tail = line.partition(':')
        verb, tone, *numbers = head.split(maxsplit=1 if '@' in head else -1)
        points = np.array([point.split() for point in tail.split(',')], float)
        strokes.append((verb, tone, [float(n) for n in numbers], points))
    return strokes


def clockwise(seen: np.ndarray) -> float:
    """Twice the signed area of an outline (N, 2), positive if it runs clockwise."""
    (x, y), (u, v) = seen.T, np.roll(seen, -1, axis=0).T
    return float(x @ v - u @ y)
