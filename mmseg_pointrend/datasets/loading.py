"""Loads images for training and inference, or says in one sentence why it cannot."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from mmcv.transforms import LoadImageFromFile
from mmseg.datasets.transforms import LoadImageFromNDArray
from mmseg.registry import TRANSFORMS

from mmseg_pointrend.datasets.files import BadFile, decode
from mmseg_pointrend.errors import InputError

ARRAY_TYPES = (np.uint8, np.uint16, np.int16, np.float32, np.float64)
"""What OpenCV resizes."""


@TRANSFORMS.register_module(['LoadImageFromFile', 'LoadImageFromNDArray'], force=True)
class LoadImage(LoadImageFromNDArray):
    """MMCV's ``LoadImageFromFile`` and MMSegmentation's ``LoadImageFromNDArray``.

    MMSegmentation's inference functions look for these two by name, so this class takes
    both names in MMSegmentation's registry. What they read, it reads to the same
    values; what they read in part or not at all, it refuses. As it takes whatever it
    gets, files and arrays may follow each other on one model.

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
            InputError: the file cannot be read whole, or the array is no image.
        """
        if 'img' in results:
            check_array(results['img'])
            return super().transform(results)
        load = partial(LoadImageFromFile.transform, self)
        try:
            return decode(load, results, 'img_path', self.backend_args)
        except BadFile:
            if self.ignore_empty:
                return None
            raise


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
