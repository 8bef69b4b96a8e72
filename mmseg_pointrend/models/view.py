"""How an image became what the network sees, and the way back; sliding windows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from mmseg.utils import SampleList
from torch import Tensor

from mmseg_pointrend.errors import InputError
from mmseg_pointrend.rendering.grids import Grid, Padding, Size, original_grid


def padding_of(meta: dict) -> Padding:
    """Pixels of padding at the (left, right, top, bottom) of an image.

    Args:
        meta: MMSegmentation's meta information of the image.
    """
    return meta.get('img_padding_size', meta.get('padding_size', (0, 0, 0, 0)))


def check_resize(meta: dict, image: Size) -> None:
    """Refuse an image that is not its file, resized: the rest cannot be undone.

    Args:
        meta: what the data set's pipeline noted. What no pipeline made, without
            ``scale_factor`` and ``img_path``, is taken for resized.
        image: (H, W) that comes out of the pipeline.

    Raises:
        InputError: this is not ``ori_shape`` times ``scale_factor``.
    """
    if 'ori_shape' not in meta or not {'scale_factor', 'img_path'} & meta.keys():
        return
    scale = np.broadcast_to(meta.get('scale_factor', 1), 2)  # (x, y), or one number
    wanted = np.multiply(meta['ori_shape'][:2], scale[::-1])
    grown = np.subtract(image, wanted)
    # ``ResizeToMultiple`` notes no scale, and unlike ``Pad`` no channels.
    may_grow = 64 if len(meta.get('pad_shape', ())) == 2 else 1
    if np.all((grown > -1) & (grown < may_grow)):
        return
    height, width = wanted.round().astype(int).tolist()
    raise InputError(
        f'{meta.get("img_path") or "the image"} has {image[0]}x{image[1]} pixels and '
        f'not {height}x{width}, ori_shape times scale_factor: let one Resize make it, '
        'and in place of Pad or a crop in the test pipeline set '
        'data_preprocessor.test_cfg=dict(size_divisor=...).'
    )


@torch.compiler.disable
def paddings_of(samples: SampleList) -> list[Padding]:
    """:func:`padding_of` each sample; compilers must not look at its other fields."""
    return [padding_of(sample.metainfo) for sample in samples]


@dataclass(frozen=True)
class View:
    """An image that was resized, flipped and padded, in this order.

    Attributes:
        size: (H, W) that the network sees.
        padding: pixels added at the (left, right, top, bottom).
        flip: the dimension of (H, W) along which it was flipped, -1 or -2, or None.
        original: (H, W) of the file.
    """

    size: Size
    padding: tuple[int, int, int, int]
    flip: int | None
    original: Size

    @classmethod
    def of(cls, meta: dict, size: Size) -> View:
        """Read MMSegmentation's meta information of an image.

        Args:
            meta: what the data set's pipeline and the preprocessor noted.
            size: (H, W) that the network sees.

        Raises:
            InputError: the image was flipped in a way that is not known.
        """
        left, right, top, bottom = padding_of(meta)
        image = size[0] - top - bottom, size[1] - left - right
        height, width = meta.get('ori_shape', image)[:2]
        flip = None
        if meta.get('flip'):
            direction = meta.get('flip_direction')
            if direction not in ('horizontal', 'vertical'):
                raise InputError(
                    f'flip_direction={direction!r} of {meta.get("img_path", "image")} '
                    "cannot be undone: give 'horizontal' or 'vertical'."
                )
            flip = -1 if direction == 'horizontal' else -2
        return cls(size, (left, right, top, bottom), flip, (height, width))

    def target(self, align_corners: bool) -> Grid:
        """Where to render: at the pixels of the original image.

        An image that was not resized is rendered with its padding, which
        :meth:`restore` takes off: interpolation on whole frames is the fastest.
        """
        if self.original == self.image_size:
            return Grid.of_frame(self.size, align_corners)
        return original_grid(self.size, self.padding, self.original, align_corners)

    def restore(self, maps: Tensor) -> Tensor:
        """Turn what was rendered at :meth:`target` into a map of the original image.

        Args:
            maps: (*, H, W).
        """
        if self.original == self.image_size:
            left, right, top, bottom = self.padding
            height, width = self.size
            maps = maps[..., top : height - bottom, left : width - right]
        return maps if self.flip is None else maps.flip(self.flip)

    @property
    def image_size(self) -> Size:
        """(H, W) of the network's input without padding."""
        left, right, top, bottom = self.padding
        return self.size[0] - top - bottom, self.size[1] - left - right


@dataclass(frozen=True)
class Window:
    """A part of the images that a network sees.

    Attributes:
        rows: which rows.
        columns: which columns.
    """

    rows: slice
    columns: slice

    @classmethod
    def cover(cls, size: Size, crop: Size, stride: Size) -> Iterator[Window]:
        """Windows that slide over a map, the last ones flush with its end.

        Args:
            size: (H, W) of the map.
            crop: (H, W) of a window; a smaller map is one window.
            stride: from one window to the next, (down, right).
        """
        rows, columns = map(spans, size, crop, stride)
        for down in rows:
            for across in columns:
                yield cls(down, across)

    def cut(self, maps: Tensor) -> Tensor:
        """Cut this part out of maps, (*, H, W)."""
        return maps[..., self.rows, self.columns]

    def paddings(self, paddings: Sequence[Padding], size: Size) -> list[Padding]:
        """Find the padding inside, from that of images of a size (H, W)."""
        height, width = size
        return [
            (
                max(left - self.columns.start, 0),
                max(right - (width - self.columns.stop), 0),
                max(top - self.rows.start, 0),
                max(bottom - (height - self.rows.stop), 0),
            )
            for left, right, top, bottom in paddings
        ]


def spans(count: int, length: int, step: int) -> list[slice]:
    """Parts of an axis of ``count`` pixels, the last one flush with its end."""
    last = max(count - length, 0)
    starts = [*range(0, last, step), last]
    return [slice(start, min(start + length, count)) for start in starts]
