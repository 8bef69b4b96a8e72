"""Bytes that are whole and the pixels in them, or one sentence that says why not."""

from __future__ import annotations

import io
import struct
from pathlib import Path
from zlib import crc32

import mmcv
import mmengine.fileio as fileio
import numpy as np
from PIL import Image
from PIL.ImageFile import ImageFile

from mmseg_pointrend.errors import InputError, one_line

PNG_SIGNATURE = b'\x89PNG\r\n\x1a\n'
EXIF_ORIENTATION = 0x0112
DAMAGED = ('truncated or damaged file', ', it is truncated or damaged: get it again')


class BadFile(InputError):
    """A file that a model cannot learn from; the sentence names it and the fix.

    Args:
        sentence: what the user sees.
        kind: what is wrong, in two or three words, the same for all such files.
    """

    # One argument is enough for a data loader, which raises a worker's error again.
    def __init__(self, sentence: str, kind: str = '') -> None:
        super().__init__(sentence)
        self.kind = kind


def cannot_read(path: str | Path, kind: str, reason: str) -> BadFile:
    """Make the error for a file of no use; ``reason`` ends with the fix."""
    return BadFile(f'cannot read {path}{reason}.', kind)


def read_whole(path: str | Path, backend_args: dict | None = None) -> bytes:
    """Read a file and look whether it is what was written, as far as it tells.

    OpenCV refuses what is truncated or has a wrong checksum. Pillow, which reads
    labels, does not look at the checksums of a PNG's pixels or at its end.

    Raises:
        BadFile: the file is missing, empty, or a PNG that is not what was written.
    """
    try:
        content = fileio.get(path, backend_args=backend_args)
    except FileNotFoundError as error:
        reason = ', it does not exist: add the file or correct the path'
        raise cannot_read(path, 'missing file', reason) from error
    except Exception as error:
        reason = f' ({one_line(error)}): give a readable file'
        raise cannot_read(path, 'unreadable file', reason) from error
    if not content:
        raise cannot_read(path, 'empty file', ', it is empty (0 bytes): get it again')
    if content.startswith(PNG_SIGNATURE) and not is_whole_png(content):
        raise cannot_read(path, *DAMAGED)
    return content


def is_whole_png(content: bytes) -> bool:
    """Whether all chunks of a PNG are there and have their checksums."""
    view, start, kind = memoryview(content), len(PNG_SIGNATURE), b''
    while kind != b'IEND':
        try:
            length, kind = struct.unpack_from('>I4s', view, start)
            end = start + 8 + length
            (checksum,) = struct.unpack_from('>I', view, end)
        except struct.error:
            return False
        if crc32(view[start + 4 : end]) != checksum:
            return False
        start = end + 4
    return True


def decode(path: str | Path, content: bytes, flag: str, backend: str) -> np.ndarray:
    """Pixels of an image, (H, W) or (H, W, C); the rest as in :func:`mmcv.imfrombytes`.

    Raises:
        BadFile: no image comes out.
    """
    try:
        pixels = mmcv.imfrombytes(content, flag, backend=backend)
        if pixels is None:
            raise ValueError('no image comes out')
        return pixels
    except Exception as error:
        raise undecodable(path, content, backend, error) from error


def undecodable(
    path: str | Path, content: bytes, backend: str, error: Exception
) -> BadFile:
    """Why no image came out of a file, and ``error`` instead."""
    try:
        Image.open(io.BytesIO(content)).load()
    except Image.UnidentifiedImageError:
        return cannot_read(path, 'no image', ', it is no image: replace it')
    except Image.DecompressionBombError as bomb:
        reason = f', it is huge ({bomb}): cut it into tiles'
        return cannot_read(path, 'huge image', reason)
    except Exception:
        return cannot_read(path, *DAMAGED)
    reason = f', {backend} cannot decode it ({one_line(error)}): convert it to PNG'
    return cannot_read(path, 'unreadable file', reason)


def header_of(content: bytes) -> ImageFile | None:
    """Read the header of an image; None where another library than Pillow must."""
    try:
        return Image.open(io.BytesIO(content))
    except Exception:
        return None


def orientation_of(header: ImageFile) -> int:
    """How EXIF turns or mirrors an image; 1 is upright, above 4 it lies on its side."""
    # Without this, Pillow would decode a PNG to see what follows its pixels.
    return header.getexif().get(EXIF_ORIENTATION, 1) if 'exif' in header.info else 1
