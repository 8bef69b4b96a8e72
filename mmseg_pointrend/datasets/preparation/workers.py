"""Worker processes with a progress bar."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import TypeVar

from rich.progress import track

from mmseg_pointrend.errors import InputError

Item = TypeVar('Item')
Result = TypeVar('Result')


def run_in_workers(
    function: Callable[[Item], Result],
    items: Sequence[Item],
    *,
    workers: int,
    description: str,
) -> list[Result]:
    """Call ``function`` on every item in processes that end with this one.

    Args:
        function: a function of a module, so that it can be pickled.
        items: one or more.
        workers: number of processes, 1 or more.
        description: shown beside the progress bar.

    Returns:
        The results in the order of ``items``.

    Raises:
        InputError: ``workers`` is below 1, or a worker was killed. What ``function``
            raises is raised, too.
    """
    if workers < 1:
        raise InputError(f'workers is {workers}: give 1 or more.')
    # A spawned worker would import this package, and PyTorch with it.
    context = multiprocessing.get_context('fork' if sys.platform == 'linux' else None)
    pool = ProcessPoolExecutor(
        min(workers, len(items)), mp_context=context, initializer=_start_worker
    )
    try:
        with interrupts_held():  # here the processes are started
            futures = [pool.submit(function, item) for item in items]
        results = []
        # In order: a Ctrl-C while as_completed takes the locks of all futures would
        # leave some locked, and the pool waiting for them. A loop, because a
        # comprehension's frame would keep track and its thread alive on an error.
        for future in track(futures, description):
            results.append(future.result())
        return results
    except BrokenProcessPool as error:
        raise InputError(
            'a worker process was killed, perhaps for want of memory: run again with '
            f'fewer --workers than {workers}, what is made is kept.'
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


@contextmanager
def interrupts_held() -> Iterator[None]:
    """Take a Ctrl-C only afterwards, and never in processes forked meanwhile."""
    if not hasattr(signal, 'pthread_sigmask'):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _start_worker() -> None:
    """Leave Ctrl-C to the parent and end with it, however it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
