"""What a checkpoint may hold beside tensors: MMEngine's logs, made of numbers.

Every name that MMEngine's checkpoints ask for is answered by a stand-in. The real ones
would give a crafted file any function, or memory that it chose.
"""

from __future__ import annotations

import pickle
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from mmengine.logging import HistoryBuffer

HISTORY_METHODS = ('min', 'max', 'current', 'mean')


def history_buffer_method(owner: type, name: str) -> Callable[..., Any]:
    """What a checkpoint's ``builtins.getattr`` becomes: HistoryBuffer's methods only.

    Raises:
        pickle.UnpicklingError: anything else is asked for.
    """
    if owner is not HistoryBuffer or name not in HISTORY_METHODS:
        raise not_of_mmengine('getattr', repr((owner, name)))
    return getattr(HistoryBuffer, name)


class CheckpointDtype:
    """What a checkpoint's ``numpy.dtype`` becomes: a type of numbers, and no other.

    The real class takes flags and fields from the file, and with them numpy takes
    bytes of the file for the addresses of objects.

    Attributes:
        dtype: the type of numbers.
    """

    def __init__(self, code: str, *_: Any) -> None:
        if not re.fullmatch('[biuf][1248]', str(code)):
            raise not_of_mmengine('numpy.dtype', repr(code))
        self.dtype = np.dtype(code)

    def __setstate__(self, state: tuple) -> None:
        _, order, *rest = state
        if rest != [None, None, None, -1, -1, 0]:
            raise not_of_mmengine('numpy.dtype', repr(rest))
        self.dtype = self.dtype.newbyteorder(order)


class CheckpointArray(np.ndarray):
    """What a checkpoint's ``numpy.ndarray`` becomes.

    Called with a buffer, the real class makes arrays of pointers that the file chose.
    Numpy's own unpickling never calls it.
    """

    def __new__(cls, *args: Any, **kwargs: Any) -> CheckpointArray:
        raise not_of_mmengine('numpy.ndarray', 'its constructor')

    def __setstate__(self, state: tuple) -> None:
        version, shape, dtype, is_fortran, values = state
        if type(dtype) is not CheckpointDtype:
            raise not_of_mmengine('numpy.ndarray', repr(dtype))
        super().__setstate__((version, shape, dtype.dtype, is_fortran, values))

    def __reduce__(self) -> Any:
        return self.view(np.ndarray).__reduce__()


def empty_array(owner: type, shape: tuple, code: bytes) -> CheckpointArray:
    """What a checkpoint's ``_reconstruct`` becomes; the array's state follows."""
    return np.ndarray.__new__(CheckpointArray, 0, np.int8)


def number(dtype: CheckpointDtype, value: bytes) -> Any:
    """What a checkpoint's ``scalar`` becomes."""
    if type(dtype) is not CheckpointDtype:
        raise not_of_mmengine('numpy.dtype', repr(dtype))
    return np.frombuffer(value, dtype.dtype)[0]


def not_of_mmengine(name: str, what: str) -> pickle.UnpicklingError:
    """The error for a use of a name that MMEngine's checkpoints do not make."""
    return pickle.UnpicklingError(
        f'the file asks {name} for {what}, which no MMEngine checkpoint does'
    )


def allow_mmengine_checkpoints() -> None:
    """Let ``torch.load(weights_only=True)`` read MMEngine's own checkpoints.

    They hold log histories (numpy arrays in ``HistoryBuffer``) beside the weights.
    """
    modules = ('numpy.core.multiarray', 'numpy._core.multiarray')
    torch.serialization.add_safe_globals(
        [
            HistoryBuffer,
            (history_buffer_method, 'builtins.getattr'),
            (CheckpointArray, 'numpy.ndarray'),
            (CheckpointDtype, 'numpy.dtype'),
            *((empty_array, f'{module}._reconstruct') for module in modules),
            *((number, f'{module}.scalar') for module in modules),
        ]
    )
