"""The transforms that load images and labels: read once, checked from those bytes.

A sample of :class:`~mmseg_pointrend.datasets.checked.CheckedFiles` carries
``num_classes`` and ``ignore_index``. With it, what is read must also be what the file
shows; without, as in MMSegmentation's other data sets and inference functions, all is
taken that can be read whole.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

import cv2
import numpy as np
from mmcv.transforms import BaseTransform
from mmseg.datasets.transforms import LoadAnnotations, LoadImageFromNDArray
from mmseg.registry import TRANSFORMS

from mmseg_pointrend.datasets.reading import BadFile, decode, header_of, read_whole
from mmseg_pointrend.errors import InputError, check_arguments, name_some

Step = TypeVar('Step', bound=BaseTransform)
ARRAY_TYPES = (np.uint8, np.uint16, np.int16, np.float32, np.float64)
"""What OpenCV resizes."""
BAD_IDS = 'label ids out of range'


# inference_model renames a pipeline's first transform when it meets an array, for good:
# with one class behind both names, files and arrays follow each other on one model.
@TRANSFORMS.register_module(['LoadImageFromFile', 'LoadImageFromNDArray'], force=True)
class LoadImage(LoadImageFromNDArray):
    """MMCV's ``LoadImageFromFile`` and MMSegmentation's ``LoadImageFromNDArray``.

    What they read, it reads to the same values; what they read in part or not at all,
    it refuses.

    Args:
        kwargs: as in MMCV's ``LoadImageFromFile``.
    """

    def transform(self, results: dict[str, Any]) -> dict[str, Any] | None:
        """Load ``results['img_path']``, or take the array ``results['img']``.

        Args:
            results: with ``img_path`` or ``img``, (H, W), (H, W, 1) or (H, W, 3) in
                BGR order.

        Returns:
            ``results`` with ``img``, ``img_path``, ``img_shape`` and ``ori_shape``;
            None where ``ignore_empty`` asks for it.

        Raises:
            InputError: the file cannot be read whole, or the array is no image; or a
                sample of ``CheckedFiles`` loses half of its bits, or transparency.
        """
        if 'img' in results:
            check_array(results['img'])
            return super().transform(results)
        path = results['img_path']
        if not isinstance(path, str | Path):
            raise InputError(
                'an image is a file name or an array (H, W, 3), not '
                f'{type(path).__name__}: convert it.'
            )
        try:
            content = read_whole(path, self.backend_args)
            image = decode(path, content, self.color_type, self.imdecode_backend)
        except BadFile:
            if self.ignore_empty:
                return None
            raise
        if 'num_classes' in results:
            check_nothing_is_lost(path, content, image)
        return {**super().transform({**results, 'img': image}), 'img_path': path}


def check_array(image: np.ndarray) -> None:
    """Refuse what is not an image, (H, W), (H, W, C), of numbers.

    Raises:
        InputError: the shape, type or values are not those of an image.
    """
    if image.ndim not in (2, 3) or not image.size:
        raise InputError(
            f'the image is an array of shape {image.shape}: give (H, W) or (H, W, 3) '
            'with at least one pixel.'
        )
    if image.dtype not in ARRAY_TYPES:
        raise InputError(
            f'the image is an array of type {image.dtype}: convert it to uint8, 0 to '
            '255.'
        )
    if image.dtype.kind == 'f' and not np.isfinite(image).all():
        raise InputError(
            'the image has values that are NaN or infinite: replace them by numbers '
            'from 0 to 255.'
        )


def check_nothing_is_lost(path: str | Path, content: bytes, image: np.ndarray) -> None:
    """Refuse an image, (H, W) or (H, W, C), that is not what its file shows.

    Raises:
        BadFile: reading dropped half of its bits, or transparency.
    """
    header = header_of(content)
    if header is None or image.dtype != np.uint8:
        return
    if any(';16' in str(tile.args) for tile in header.tile):
        raise BadFile(
            f'{path} has 16 bits a channel, of which LoadImageFromFile reads the upper '
            '8: convert it to 8 bits.',
            '16-bit image',
        )
    keeps_alpha = image.shape[2:] == (4,)
    if header.has_transparency_data and not keeps_alpha:
        alpha = np.asarray(header.convert('RGBA'))[..., 3]
        if alpha.min() < 255:
            raise BadFile(
                f'{path} (mode {header.mode}) is transparent in places and read with '
                'the colours hidden there: paint it on a background and save it as '
                'RGB.',
                'transparent image',
            )


# From a PNG with a flipped bit Pillow may read other ids than were written.
@TRANSFORMS.register_module('LoadAnnotations', force=True)
class LoadLabel(LoadAnnotations):
    """MMSegmentation's ``LoadAnnotations``, for files that are whole.

    Of a sample of ``CheckedFiles``, every pixel of the image must have one known id.

    Args:
        args: as in MMSegmentation's ``LoadAnnotations``.
        label_map: what values in the files stand for, before ``reduce_zero_label`` and
            the classes of the data set: ``{255: 1}`` for masks of 0 and 255.
        kwargs: as in MMSegmentation's ``LoadAnnotations``.

    Raises:
        InputError: ``label_map`` does not map ids to ids.
    """

    def __init__(
        self, *args: Any, label_map: dict[int, int] | None = None, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        ids = range(256)
        right = label_map is None or (
            isinstance(label_map, dict)
            and all(i in ids and to in ids for i, to in label_map.items())
        )
        wanted = 'whole numbers from 0 to 255 for such numbers, as in {255: 1}'
        check_arguments([(right, f'{label_map=}', wanted)], 'LoadAnnotations.')
        self.label_map = label_map or {}

    def _load_seg_map(self, results: dict[str, Any]) -> None:
        """Put ``gt_seg_map``, ids (H, W), uint8, into ``results``.

        Raises:
            BadFile: the file is missing, empty, damaged or no image; or, of a sample
                of ``CheckedFiles``, its shape, its size or its ids do not fit.
            InputError: ``reduce_zero_label`` is not that of the data set.
        """
        path = results['seg_map_path']
        content = read_whole(path, self.backend_args)
        values = decode(path, content, 'unchanged', self.imdecode_backend)
        if values.shape[2:] == (1,):
            values = values[..., 0]
        new_ids = self.new_ids(results)
        if 'num_classes' in results:
            check_label(path, values, new_ids, results)
        label: np.ndarray = np.ascontiguousarray(values, np.uint8)
        if not np.array_equal(new_ids, np.arange(256)):
            label = cv2.LUT(label, new_ids)
        results['gt_seg_map'] = label
        results['seg_fields'].append('gt_seg_map')

    def new_ids(self, results: dict[str, Any]) -> np.ndarray:
        """Tell what becomes of each value in a file, (256,), uint8.

        Args:
            results: with ``reduce_zero_label`` and ``label_map`` of the data set.

        Raises:
            InputError: ``reduce_zero_label`` is not that of the data set.
        """
        reduces = results['reduce_zero_label']
        if self.reduce_zero_label not in (None, reduces):
            raise InputError(
                f'reduce_zero_label is {reduces} in the data set but '
                f'{self.reduce_zero_label} in LoadAnnotations of its pipeline: set it '
                'on the data set only.'
            )
        ids = [255, *range(254), 255] if reduces else range(256)
        mapped = results.get('label_map') or {}
        new = np.array([mapped.get(i, i) for i in ids], np.uint8)
        return new[[self.label_map.get(i, i) for i in range(256)]]


def check_label(
    path: str | Path, values: np.ndarray, new_ids: np.ndarray, results: dict[str, Any]
) -> None:
    """Refuse a label that is not one known id for each pixel of its image.

    Args:
        path: name of the file.
        values: what it holds, (H, W) or (H, W, C).
        new_ids: what each becomes, (256,).
        results: of the image, with ``num_classes`` and ``ignore_index``.

    Raises:
        BadFile: values do not fit into 8 bits, the shape is not that of the image, or
            ids are neither classes nor ignored.
    """
    if values.dtype not in (np.uint8, np.bool_):
        with np.errstate(invalid='ignore'):
            cut = values[values != values.astype(np.uint8)]
        if cut.size:
            raise BadFile(
                f'{path} holds the value {cut[0]:g} ({values.dtype}), and '
                'MMSegmentation cuts labels to 8 bits: store one whole number from 0 '
                'to 255 a pixel.',
                BAD_IDS,
            )
    shape = 'x'.join(map(str, values.shape))
    if values.ndim > 2:
        raise BadFile(
            f'{path} has shape {shape}, a picture in colours: convert it to one 8-bit '
            'id a pixel.',
            'colour label',
        )
    height, width = results.get('ori_shape', values.shape)
    if values.shape != (height, width):
        raise BadFile(
            f'{path} has shape {shape} but its image {results["img_path"]} has '
            f'{height}x{width}: every pixel needs one label.',
            'size mismatch',
        )
    num_classes, ignored = results['num_classes'], results['ignore_index']
    unknown = (new_ids >= num_classes) & (new_ids != ignored)
    ids = values.astype(np.uint8)
    if cv2.LUT(ids, unknown.view(np.uint8)).any():
        wrong = np.unique(new_ids[ids[unknown[ids]]]).tolist()
        after = ' after reduce_zero_label' if results['reduce_zero_label'] else ''
        raise BadFile(
            f'{path} holds the label ids [{name_some(wrong)}]{after}, but the '
            f'{num_classes} classes are 0 to {num_classes - 1} and {ignored} is '
            'ignored: convert the labels, or set metainfo.classes, or label_map={...} '
            'of LoadAnnotations.',
            BAD_IDS,
        )


def find_step(step: Any, kind: type[Step]) -> Step | None:
    """Find the first transform of a kind in a pipeline, also inside ``TestTimeAug``."""
    return next((one for one in steps_of(step) if isinstance(one, kind)), None)


def steps_of(step: Any) -> Iterator[Any]:
    """Go through a transform and all that it may call."""
    yield step
    for part in getattr(step, 'subroutines', getattr(step, 'transforms', ())):
        yield from steps_of(part)
