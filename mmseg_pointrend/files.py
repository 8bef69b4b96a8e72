"""Files that are written completely or not at all."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mmseg_pointrend.errors import InputError


@contextmanager
def atomic_write(path: str | Path) -> Iterator[Path]:
    """Write a file beside its place, force it to the disk, then rename it::

        with atomic_write('labels.png') as temporary:
            temporary.write_bytes(content)

    A writer that hides a full disk (``cv2.imwrite`` answers False, ``torch.save`` to a
    path raises no ``OSError``) should write into memory first.

    Args:
        path: of the file; its folder is made if it is missing.

    Yields:
        A hidden path in the same folder and with the same suffix. Whatever ends the
        block with an exception, it is removed and an older file of the name stays.

    Raises:
        InputError: the file cannot be written, most often because the disk is full.
    """
    path = Path(path).resolve()
    temporary = path.with_name(f'.{path.stem}.{os.getpid()}.tmp{path.suffix}')
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield temporary
            with temporary.open('rb+') as file:
                os.fsync(file.fileno())
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        room = ''
        if path.parent.is_dir():
            room = f' {shutil.disk_usage(path.parent).free / 1e6:.1f} MB are free;'
        raise InputError(
            f'cannot write {path} ({error.strerror or error}):{room} mend that and run '
            'this again, a training with --resume: what was written before is intact.'
        ) from error
