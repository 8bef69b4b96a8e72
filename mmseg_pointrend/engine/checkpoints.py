"""Which checkpoint a training goes on from; safe_loading.py is how files are read."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import Any
from zipfile import ZipFile

from mmengine.runner import CheckpointLoader

POINTER = 'last_checkpoint'
"""The file of a work dir in which MMEngine names the latest checkpoint."""
NUMBERED = re.compile(r'(?:iter|epoch)_(\d+)\.pth')


def read_if_good(path: Path) -> dict[str, Any] | None:
    """Read the checkpoint of a training onto the CPU.

    Checksums are compared, too: PyTorch reads a file whose bytes have changed.

    Returns:
        Its content; None if the file is missing, damaged, or holds weights alone.
    """
    try:
        with ZipFile(path) as archive:
            if archive.testzip() is not None:
                return None
        content = CheckpointLoader.load_checkpoint(str(path), 'cpu', logger='silent')
    except Exception:  # zipfile's depend on which byte is wrong
        return None
    meta = content.get('meta')
    right = (
        isinstance(meta, dict)
        and type(meta.get('iter')) is int
        and type(meta.get('seed')) in (int, type(None))
        and 'message_hub' in content
    )
    return content if right else None


def newest_first(folder: Path) -> list[Path]:
    """List the numbered checkpoints of a folder."""
    numbered = {
        path: int(match[1])
        for path in folder.glob('*.pth')
        if (match := NUMBERED.fullmatch(path.name))
    }
    return sorted(numbered, key=lambda path: -numbered[path])


def last_good_checkpoint(work_dir: str | Path) -> tuple[Path, dict[str, Any]] | None:
    """Find the checkpoint from which a stopped training goes on.

    That is the one which ``last_checkpoint`` names. If it cannot be read, the one of
    the latest iteration that can takes its place, and standard error says so. Of a
    work dir that was copied or moved those inside it count, and not what
    ``last_checkpoint`` still names.

    Returns:
        The file and its content, on the CPU; None if no checkpoint can be read.
    """
    work_dir = Path(work_dir)
    pointer = work_dir / POINTER
    text = pointer.read_text(errors='replace') if pointer.is_file() else ''
    named = Path(text.replace('\0', '').strip())
    bad = [] if named.name else [f'{pointer} names no checkpoint']
    candidates = newest_first(work_dir)
    if named.name:
        # MMEngine's checkpoint hook can be told to write elsewhere (out_dir).
        elsewhere = named.is_absolute() and not candidates
        folder = named.parent if elsewhere else work_dir
        candidates = [folder / named.name, *newest_first(folder)]
    for path in dict.fromkeys(candidates):
        content = read_if_good(path)
        if content is not None:
            if bad:
                print(
                    f'warning: {"; ".join(bad)}; going on from {path}.', file=sys.stderr
                )
            return path, content
        fault = 'damaged or has weights alone' if os.path.exists(path) else 'missing'
        bad.append(f'{path} is {fault}')
    return None
