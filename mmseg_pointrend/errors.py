"""Errors a user can mend, and how the command line shows them."""

from __future__ import annotations

import errno
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager


class InputError(ValueError):
    """A wrong file, key or value; the message is one sentence with the fix."""


def name_some(names: Sequence[object]) -> str:
    """Name the first three, and how many more there are: ``a, b, c and 2 more``."""
    more = f' and {len(names) - 3} more' if len(names) > 3 else ''
    return ', '.join(map(str, names[:3])) + more


def one_line(error: Exception) -> str:
    """Write the type of an error and what it says, without line breaks."""
    return ' '.join(f'{type(error).__name__}: {error}'.split())


def check_arguments(rules: Iterable[tuple[bool, str, str]], key: str = '') -> None:
    """Refuse arguments that are out of their range.

    Args:
        rules: whether an argument is right, ``name=value``, and what to give instead.
        key: what stands before the name in a config, with a dot.

    Raises:
        InputError: names the first that is wrong.
    """
    for right, given, wanted in rules:
        if not right:
            raise InputError(f'{key}{given}: give {wanted}.')


def fix_of(error: OSError) -> str | None:
    """Say what a user can do about an error of the operating system, if anything."""
    # MMEngine raises errors of what it builds anew, with the class but not the number.
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return 'make room and run this again, a training with --resume'
    if isinstance(error, PermissionError) or error.errno == errno.EROFS:
        return 'change its permissions, or give another path'
    if isinstance(error, FileNotFoundError):
        return 'check the path'
    return None


@contextmanager
def exit_with_sentence() -> Iterator[None]:
    """Turn an :class:`InputError` into ``error: <sentence>`` and exit status 1.

    An error from a data loader's worker process arrives with that process's
    traceback in its message; the sentence is the last line. A full disk, a missing
    file and a place that must not be read or written can be mended by users, too.
    """
    try:
        yield
    except InputError as error:
        last_line = str(error).strip().splitlines()[-1]
        sentence = re.sub(r'^mmseg_pointrend\.[\w.]+: ', '', last_line)
    except OSError as error:
        fix = fix_of(error)
        if fix is None:
            raise
        last_line = str(error).strip().splitlines()[-1]
        sentence = f'{last_line}: {fix}.'
    else:
        return
    print(f'error: {sentence}', file=sys.stderr)
    raise SystemExit(1)
