"""Time, memory and arithmetic of a call."""

from __future__ import annotations

import gc
import os
import random
import time
import warnings
from collections.abc import Callable, Mapping

import torch
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

Call = Callable[[], object]


def seconds(call: Call, device: str) -> float:
    """Time a call, on CUDA from an idle device to an idle device."""
    wait = torch.cuda.synchronize if device == 'cuda' else lambda: None
    wait()
    start = time.perf_counter()
    call()
    wait()
    return time.perf_counter() - start


def warm_up(
    calls: Mapping[str, Call], times: int
) -> tuple[dict[str, Call], dict[str, str]]:
    """Call everything some times, so that caches are filled and compilers done.

    Returns:
        The calls that work, and what was wrong with the others, in a line.
    """
    failed = {}
    for name, call in calls.items():
        try:
            with warnings.catch_warnings():
                # What goes on uncompiled must not be timed as compiled.
                warnings.filterwarnings('error', message='torch.compile failed')
                for _ in range(times):
                    call()
        except (RuntimeError, UserWarning) as error:
            failed[name] = f'{type(error).__name__}: {error}'.splitlines()[0]
    return {name: calls[name] for name in calls if name not in failed}, failed


def time_in_turn(
    calls: Mapping[str, Call], repeat: int, device: str
) -> dict[str, list[float]]:
    """Time calls in turn, in a new order each round.

    A machine that slows down slows all of them, and none always follows the same one.

    Returns:
        ``repeat`` times of each call, seconds.
    """
    shuffle = random.Random(0).shuffle
    times: dict[str, list[float]] = {name: [] for name in calls}
    order = list(calls)
    for _ in range(repeat):
        shuffle(order)
        for name in order:
            times[name].append(seconds(calls[name], device))
    return times


def peak_bytes(call: Call, device: str) -> int:
    """Find the most memory that a call holds beyond what was held before it.

    What the call returns counts, its inputs and the model do not. On CUDA the caching
    allocator tells. On the CPU torch's profiler reports each block that its allocator
    hands out or gets back, also inside of an operator and in compiled kernels, and the
    peak of their running sum is returned; what libraries such as oneDNN take from the
    system by themselves is not seen.
    """
    gc.collect()
    if device == 'cuda':
        torch.cuda.synchronize()
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        call()
        torch.cuda.synchronize()
        return torch.cuda.max_memory_allocated() - before
    # The profiler announces itself on stderr otherwise.
    os.environ.setdefault('KINETO_LOG_LEVEL', '99')
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as record:
        call()
    assert record.profiler is not None
    results = record.profiler.kineto_results
    assert results is not None
    blocks = [event for event in results.events() if event.name() == '[memory]']
    held = peak = 0
    for block in sorted(blocks, key=lambda event: event.start_ns()):
        held += block.nbytes()
        peak = max(peak, held)
    return peak


def flops(call: Call) -> int:
    """Count floating-point operations of convolutions and matrix products."""
    counter = FlopCounterMode(display=False)
    with counter:
        call()
    return counter.get_total_flops()
