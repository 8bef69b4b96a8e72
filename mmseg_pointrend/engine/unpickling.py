"""What a checkpoint may hold: plain values, tensors and MMEngine's logs.

torch's ``weights_only`` calls nothing that is not allowed. But what must be allowed for
MMEngine's logs (``getattr``, numpy's arrays and types) would give a crafted file memory
that it chose. So a file is read in two steps: its calls become records of their
arguments, and :func:`checked` makes from them what they stand for, or refuses.
"""

from __future__ import annotations

import pickle
from _codecs import encode
from collections import Counter, OrderedDict
from math import prod
from typing import Any

import numpy as np
import torch
from mmengine.logging import HistoryBuffer
from torch import Tensor
from torch.nn import Parameter

PLAIN = {
    *(type(None), bool, int, float, complex, str, bytes, bytearray),
    *(torch.Size, torch.dtype, torch.device),
}
NUMBERS = {'b1', *(kind + size for kind in 'iu' for size in '1248'), 'f2', 'f4', 'f8'}
HISTORY_METHODS = {'min', 'max', 'current', 'mean'}


class Record:
    """A call that a checkpoint asks for, and the state that it gives to the result."""

    __slots__ = ('arguments', 'state')
    arguments: tuple
    state: Any
    name = 'numpy.ndarray'

    def __new__(cls, *arguments: Any) -> Record:
        record = super().__new__(cls)
        record.arguments, record.state = arguments, None
        return record

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def made(self) -> Any:
        """Make what the call stands for.

        Raises:
            pickle.UnpicklingError: MMEngine's checkpoints make no such call.
        """
        raise refused(self.name)

    def check(self, condition: bool) -> None:
        """Refuse the call unless a condition holds."""
        if not condition:
            raise refused(self.name)


class Dtype(Record):
    """``numpy.dtype(code)``, of numbers."""

    __slots__ = ()
    name = 'numpy.dtype'

    def made(self) -> np.dtype:
        code, *_ = self.arguments
        self.check(type(code) is str and code in NUMBERS)
        state = self.state or (3, '|', None, None, None, -1, -1, 0)
        _, order, *rest = state
        self.check(order in ('<', '>', '|', '='))
        self.check(rest == [None, None, None, -1, -1, 0])
        return np.dtype(code).newbyteorder(order)


class Array(Record):
    """``_reconstruct(numpy.ndarray, ...)``, whose state is the array."""

    __slots__ = ()

    def made(self) -> np.ndarray:
        self.check(type(self.state) is tuple and len(self.state) == 5)
        _, shape, dtype, is_fortran, values = self.state
        self.check(type(shape) is tuple and all(type(side) is int for side in shape))
        self.check(min(shape, default=0) >= 0)
        return array_of(self, values, dtype, shape, 'F' if is_fortran else 'C')


class Number(Record):
    """``scalar(dtype, value)``."""

    __slots__ = ()
    name = 'numpy.dtype'

    def made(self) -> Any:
        self.check(len(self.arguments) == 2)
        dtype, value = self.arguments
        return array_of(self, value, dtype, (), 'C')[()]


class Bytes(Record):
    """``bytes()``, the values of an empty array."""

    __slots__ = ()
    name = 'bytes'

    def made(self) -> bytes:
        self.check(self.arguments == () and self.state is None)
        return b''


class Method(Record):
    """``getattr(HistoryBuffer, name)``, a statistic, which the class has anyway."""

    __slots__ = ()
    name = 'getattr'

    def made(self) -> None:
        self.check(len(self.arguments) == 2)
        owner, name = self.arguments
        self.check(owner is History and type(name) is str and name in HISTORY_METHODS)


