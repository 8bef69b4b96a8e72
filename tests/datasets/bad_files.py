"""Images and labels that are bad, odd or good, and data sets of them."""

from __future__ import annotations

import io
from pathlib import Path

import cv2
import numpy as np
from mmengine.config import Config
from mmseg.registry import DATASETS
from PIL import Image

from mmseg_pointrend.datasets.validation import check_config

rng = np.random.default_rng(0)
IMAGE = cv2.GaussianBlur(rng.integers(0, 256, (24, 36, 3), np.uint8), (5, 5), 2)
LABEL = (np.arange(24 * 36) % 12).astype(np.uint8).reshape(24, 36)


def jpeg(image: np.ndarray = IMAGE) -> bytes:
    return cv2.imencode('.jpg', image)[1].tobytes()


def png(pixels: np.ndarray) -> bytes:
    return cv2.imencode('.png', pixels)[1].tobytes()


def pillow(pixels: np.ndarray, kind: str, mode: str | None = None, **options) -> bytes:
    file = io.BytesIO()
    image = Image.fromarray(pixels)
    (image.convert(mode) if mode else image).save(file, kind, **options)
    return file.getvalue()


def flipped(content: bytes) -> bytes:
    """The same with one bit of its middle changed."""
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


def turned() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 3
    return pillow(IMAGE, 'JPEG', exif=exif)


def with_alpha(lowest: int) -> np.ndarray:
    alpha = np.full((24, 36, 1), 255, np.uint8)
    alpha[0, 0] = lowest
    return np.concatenate([IMAGE, alpha], axis=2)


palette = Image.fromarray(LABEL)
palette.putpalette(range(36))
palette_png = io.BytesIO()
palette.save(palette_png, 'PNG')

EMPTY = 'empty file', r', it is empty \(0 bytes\): get'
NO_IMAGE = 'no image', ', it is no image: replace'
DAMAGED = 'truncated or damaged file', ', it is truncated or damaged: get'
DEEP = '16-bit image', ' has 16 bits a channel, .*: convert it to 8 bits'
IDS = 'label ids out of range'

# Name of the pair, its image, its label (None for the good ones), what is wrong, and
# the sentence that follows the file's name.
ERRORS: dict[str, tuple[bytes | None, bytes | None, str, str]] = {
    'empty_image': (b'', None, *EMPTY),
    'empty_label': (None, b'', *EMPTY),
    'text_image': (b'hello', None, *NO_IMAGE),
    'text_label': (None, b'hello', *NO_IMAGE),
    'cut_jpeg': (jpeg()[:500], None, *DAMAGED),
    'cut_png': (png(IMAGE)[:900], None, *DAMAGED),
    'cut_label': (None, png(LABEL)[:60], *DAMAGED),
    'endless_label': (None, png(LABEL)[:-2], *DAMAGED),
    'flipped_bit': (None, flipped(png(LABEL)), *DAMAGED),
    'deep_colours': (png(IMAGE.astype(np.uint16) * 257), None, *DEEP),
    'deep_grey': (png(IMAGE[..., 0].astype(np.uint16) * 16), None, *DEEP),
    'transparent': (
        png(with_alpha(0)),
        None,
        'transparent image',
        r' \(mode RGBA\) is transparent in places .*: paint it on a background',
    ),
    'no_such_class': (
        None,
        png(np.full_like(LABEL, 44)),
        IDS,
        r' holds the label ids \[44\], but the 11 classes are 0 to 10 and 255 is',
    ),
    'large_ids': (
        None,
        png(np.full((24, 36), 257, np.uint16)),
        IDS,
        r' holds the value 257 \(uint16\), and MMSegmentation cuts labels to 8 bits',
    ),
    'fractions': (
        None,
        pillow(LABEL / np.float32(10), 'TIFF'),
        IDS,
        r' holds the value 0.1 \(float32\), and .*: store one whole number',
    ),
    'nan': (
        None,
        pillow(np.full((24, 36), np.nan, np.float32), 'TIFF'),
        IDS,
        r' holds the value nan \(float32\)',
    ),
    'colours': (
        None,
        png(IMAGE),
        'colour label',
        ' has shape 24x36x3, a picture in colours: convert it to one 8-bit id',
    ),
    'other_size': (
        None,
        png(LABEL[:, :20]),
        'size mismatch',
        ' has shape 24x20 but its image .*/img/other_size.jpg has 24x36: every',
    ),
    'lying_down': (
        jpeg(IMAGE.transpose(1, 0, 2).copy()),
        None,
        'size mismatch',
        ' has shape 24x36 but its image .*/img/lying_down.jpg has 36x24',
    ),
}
WARNINGS: dict[str, tuple[bytes | None, bytes | None, str, str]] = {
    'opaque': (png(with_alpha(255)), None, 'RGBA image', ' has mode RGBA, not RGB'),
    'palette': (
        pillow(IMAGE, 'PNG', 'P'),
        None,
        'palette image',
        ' has mode P, not RGB',
    ),
    'print': (pillow(IMAGE, 'JPEG', 'CMYK'), None, 'CMYK image', ' has mode CMYK, not'),
    'exif': (turned(), None, 'turned image', r' is turned .*\(EXIF orientation 3\)'),
    'wide': (None, png(LABEL.astype(np.uint16)), 'wide label', ' has mode I;16 althou'),
}
GOOD: dict[str, tuple[bytes | None, bytes | None]] = {
    'plain': (None, None),
    'grey': (jpeg(IMAGE[..., 0]), None),
    'palette_label': (None, palette_png.getvalue()),
    'one_bit': (None, pillow(LABEL > 5, 'PNG')),
    'progressive': (pillow(IMAGE, 'JPEG', progressive=True), None),
}


def write_pair(
    root: Path, name: str, image: bytes | None = None, label: bytes | None = None
) -> Path:
    """Write an image and a label, by default good ones."""
    for kind, suffix, content in (
        ('img', 'jpg', jpeg() if image is None else image),
        ('ann', 'png', png(LABEL) if label is None else label),
    ):
        (root / kind).mkdir(exist_ok=True)
        (root / f'{kind}/{name}.{suffix}').write_bytes(content)
    return root


def dataset_config(root: Path, **kwargs: object) -> dict:
    steps = ('LoadImageFromFile', 'LoadAnnotations', 'PackSegInputs')
    config = dict(
        type='CamVidDataset',
        data_root=str(root),
        serialize_data=False,
        data_prefix=dict(img_path='img', seg_map_path='ann'),
        pipeline=[dict(type=step) for step in steps],
    )
    return {**config, **kwargs}


def load(root: Path, **kwargs: object) -> dict:
    return DATASETS.build(dataset_config(root, **kwargs))[0]


def findings(root: Path, **kwargs: object) -> list:
    cfg = Config(dict(train_dataloader=dict(dataset=dataset_config(root, **kwargs))))
    return check_config(cfg, ['train'], workers=1)['train'].findings
