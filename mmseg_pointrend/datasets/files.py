"""Files that are there, whole and decodable, or one sentence that says why not."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mmengine.fileio as fileio
from PIL import Image
from PIL.PngImagePlugin import PngImageFile

from mmseg_pointrend.errors import InputError, one_line

PNG_SIGNATURE = b'\x89PNG\r\n\x1a\n'
PNG_END = b'IEND\xaeB`\x82'


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


def read_whole(path: str | Path, backend_args: dict | None = None) -> bytes:
    """Read a file and look whether all of it is there.

    OpenCV refuses a truncated JPEG. Pillow, which reads labels, does not compare the
    checksums of a PNG's pixels and may decode others than were written, so they are
    compared here; as is its last one, without which OpenCV reads no PNG.

    Args:
        path: file name, or what MMEngine's file backends understand.
        backend_args: as in MMSegmentation's loading transforms.

    Raises:
        BadFile: the file is missing, empty, or a PNG that is not what was written.
    """
    if not isinstance(path, str | Path):
        raise BadFile(
            f'an image is a file name or an array (H, W, 3), not {type(path).__name__}:'
            ' convert it.',
            'unreadable file',
        )
    try:
        content = fileio.get(path, backend_args=backend_args)
    except FileNotFoundError as error:
        raise BadFile(
            f'cannot read {path}, it does not exist: add the file or correct the path.',
            'missing file',
        ) from error
    except Exception as error:
        raise BadFile(
            f'cannot read {path} ({type(error).__name__}: {error}): give a readable '
            'file.',
            'unreadable file',
        ) from error
    if not content:
        raise BadFile(
            f'cannot read {path}, it is empty (0 bytes): get it again.',
            'empty file',
        )
    if content.startswith(PNG_SIGNATURE):
        try:
            PngImageFile(io.BytesIO(content)).verify()
            if PNG_END not in content:
                raise EOFError('its end is missing')
        except Exception as error:
            raise BadFile(
                f'cannot read {path}, it is truncated or damaged ({error}): get '
                'it again.',
                'truncated or damaged file',
            ) from error
    return content


def decode(
    load: Callable[[dict], dict],
    results: dict[str, Any],
    key: str,
    backend: dict | None,
) -> dict[str, Any]:
    """Run a loading transform on a file that is whole.

    Args:
        load: from ``results`` to ``results`` with pixels.
        results: what MMSegmentation's pipeline passes on.
        key: where ``results`` has the file's name.
        backend: ``backend_args`` of the transform.

    Raises:
        BadFile: as in :func:`read_whole`, or the pixels cannot be decoded.
    """
    path = results[key]
    content = read_whole(path, backend)
    try:
        return load(results)
    except Exception as error:
        raise undecodable(path, content, error) from error


def undecodable(path: str | Path, content: bytes, error: Exception) -> BadFile:
    """Why no image came out of a file, and ``error`` instead."""
    try:
        Image.open(io.BytesIO(content)).load()
    except Image.UnidentifiedImageError:
        kind, reason, fix = 'no image', 'it is no image', 'replace it'
    except Image.DecompressionBombError as bomb:
        kind, reason, fix = 'huge image', f'it is huge ({bomb})', 'cut it into tiles'
    except Exception:
        kind, reason, fix = (
            'truncated or damaged file',
            'it is truncated or damaged',
            'get it again',
        )
    else:
        kind, reason, fix = (
            'unreadable file',
            f'its loading transform fails ({one_line(error)})',
            'convert it to PNG, or mend what the error names',
        )
    return BadFile(f'cannot read {path}, {reason}: {fix}.', kind)
