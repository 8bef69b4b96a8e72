"""A street scene: its picture and its exact labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from cityscapesscripts.helpers.labels import id2label

from mmseg_pointrend.errors import check_arguments
from mmseg_pointrend.studies.demo.street_scenes import backdrop
from mmseg_pointrend.studies.demo.street_scenes.brush import Brush, Camera
from mmseg_pointrend.studies.demo.street_scenes.canvas import Canvas
from mmseg_pointrend.studies.demo.street_scenes.layout import Street

TRAIN_IDS = np.array([id2label.get(i, id2label[0]).trainId for i in range(256)], 'u1')


@dataclass(frozen=True)
class StreetScene:
    """A picture of a street with its exact labels.

    Attributes:
        image: (H, W, 3) uint8, RGB.
        instance_ids: (H, W) int32, `id * 1000 + n` for things, `id` for the rest.
    """

    image: np.ndarray
    instance_ids: np.ndarray

    @property
    def label_ids(self) -> np.ndarray:
        """Cityscapes label ids, (H, W) uint8."""
        ids = self.instance_ids
        return np.where(ids >= 1000, ids // 1000, ids).astype(np.uint8)

    @property
    def train_ids(self) -> np.ndarray:
        """Training classes 0 to 18, 255 for pixels that do not count, (H, W) uint8."""
        return TRAIN_IDS[self.label_ids]


def check_size(size: Sequence[int], supersampling: int) -> None:
    """Raise an :class:`InputError` unless a scene can be drawn like this."""
    large = len(size) == 2 and size[0] >= 32 and size[1] >= 64
    odd = supersampling > 0 and supersampling % 2 == 1
    check_arguments(
        [
            (large, f'size={tuple(size)}', 'at least 32 rows and 64 columns'),
            (odd, f'supersampling={supersampling}', '1, 3 or 5 samples per pixel side'),
        ]
    )


def render_scene(
    seed: int | Sequence[int],
    size: tuple[int, int] = (256, 512),
    supersampling: int = 3,
) -> StreetScene:
    """Draw a street from the driver's view, the same for a seed at every size.

    Args:
        seed: one integer or several, all at least 0.
        size: height and width in pixels, at least (32, 64).
        supersampling: odd number of samples per pixel side; the image is their mean,
            the labels are those of the middle sample.

    Raises:
        InputError: the size is too small or the supersampling is even.
    """
    check_size(size, supersampling)
    rng = np.random.default_rng(seed)
    canvas = Canvas(size, supersampling)
    camera, street = choose_camera(rng, canvas), Street(rng)
    backdrop.paint_sky(camera)
    backdrop.draw_skyline(camera)
    backdrop.paint_ground(camera, street.sides, street.tracks)
    feet, brushes = [], []
    for sign, front, near, far, height, _ in street.houses:
        xs = front * sign, (front + backdrop.DEPTH) * sign
        feet.append((np.array([(x, 0, z) for x in xs for z in (near, far)]), height))
    for _, kind, x, z, heading in sorted(street.items, key=lambda item: item[0]):
        brush = Brush(camera, 0, (x, z), heading)
        brushes.append((kind, brush))
        wide, long, height = kind.size
        corners = [(x, 0, z) for x in (-wide, wide) for z in (-long, long)]
        feet.append((brush.world(corners), height))
    backdrop.paint_shadows(camera, feet)
    for house in sorted(street.houses, key=lambda house: -house.near):
        backdrop.draw_house(camera, house)
    for kind, brush in brushes:
        brush.ident = canvas.new_id(kind.name)
        if isinstance(kind.drawing, str):
            brush.sketch(kind.drawing)
        else:
            kind.drawing(brush)
    return StreetScene(expose(canvas.image(), rng), canvas.centre_ids())


def choose_camera(rng: np.random.Generator, canvas: Canvas) -> Camera:
    """Draw a camera and the weather."""
    middle, horizon, focal = rng.uniform((0.4, 0.42, 0.72), (0.6, 0.5, 0.92))
    return Camera(
        canvas,
        rng,
        vanish=np.array((canvas.cols * middle, canvas.rows * horizon)),
        focal=canvas.cols * focal,
        eye=rng.uniform((1.2, 1.7, 0), (1.9, 2.2, 0)),
        sun_side=rng.choice((-1, 1)),
        sun=min(max(rng.uniform(-0.3, 1.25), 0), 1),
        haze=rng.uniform((190, 205, 205), (220, 216, 236)),
        haze_length=rng.uniform(130, 420),
    )


def expose(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Give a picture the brightness, the tint and the grain of a camera."""
    warm = 1 + rng.uniform(-1, 1) * np.array((0.035, 0, -0.045))
    signal = image * (rng.uniform(0.95, 1.2) * warm)
    signal += rng.uniform(1.5, 4) * rng.standard_normal(image.shape)
    return np.rint(signal).clip(0, 255).astype(np.uint8)
