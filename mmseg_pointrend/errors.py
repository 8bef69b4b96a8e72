"""Errors a user can mend, and how the command line shows them."""

from __future__ import annotations

import errno
import logging
import re
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager

from mmseg_pointrend.failures import sentence_of


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
def exit_with_sentence(say: Callable[[str], str] = str) -> Iterator[None]:
    """Turn an :class:`InputError` into ``error: <sentence>`` and exit status 1.

    An error from a data loader's worker process arrives with that process's
    traceback in its message; the sentence is the last line. A full disk, a missing
    file and a place that must not be read or written can be mended by users, too, and
    so can what :mod:`mmseg_pointrend.failures` knows, whose traceback goes to the log.
    Other errors pass.

    Args:
        say: makes of the sentence what is printed.
    """
    try:
        yield
        return
    except InputError as error:
        last_line = str(error).strip().splitlines()[-1]
        sentence = re.sub(r'^mmseg_pointrend\.[\w.]+: ', '', last_line)
    except Exception as error:
        known = sentence_of(error)
        fix = fix_of(error) if isinstance(error, OSError) else None
        if known:
            log_traceback(error)
            sentence = known
        elif fix:
            last_line = str(error).strip().splitlines()[-1]
            sentence = f'{last_line}: {fix}.'
        else:
            raise
    print(f'error: {say(sentence)}', file=sys.stderr)
    raise SystemExit(1)


def log_traceback(error: Exception) -> None:
    """Write the traceback into the log file of the run; without one, print it."""
    # Rendering, which needs torch alone, imports this module.
    from mmengine.logging import MMLogger

    trace = type(error), error, error.__traceback__
    keys = dict(levelno=logging.INFO, name=__name__, msg='Failed', exc_info=trace)
    handlers = MMLogger.get_current_instance().handlers
    files = [one for one in handlers if isinstance(one, logging.FileHandler)]
    for file in files:
        file.emit(logging.makeLogRecord(keys))
        print(f'the traceback is in {file.baseFilename}', file=sys.stderr)
    if not files:
        traceback.print_exception(error)
