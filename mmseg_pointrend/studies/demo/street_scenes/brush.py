"""The driver's view of the street, and a brush that paints an object in it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
from numpy.typing import ArrayLike

from mmseg_pointrend.studies.demo.street_scenes.canvas import Canvas

TONES = """
black 18181a; rubber 222224; steel 404246; chrome b0b4b8; white eceae4; glass 343e4c;
shine 5c6a78; lamp f4f0e0; red c81e24; blue 1e50aa; yellow f2c428; green 46f082;
bark 604e3e; brick 965c4a; stone aca498; wood 8a6442;
paint ced0d2 2e3238 969ca2 b02428 244888 e2e0da 3c7860 d6a03c 78466e 582e34;
wall ded0b2 d6bc8c cea086 bec4c4 b0becc e0dace b2988c 9c5c4a 865244;
cloth 2c344e 28282c 5c5448 46546e 786e60; metal 84888c 4a4e52 2e3436 969288;
skin e8bea0 ce9e7e 96684e 6e4c3a; hair 2c221e 5c3e2a 96764a aaa6a0;
leaf 628034 547a38 708432 4a6c3a 867e34; roof 984e38 78463a 54545a 463e3c;
trim e8e4da ececea 807062; accent ac2c28 225c46 264278 ce9628 50322c;
road 606063 6e6b68 54565c; sidewalk a49c92 969696 ac9e8a; terrain 687e3e 768042 5c743c
"""
"""Names of colours, each with those to choose from."""

Place = tuple[float, float]
CHOICES = {
    name: np.array([list(bytes.fromhex(choice)) for choice in choices])
    for name, *choices in map(str.split, TONES.split(';'))
}


ANGLES = np.linspace(0, 2 * np.pi, 25)[:-1]
CIRCLE = np.stack([0 * ANGLES, np.sin(ANGLES), np.cos(ANGLES)], axis=1)
HALF_CIRCLE = np.roll(CIRCLE, 6, axis=0)[:13:2, 2:0:-1]


@dataclass(frozen=True)
class Camera:
    """Camera and weather; the world's axes are right of the road's middle, up, ahead.

    Lengths of the picture are in samples, those of the world in metres. The light comes
    from the right (1) or the left (-1) and is overcast (0) to sunny (1); over the
    length of the haze, 63 % of a colour become that of the haze.
    """

    canvas: Canvas
    rng: np.random.Generator
    vanish: np.ndarray
    focal: float
    eye: np.ndarray
    sun_side: int
    sun: float
    haze: np.ndarray
    haze_length: float

    def project(self, world: np.ndarray) -> np.ndarray:
        """Map (..., 3) metres to (..., 2) samples; z is held before the camera."""
        near = (world - self.eye) * (self.focal, -self.focal, 1)
        return near[..., :2] / np.maximum(near[..., 2:], 0.5) + self.vanish

    def shade(self, tones: ArrayLike, light: float, distance: float) -> np.ndarray:
        """Light colours (..., 3); haze takes over with distance."""
        air = 1 - math.exp(-distance / self.haze_length)
        return (np.multiply(tones, light * (1 - air)) + self.haze * air).clip(0, 255)

    def light(self, normal: np.ndarray) -> float:
        """Brightness of a face from its unit normal (x, y, z)."""
        direct = max(float(normal @ (0.62 * self.sun_side, 0.62, -0.45)), -0.25)
        return 0.72 + 0.1 * normal[1] + (0.12 + 0.38 * self.sun) * direct


class Brush:
    """Paints one object, placed on the ground, with one id.

    All verbs take local points (N, 3) in metres, to the object's right, up and
    forward, and the name of a tone, which may end in a brightness: `'paint*.8'`.
    """

    def __init__(
        self, camera: Camera, ident: int, place: Place, heading: float
    ) -> None:
        """Take a brush for a place (x, z); a heading of pi / 2 looks to the right."""
        self.camera, self.rng, self.ident = camera, camera.rng, ident
        self.tones: dict[str, np.ndarray] = {}
        self.foot = np.array((place[0], 0.0, place[1]))
        cos, sin = math.cos(heading), math.sin(heading)
        self.turn = np.array(((cos, 0, -sin), (0, 1, 0), (sin, 0, cos)))
        self.seen_side = 0
        self.faces: dict[int, tuple[np.ndarray, float]] = {}

    def sketch(self, text: str) -> None:
        """Paint strokes, `verb tone numbers : point, point, ...`, or take `@ class`."""
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
        colour = self.camera.shade(self.tone(name), bright, self.foot[2])
        self.camera.canvas.polygon(seen, colour.tolist(), self.ident)

    def tone(self, name: str) -> np.ndarray:
        """Colour of the object that has this name, chosen and varied at first use."""
        if name not in self.tones:
            tone = self.rng.choice(CHOICES[name]) + self.rng.normal(0, 6, 3)
            self.tones[name] = tone.clip(12, 250)
        return self.tones[name]

    def fill(self, points: ArrayLike, tone: str, light: float = 1.0) -> None:
        """Fill a planar polygon, or several of them (M, N, 3) by the even-odd rule."""
        self.draw(self.camera.project(self.world(points)), tone, light)

    def rects(self, edges: ArrayLike, tone: str, light: float = 1.0) -> None:
        """Fill upright rectangles across the object: left, low, right, high (M, 4)."""
        edges = np.asarray(edges, float).reshape(-1, 4)
        corners = edges[:, [[0, 1], [0, 3], [2, 3], [2, 1]]]
        if len(edges):
            self.fill(corners @ np.eye(2, 3), tone, light)

    def tube(self, points: ArrayLike, tone: str, *radii: float) -> None:
        """Fill a bar with round ends along points, with one radius or one for each."""
        world = self.world(points)
        seen = self.camera.project(world)
        size = np.multiply(radii, self.camera.focal / np.maximum(world[:, 2], 0.5))
        for i, (x, y) in enumerate((seen[1:] - seen[:-1]).tolist()):
            long = math.hypot(x, y) or 1
            half = HALF_CIRCLE @ np.array([(x, y), (-y, x)]) / long
            ends = seen[i] - size[i] * half, seen[i + 1] + size[i + 1] * half
            self.draw(np.concatenate(ends), tone)

    def disc(self, points: ArrayLike, tone: str, *radii: float) -> None:
        """Fill a disc in the plane of forward and up, or a ring of two radii."""
        self.fill([np.add(points, radius * CIRCLE) for radius in radii], tone)

    def body(self, points: ArrayLike, tone: str) -> None:
        """Paint the visible faces of a body that runs across the object.

        The points, forward, up and half width, run clockwise as seen from the right,
        from the rear bottom over the top to the front bottom.
        """
        forward, up, half = np.asarray(points, float).T
        left, right = (np.stack([s * half, up, forward], axis=1) for s in (-1, 1))
        faces = np.stack([left[:-1], right[:-1], right[1:], left[1:]], axis=1)
        self.flank, self.faces, self.seen_side = (up[:4], half[:4]), {}, 0
        for number in np.argsort(-self.world(faces)[..., 2].mean(axis=1)):
            face = faces[number]
            seen = self.camera.project(self.world(face))
            if clockwise(seen) < 0:
                _, rise, reach = (face[3] - face[0]) / np.linalg.norm(face[3] - face[0])
                light = self.camera.light(np.array((0, reach, -rise)) @ self.turn)
                self.faces[int(number)] = face, light
                self.draw(seen, tone, light)
        for side, outline in ((-1, left), (1, right)):
            seen = self.camera.project(self.world(outline))
            if side * clockwise(seen) > 0:
                self.seen_side = side
                self.side_light = self.camera.light(side * self.turn[0])
                self.draw(seen, tone, self.side_light)

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
        discs = ((1.16, 'black'), (1, 'rubber'), (0.6, tone)) if self.seen_side else ()
        for axle in points[:, 0]:
            for share, paint in discs:
                middle = self.seen_side * half, radius, axle
                self.disc(middle, paint, share * radius)
            for side in () if self.faces else (-half, half):
                rims = [(x * side, radius, axle) + radius * CIRCLE for x in (0.75, 1)]
                seen = self.camera.project(self.world(np.concatenate(rims)))
                self.draw(cv2.convexHull(seen.astype(np.float32))[:, 0], 'rubber')


@cache
def parse(text: str) -> list[tuple[str, str, list[float], np.ndarray]]:
    """Read the strokes of a sketch: verb, tone or class, numbers and points."""
    strokes = []
    for stroke in text.replace(',\n', ',').replace(';', '\n').strip().splitlines():
        head, _, tail = stroke.partition(':')
        verb, tone, *numbers = head.split(maxsplit=1 if '@' in head else -1)
        points = np.array([point.split() for point in tail.split(',')], float)
        strokes.append((verb, tone, [float(n) for n in numbers], points))
    return strokes


def clockwise(seen: np.ndarray) -> float:
    """Twice the signed area of an outline (N, 2), positive if it runs clockwise."""
    (x, y), (u, v) = seen.T, seen[np.arange(len(seen)) - 1].T
    return float(u @ y - x @ v)
