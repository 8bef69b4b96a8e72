"""A street scene: its picture, its exact labels and their outlines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from cityscapesscripts.helpers.labels import id2label

from mmseg_pointrend.errors import check_arguments
from mmseg_pointrend.studies.demo.street_scenes import buildings, ground
from mmseg_pointrend.studies.demo.street_scenes.brush import Brush, Camera, pick
from mmseg_pointrend.studies.demo.street_scenes.canvas import Canvas
from mmseg_pointrend.studies.demo.street_scenes.layout import Item, Street

TRAIN_IDS = np.array(
    [id2label[i].trainId if i in id2label else 255 for i in range(256)]
).astype(np.uint8)
PALETTES = {
    'paint': (
        (206, 208, 210), (46, 50, 56), (150, 156, 162), (176, 36, 40), (36, 72, 136),
        (226, 224, 218), (60, 120, 96), (214, 160, 60), (120, 70, 110), (88, 46, 52),
    ),
    'cloth': ((44, 52, 78), (40, 40, 44), (92, 84, 72), (70, 84, 110), (120, 110, 96)),
    'metal': ((132, 136, 140), (74, 78, 82), (46, 52, 54), (150, 146, 136)),
    'skin': ((232, 190, 160), (206, 158, 126), (150, 104, 78), (110, 76, 58)),
    'hair': ((44, 34, 30), (92, 62, 42), (150, 118, 74), (170, 166, 160)),
    'leaf': ((98, 128, 52), (84, 122, 56), (112, 132, 50), (74, 108, 58), (134, 126, 52)),
    'wall': buildings.PLASTERS,
}  # fmt: skip


@dataclass(frozen=True)
class StreetScene:
    """A picture of a street with its exact labels.

    Attributes:
        image: (H, W, 3) uint8, RGB.
        label_ids: (H, W) uint8, Cityscapes label ids.
        instance_ids: (H, W) int32, `id * 1000 + n` for things, `id` for the rest.
    """

    image: np.ndarray
    label_ids: np.ndarray
    instance_ids: np.ndarray

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
    """Draw a street from the driver's view.

    The same seed gives the same street at every size.

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
    camera = choose_camera(rng, canvas)
    street = Street(rng)
    ground.paint_sky(camera, rng)
    buildings.draw_skyline(camera, rng, rng.uniform(110, 160))
    ground.paint_ground(camera, rng, street.sides, street.zebra, street.tracks)
    feet, brushes = [], []
    for house in street.houses:
        xs = house.front * house.sign, (house.front + buildings.DEPTH) * house.sign
        foot = np.array([(x, 0, z) for x in xs for z in (house.near, house.far)])
        feet.append((foot, house.height))
    for item in sorted(street.items, key=lambda item: -item.depth):
        if in_sight(item, camera):
            kind, place = item.kind, (item.x, item.z)
            tones = {name: pick(rng, tones) for name, tones in PALETTES.items()}
            brush = Brush(camera, 0, place, item.heading, tones)
            brushes.append((kind, brush))
            wide, long = kind.half_width + 0.06, kind.half_length + 0.06
            corners = [(x, 0, z) for x in (-wide, wide) for z in (-long, long)]
            feet.append((brush.world(corners), kind.height))
    ground.paint_shadows(camera, feet)
    for house in sorted(street.houses, key=lambda house: -house.near):
        buildings.draw_house(camera, house, rng)
    for kind, brush in brushes:
        brush.ident = canvas.new_id(kind.name)
        if isinstance(kind.drawing, str):
            brush.sketch(kind.drawing)
        else:
            kind.drawing(brush, rng)
    ids = canvas.centre_ids()
    labels = np.where(ids >= 1000, ids // 1000, ids).astype(np.uint8)
    return StreetScene(expose(canvas.image(), rng), labels, ids)


def choose_camera(rng: np.random.Generator, canvas: Canvas) -> Camera:
    """Draw a camera and the weather."""
    middle, horizon, focal = rng.uniform((0.4, 0.42, 0.72), (0.6, 0.5, 0.92))
    return Camera(
        canvas,
        vanish=np.array((canvas.cols * middle, canvas.rows * horizon)),
        focal=canvas.cols * focal,
        eye=rng.uniform((1.2, 1.7, 0), (1.9, 2.2, 0)),
        sun_side=rng.choice((-1, 1)),
        sun=min(max(rng.uniform(-0.3, 1.25), 0), 1),
        haze=rng.uniform((190, 205, 205), (220, 216, 236)),
        haze_length=rng.uniform(130, 420),
    )


def in_sight(item: Item, camera: Camera) -> bool:
    """Whether the picture may show an object, whatever the picture's size."""
    reach = 3 + item.kind.half_length
    left = camera.vanish[0] / camera.focal * (item.z + reach)
    wide = camera.canvas.cols / camera.focal * (item.z + reach)
    return -reach < item.x - camera.eye[0] + left < wide + reach


def expose(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Give a picture the colours, the dark corners and the grain of a camera."""
    row, col = (np.linspace(-1, 1, side) ** 2 for side in image.shape[:2])
    dim = 1 - 0.07 * (row[:, None, None] + col[:, None])
    warm = 1 + rng.uniform(-1, 1) * np.array((0.035, 0, -0.045))
    signal = image * dim * warm * rng.uniform(1, 1.2)
    signal += 6 * np.sin((signal - 128) * np.pi / 128)
    signal += rng.uniform(1.5, 4) * rng.standard_normal(image.shape)
    return np.rint(signal).clip(0, 255).astype(np.uint8)