class History(Record):
    """A ``HistoryBuffer``: what was logged, and over how many samples each."""

    __slots__ = ()
    name = 'HistoryBuffer'

    def made(self) -> HistoryBuffer:
        self.check(self.arguments == () and type(self.state) is dict)
        state = checked(self.state)
        logs = [state.get(key) for key in ('_log_history', '_count_history')]
        self.check(all(type(log) is np.ndarray and log.ndim == 1 for log in logs))
        self.check(len(logs[0]) == len(logs[1]))
        length = state.get('max_length')
        self.check(type(length) is int)
        return HistoryBuffer(*logs, max_length=length)


def array_of(
    record: Record, values: Any, dtype: Any, shape: tuple[int, ...], order: str
) -> np.ndarray:
    """Make an array in the machine's byte order of the very bytes in a file."""
    record.check(type(dtype) is Dtype)
    kind = dtype.made()
    values = values.made() if type(values) is Bytes else values
    record.check(type(values) is bytes and len(values) == prod(shape) * kind.itemsize)
    array: np.ndarray = np.ndarray(shape, kind, values, order=order)  # type: ignore
    return array.astype(kind.newbyteorder('='))


def checked(value: Any, known: dict[int, Any] | None = None) -> Any:
    """Make what the records in a checkpoint stand for.

    Args:
        value: what ``torch.load(weights_only=True)`` has returned.
        known: results by the ``id`` of what they were made from.

    Returns:
        The same, of dictionaries, lists, tuples, sets, plain values, tensors, arrays
        and ``HistoryBuffer``. Of attributes that the file gives to tensors and
        dictionaries only the ``_metadata`` of state dicts is left: numpy, for one,
        would take ``__array_interface__`` for memory.

    Raises:
        pickle.UnpicklingError: there is anything else.
    """
    known = {} if known is None else known
    kind = type(value)
    if kind in PLAIN:
        return value
    if id(value) in known:
        return known[id(value)]
    result: Any
    if kind in (Tensor, Parameter):
        result = Tensor.detach(value)
    elif kind in (dict, OrderedDict, Counter):
        result = kind()
        for key, entry in kind.items(value):
            result[checked(key, known)] = checked(entry, known)
        if kind is OrderedDict and '_metadata' in vars(value):
            result._metadata = checked(vars(value)['_metadata'], known)
    elif kind in (list, tuple, set):
        result = kind(checked(entry, known) for entry in value)
    elif issubclass(kind, Record):
        result = value.made()
    else:
        raise refused(f'{kind.__module__}.{kind.__qualname__}')
    known[id(value)] = result
    return result


def refused(name: str) -> pickle.UnpicklingError:
    """Write the error for something that MMEngine's checkpoints do not hold."""
    return pickle.UnpicklingError(f'the file asks {name}, as no MMEngine checkpoint')


ARRAYS: dict[str, type[Record]] = {
    'numpy.ndarray': Record,
    'numpy.dtype': Dtype,
    **{
        f'numpy.{core}.multiarray.{name}': kind
        for core in ('core', '_core')
        for name, kind in (('_reconstruct', Array), ('scalar', Number))
    },
}
"""What numpy's arrays and numbers ask for, and the records made instead."""


class ArrayUnpickler(pickle.Unpickler):
    """Reads a pickle of plain values and numpy arrays, as records."""

    def find_class(self, module: str, name: str) -> Any:
        """Find what may be called.

        Raises:
            pickle.UnpicklingError: it is no part of an array.
        """
        asked = f'{module}.{name}'
        if asked == '_codecs.encode':  # bytes, in pickles that Python 2 can read
            return encode
        if asked not in ARRAYS:
            raise refused(asked)
        return ARRAYS[asked]


def allow_mmengine_checkpoints() -> None:
    """Let ``torch.load(weights_only=True)`` read MMEngine's checkpoints, as records."""
    torch.serialization.add_safe_globals(
        [
            (History, 'mmengine.logging.history_buffer.HistoryBuffer'),
            (Method, 'builtins.getattr'),
            (Bytes, 'builtins.bytes'),
            *((kind, name) for name, kind in ARRAYS.items()),
        ]
    )
