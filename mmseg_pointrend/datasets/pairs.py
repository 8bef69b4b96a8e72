"""What a good image and a good label are: the one place that knows.

Training (:class:`~mmseg_pointrend.datasets.checked.CheckedFiles`) and
``tools/check_dataset.py`` ask the same functions.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import mmcv
import mmengine.fileio as fileio
import numpy as np
from mmseg.datasets.transforms import LoadAnnotations
from PIL import Image, ImageFile

from mmseg_pointrend.datasets.files import BadFile, decode
from mmseg_pointrend.datasets.loading import LoadImage
from mmseg_pointrend.errors import name_some

ONE_BYTE_MODES = ('1', 'L', 'P')
"""Pillow's modes of pictures with one value of at most 8 bits a pixel."""
EXIF_ORIENTATION = 0x0112


def load_image(step: LoadImage, results: dict[str, Any]) -> dict[str, Any] | None:
    """Load an image that is read as what its file shows.

    Args:
        step: the pipeline's loading transform.
        results: with ``img_path``.

    Returns:
        ``results`` with ``img`` and its sizes, or None, as the step does.

    Raises:
        BadFile: the file is missing, empty, damaged or no image; or reading drops half
            of its bits, or transparency.
    """
    results = step(results)
    if results is None or results['img'].dtype != np.uint8:
        return results
    path, image = results['img_path'], results['img']
    with opened(path, step.backend_args) as header:
        if header is None:
            return results
        if any(';16' in str(tile.args) for tile in header.tile):
            raise BadFile(
                f'{path} has 16 bits a channel, of which LoadImageFromFile reads the '
                'upper 8: convert it to 8 bits.',
                '16-bit image',
            )
        keeps_alpha = image.shape[2:] == (4,)
        if header.has_transparency_data and not keeps_alpha:
            alpha = np.asarray(header.convert('RGBA'))[..., 3]
            if alpha.min() < 255:
                raise BadFile(
                    f'{path} (mode {header.mode}) is transparent in places and read '
                    'with the colours hidden there: paint it on a background and save '
                    'it as RGB.',
                    'transparent image',
                )
    return results


def image_doubts(step: LoadImage, path: str) -> Iterator[tuple[str, str]]:
    """What is probably not meant about an image that :func:`load_image` accepts.

    Yields:
        What is odd in two or three words, and a sentence with the file's name.
    """
    with opened(path, step.backend_args) as header:
        if header is None:
            return
        if header.mode not in ('1', 'L', 'RGB'):
            name = 'palette' if header.mode == 'P' else header.mode
            yield (
                f'{name} image',
                f'{path} has mode {header.mode}, not RGB, and is read with color_type='
                f'{step.color_type!r}: save it as RGB unless that is meant.',
            )
        # Without this, Pillow would decode a PNG to see what follows its pixels.
        turned = (
            header.getexif().get(EXIF_ORIENTATION, 1) if 'exif' in header.info else 1
        )
        if turned != 1 and step.color_type in ('color', 'grayscale'):
            yield (
                'turned image',
                f'{path} is turned or mirrored on reading (EXIF orientation {turned}) '
                'and its label is not: save it upright, without EXIF.',
            )


def load_label(
    step: LoadAnnotations,
    results: dict[str, Any],
    num_classes: int,
    ignore_index: int,
) -> dict[str, Any]:
    """Load a label that has one known id for each pixel of its image.

    Args:
        step: the pipeline's loading transform.
        results: with ``seg_map_path``, and ``ori_shape`` where the image is known.
        num_classes: number of classes after the data set's mapping of ids.
        ignore_index: id of ignored pixels.

    Returns:
        A copy of ``results`` with ``gt_seg_map``, (H, W), uint8.

    Raises:
        BadFile: the file is missing, empty, damaged, no image or a picture in
            colours; or its size or its ids do not fit.
    """
    path = results['seg_map_path']
    results = decode(
        step, {**results, 'seg_fields': []}, 'seg_map_path', step.backend_args
    )
    label = results['gt_seg_map']
    with opened(path, step.backend_args) as header:
        narrow = header is not None and header.mode in ONE_BYTE_MODES
        shape = (header.height, header.width) if header and narrow else None
    shape = shape or exact_values(step, path).shape[:2]
    depth = label.size // math.prod(shape)
    if depth > 1:
        raise BadFile(
            f'{path} has shape {shape[0]}x{shape[1]}x{depth}, a picture in colours: '
            'convert it to one 8-bit id a pixel.',
            'colour label',
        )
    height, width = results.get('ori_shape', shape)
    if shape != (height, width):
        raise BadFile(
            f'{path} has shape {shape[0]}x{shape[1]} but its image '
            f'{results["img_path"]} has {height}x{width}: every pixel needs one label.',
            'size mismatch',
        )
    # MMSegmentation squeezes a side of one pixel away.
    results['gt_seg_map'] = label = label.reshape(shape)
    present = np.flatnonzero(np.bincount(label.ravel(), minlength=256))
    wrong = [int(i) for i in present if i >= num_classes and i != ignore_index]
    if wrong:
        after = ' after reduce_zero_label' if results['reduce_zero_label'] else ''
        raise BadFile(
            f'{path} holds the label ids [{name_some(wrong)}]{after}, but the '
            f'{num_classes} classes are 0 to {num_classes - 1} and {ignore_index} is '
            'ignored: convert the labels or set metainfo.classes.',
            'label ids out of range',
        )
    return results


def exact_values(step: LoadAnnotations, path: str) -> np.ndarray:
    """The values in a label's file, of which MMSegmentation keeps 8 bits.

    Returns:
        (H, W) or (H, W, channels).

    Raises:
        BadFile: values are fractions, negative or above 255.
    """
    content = fileio.get(path, backend_args=step.backend_args)
    values = mmcv.imfrombytes(content, 'unchanged', backend=step.imdecode_backend)
    with np.errstate(invalid='ignore'):
        wrong = values[values != values.astype(np.uint8)]
    if wrong.size:
        raise BadFile(
            f'{path} holds the value {wrong[0]:g} ({values.dtype}), and MMSegmentation '
            'cuts labels to 8 bits: store one whole number from 0 to 255 a pixel.',
            'label ids out of range',
        )
    return values


def label_doubts(step: LoadAnnotations, path: str) -> Iterator[tuple[str, str]]:
    """As :func:`image_doubts`, for a label that :func:`load_label` accepts."""
    with opened(path, step.backend_args) as header:
        if header is not None and header.mode not in ONE_BYTE_MODES:
            yield (
                'wide label',
                f'{path} has mode {header.mode} although its ids fit into 8 bits: save '
                'it with 8 bits a pixel, lest larger ids slip in.',
            )
        if header is not None and header.format == 'JPEG':
            yield (
                'lossy label',
                f'{path} is a JPEG, which mixes the ids of neighbouring pixels: make '
                'it anew as PNG from what it was saved from.',
            )


@contextmanager
def opened(
    path: str, backend_args: dict | None
) -> Iterator[ImageFile.ImageFile | None]:
    """Look at a file's header with Pillow; None where only another library reads it."""
    with fileio.get_local_path(path, backend_args=backend_args) as local:
        try:
            header = Image.open(local)
        except Exception:
            header = None
        with header or nullcontext():
            yield header
