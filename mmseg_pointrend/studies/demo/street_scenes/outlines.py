"""Outlines of a label map, ordered so that painting them restores the map."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from cityscapesscripts.helpers.labels import id2label


def label_outlines(ids: np.ndarray) -> list[dict[str, Any]]:
    """Traces every connected region of an id map.

    A region's polygon runs through the centres of its border pixels. Whatever lies
    in a hole of a region comes later in the list and so is painted over it.

    Args:
        ids: (H, W) int32, `id * 1000 + n` for things, `id` for the rest.

    Returns:
        One dict per region, `{'label': name, 'polygon': [[x, y], ...]}`, largest
        outline first; x and y are indices of pixels.
    """
    found: list[tuple[float, dict[str, Any]]] = []
    for value in np.unique(ids).tolist():
        mask = (ids == value).astype(np.uint8)
        name = id2label[value // 1000 if value >= 1000 else value].name
        borders, tree = cv2.findContours(mask, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
        for border, (_, _, _, parent) in zip(borders, tree[0], strict=True):
            if parent >= 0:
                continue
            points = border[:, 0].tolist()
            if len(points) < 3:
                points = points + points[:1] * (3 - len(points))
            _, _, width, height = cv2.boundingRect(border)
            found.append((width * height, {'label': name, 'polygon': points}))
    found.sort(key=lambda item: -item[0])
    return [outline for _, outline in found]
