"""Shadows on the ground: dark contact lines and those cast by the sun."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from mmseg_pointrend.studies.demo.street_scenes.buildings import DEPTH, House
from mmseg_pointrend.studies.demo.street_scenes.canvas import Canvas
from mmseg_pointrend.studies.demo.street_scenes.props import (
    EXTENT,
    SEGMENT,
    Prop,
    in_sight,
)
from mmseg_pointrend.studies.demo.street_scenes.view import Pose, View, ellipse

FARTHEST = 60.0


def _flat(outline: np.ndarray) -> np.ndarray:
    ground = np.zeros((len(outline), 3))
    ground[:, ::2] = outline
    return ground


def _hull(points: np.ndarray) -> np.ndarray:
    return _flat(cv2.convexHull(points[:, ::2].astype(np.float32))[:, 0])


def _footprint(prop: Prop, grow: float) -> np.ndarray:
    wide, long, _ = EXTENT[prop.kind]
    half = np.array((wide * grow + 0.06, long * grow + 0.06))
    start = SEGMENT / 2 if prop.kind in ('fence', 'wall') else 0.0
    if long > 0.8:
        flat = half * [(-1, -1), (-1, 1), (1, 1), (1, -1)]
    else:
        flat = ellipse((0, 0), half, 12)
    return Pose(prop.x, prop.z, prop.heading).place(_flat(flat + np.array((0, start))))


def shadow_outlines(
    props: Sequence[Prop], houses: Sequence[House], view: View
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Outlines on the ground of contact shadows and of shadows cast by the sun.

    Args:
        props: objects of the street.
        houses: houses of the street.
        view: camera and weather.

    Returns:
        Two lists of (N, 3) outlines in metres.
    """
    slant = np.array((-0.5 * view.sun_side, 0.0, 0.28))
    contact, cast = [], []
    for prop in props:
        height = EXTENT[prop.kind][2]
        if height == 0 or prop.z > FARTHEST or not in_sight(prop, view, 5.0):
            continue
        contact.append(_footprint(prop, 1.05))
        foot = _footprint(prop, 0.9)
        if prop.kind == 'tree':
            rng = np.random.default_rng(prop.seed)
            middle = np.array((prop.x, prop.z)) + slant[::2] * height
            for _ in range(12):
                spot = middle + rng.normal(0, 1.0, 2)
                cast.append(_flat(ellipse(spot, rng.uniform(0.3, 1.0, 2), 10)))
            height *= 0.8
        cast.append(_hull(np.concatenate([foot, foot + slant * height])))
    for house in houses:
        front, rim = house.front * house.sign, (house.front - 0.35) * house.sign
        foot = np.array([(front, 0, house.near), (front, 0, house.far)])
        edge = np.array([(rim, 0, house.far), (rim, 0, house.near)])
        contact.append(np.concatenate([foot, edge]))
        if house.sign == view.sun_side:
            eaves = foot + slant * (house.height + 0.5 * house.rise)
            back = foot + np.array((DEPTH * house.sign, 0, 0))
            cast.append(_hull(np.concatenate([foot, eaves, back])))
    return contact, cast


def paint_shadows(
    canvas: Canvas,
    view: View,
    contact: Sequence[np.ndarray],
    cast: Sequence[np.ndarray],
) -> None:
    """Darkens the ground.

    Args:
        canvas: with the ground only.
        view: camera and weather.
        contact: (N, 3) outlines in metres that hardly any light reaches.
        cast: (N, 3) outlines in metres out of the sun.
    """
    top = int(np.clip(view.horizon, 0, canvas.rows - 1))
    rows, cols = canvas.rows - top, canvas.cols
    height, width = max(rows // 3, 1), max(cols // 3, 1)
    light: np.ndarray = np.ones((height, width), np.float32)
    spread = cols / 1536
    for outlines, strength, blur in ((cast, 0.52 * view.sun, 0.8), (contact, 0.6, 2.2)):
        mask: np.ndarray = np.zeros((height, width), np.uint8)
        for outline in outlines:
            points = view.project(outline) - (0, top)
            points *= (width / cols, height / rows)
            fixed = np.rint(np.clip(points * 16, -1e6, 1e6)).astype(np.int32)
            cv2.fillPoly(mask, [fixed], (255,), shift=4)
        mask = cv2.GaussianBlur(mask, (0, 0), max(blur * spread, 0.3))
        light *= 1 - strength * (mask.astype(np.float32) / 255)
    gain = cv2.resize((255 * light).astype(np.uint8), (cols, rows))
    ground = canvas.colour[top:]
    ground[:] = cv2.multiply(ground, cv2.merge([gain] * 3), scale=1 / 255)
