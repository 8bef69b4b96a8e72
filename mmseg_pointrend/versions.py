"""Refuses versions of Python and of libraries that this package cannot run on.

Importing this module must come before that of other modules of the package.
"""

from __future__ import annotations

import sys

import mmcv
import mmengine
import numpy as np
import torch
from mmengine.utils import digit_version

TORCH_MIN = '2.10.0'
NUMPY_BELOW = '2.4.0'


def check_torch_version(version: str = torch.__version__) -> None:
    """Refuse a torch whose ``weights_only`` does not protect.

    Raises:
        ImportError: ``version`` is below 2.10.0.
    """
    if digit_version(version.partition('+')[0]) < digit_version(TORCH_MIN):
        raise ImportError(
            f'torch {version} is too old: before {TORCH_MIN} a checkpoint can run code '
            f"as it is loaded (CVE-2026-24747): pip install 'torch>={TORCH_MIN}'."
        )


def check_numpy_version(version: str = np.__version__) -> None:
    """Refuse a numpy without what cityscapesScripts 2.3.0 calls (``np.in1d``).

    Raises:
        ImportError: ``version`` is 2.4.0 or newer.
    """
    if digit_version(version) >= digit_version(NUMPY_BELOW):
        raise ImportError(
            f'numpy {version} is too new for cityscapesScripts: '
            f"pip install 'numpy<{NUMPY_BELOW}'."
        )


def check_mmcv_version() -> None:
    """Ask MMSegmentation whether it accepts the installed MMCV and MMEngine.

    Raises:
        ImportError: it refuses one of them.
    """
    try:
        import mmseg  # noqa: F401
    except AssertionError as error:
        raise ImportError(
            f'mmcv {mmcv.__version__} with mmengine {mmengine.__version__} does not '
            'work with the installed mmsegmentation: pip install mmcv-lite==2.1.0 '
            'mmengine==0.10.7 mmsegmentation==1.2.2.'
        ) from error


if sys.version_info < (3, 10):  # noqa: UP036  (an import without pip)
    raise ImportError(
        f'Python {sys.version.split()[0]} is too old: make an environment with '
        'Python 3.10 or newer.'
    )
check_torch_version()
check_numpy_version()
check_mmcv_version()
