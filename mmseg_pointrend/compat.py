"""Workarounds for the library versions this project runs on; nothing else.

Importing this module must come before the first ``import mmseg``.
"""

from __future__ import annotations

import importlib.util
import pickle
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, NoReturn
from urllib.error import URLError

import mmcv
import numpy as np
import torch
from mmcv.utils import ext_loader
from mmengine.logging import HistoryBuffer
from mmengine.runner.checkpoint import (
    CheckpointLoader,
    load_from_http,
    load_from_openmmlab,
)
from mmengine.utils import digit_version

from mmseg_pointrend.errors import InputError

MMCV_MIN, MMCV_BELOW = '2.0.0rc4', '2.2.0'
HISTORY_METHODS = ('min', 'max', 'current', 'mean')


def check_mmcv_version(version: str = mmcv.__version__) -> None:
    """Refuse an mmcv that mmsegmentation 1.2.2 refuses, with the fix.

    Raises:
        ImportError: ``version`` is outside [2.0.0rc4, 2.2.0).
    """
    current = digit_version(version)
    if not digit_version(MMCV_MIN) <= current < digit_version(MMCV_BELOW):
        raise ImportError(
            f'mmcv {version} does not work with mmsegmentation, which needs '
            f'mmcv >= {MMCV_MIN} and < {MMCV_BELOW}: '
            'pip install mmcv-lite==2.1.0 (or mmcv==2.1.0).'
        )


class MissingOps:
    """Stands in for ``mmcv._ext``: every op exists and says why it cannot run."""

    def __getattr__(self, name: str) -> Callable[..., NoReturn]:
        def missing(*args: Any, **kwargs: Any) -> NoReturn:
            raise RuntimeError(
                f'the op {name!r} needs the compiled mmcv: '
                'pip uninstall mmcv-lite, then pip install mmcv==2.1.0.'
            )

        return missing


def allow_mmcv_lite() -> None:
    """Let ``import mmseg.models`` pass with mmcv-lite.

    mmseg imports ``mmcv.ops``, whose modules load the compiled ``mmcv._ext`` at
    import time although mmseg's models need none of it here. ``sys.modules`` stays
    untouched: MMEngine probes it to tell mmcv from mmcv-lite.
    """
    if importlib.util.find_spec('mmcv._ext') is None:
        ext_loader.load_ext = lambda name, funcs: MissingOps()


def history_buffer_method(owner: type, name: str) -> Callable[..., Any]:
    """What a checkpoint's ``builtins.getattr`` becomes: HistoryBuffer's methods only.

    Raises:
        pickle.UnpicklingError: anything else is asked for.
    """
    if owner is not HistoryBuffer or name not in HISTORY_METHODS:
        raise pickle.UnpicklingError(
            f'the file asks for getattr({owner!r}, {name!r}), '
            'which no MMEngine checkpoint does'
        )
    return getattr(HistoryBuffer, name)


def allow_mmengine_checkpoints() -> None:
    """Let ``torch.load(weights_only=True)`` read MMEngine's own checkpoints.

    They hold log histories (numpy arrays in ``HistoryBuffer``) beside the weights.
    The real ``getattr`` is never allowed: it would give a crafted file any function.
    """
    numpy_core = np._core if hasattr(np, '_core') else np.core
    torch.serialization.add_safe_globals(
        [
            HistoryBuffer,
            (history_buffer_method, 'builtins.getattr'),
            (numpy_core.multiarray._reconstruct, 'numpy.core.multiarray._reconstruct'),
            (numpy_core.multiarray.scalar, 'numpy.core.multiarray.scalar'),
            numpy_core.multiarray._reconstruct,
            numpy_core.multiarray.scalar,
            np.ndarray,
            np.dtype,
            *(type(np.dtype(code)) for code in ('f2', 'f4', 'f8', '?')),
            *(type(np.dtype(sign + size)) for sign in 'iu' for size in '1248'),
        ]
    )


def load_from_local(filename: str, map_location: Any = None) -> dict[str, Any]:
    """Read a checkpoint file without unpickling arbitrary objects.

    Args:
        filename: path of a ``.pth`` file.
        map_location: as in :func:`torch.load`.

    Raises:
        InputError: the file is missing, is no checkpoint, or holds objects that are
            neither tensors nor what MMEngine stores.
    """
    path = Path(filename).expanduser()
    if not path.is_file():
        raise InputError(
            f'checkpoint {filename} does not exist: check the path '
            '(training writes iter_*.pth and last_checkpoint into its work_dir).'
        )
    try:
        return torch.load(path, map_location=map_location, weights_only=True)
    except pickle.UnpicklingError as error:
        detail = str(error).replace('Weights only load failed', '').strip(' .')
        reason = detail.splitlines()[0] if detail else 'unreadable'
        if 'getattr' in detail:
            reason = 'it asks for getattr on an object of its choice'
        elif 'GLOBAL' in detail:
            start = detail.index('GLOBAL')
            reason = f'it asks for {detail[start:].split()[1]}'
        raise InputError(
            f'{filename} is not a checkpoint that is safe to load ({reason}): '
            'give a file written by MMEngine or a plain state dict.'
        ) from error
    except (EOFError, RuntimeError, ValueError, KeyError, OSError) as error:
        raise InputError(
            f'{filename} is not a readable checkpoint (truncated or another kind of '
            f'file; {type(error).__name__}): give a .pth file written by torch.save.'
        ) from error


def explain_download_errors(
    loader: Callable[..., dict[str, Any]],
) -> Callable[..., dict[str, Any]]:
    """Wrap a checkpoint loader of MMEngine so that it says how to go on offline."""

    @wraps(loader)
    def explain(filename: str, map_location: Any = None) -> dict[str, Any]:
        try:
            return loader(filename, map_location=map_location)
        except (URLError, ConnectionError, TimeoutError) as error:
            raise InputError(
                f'cannot download {filename} ({error}): put the file on this machine '
                'and pass --cfg-options model.pretrained=FILE, '
                'or start from random weights with model.pretrained=None.'
            ) from error

    return explain


def use_safe_checkpoint_loaders() -> None:
    """Put the two loaders above in MMEngine's table of checkpoint schemes."""
    for prefixes, loader in (
        (('http://', 'https://'), explain_download_errors(load_from_http)),
        (
            ('open-mmlab://', 'openmmlab://'),
            explain_download_errors(load_from_openmmlab),
        ),
        (('',), load_from_local),
    ):
        CheckpointLoader.register_scheme(prefixes, loader, force=True)


check_mmcv_version()
allow_mmcv_lite()
allow_mmengine_checkpoints()
use_safe_checkpoint_loaders()
