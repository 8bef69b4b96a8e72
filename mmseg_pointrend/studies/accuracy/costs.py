"""What a prediction costs: arithmetic and time of several models, in turn."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from functools import partial
from statistics import median

import torch
from mmengine.device import get_device
from mmengine.runner import Runner

from mmseg_pointrend.engine.wrappers import unwrapped
from mmseg_pointrend.studies.speed.meters import flops, time_in_turn

REPEAT = 11


@torch.no_grad()
def measure_costs(runners: Mapping[str, Runner]) -> dict[str, dict[str, float]]:
    """Measure ``test_step`` of models on the first image of the test set.

    Returns:
        ``'gflops'`` (convolutions and matrix products, a multiplication and an addition
        are two) and ``'seconds'`` (median) of each.
    """
    first = next(iter(runners.values()))
    batch = next(iter(first.test_dataloader))

    def predict(runner: Runner) -> None:
        unwrapped(runner.model).test_step(deepcopy(batch))

    calls = {name: partial(predict, runner) for name, runner in runners.items()}
    for call in calls.values():
        call()
    times = time_in_turn(calls, REPEAT, get_device())
    return {
        name: dict(gflops=flops(call) / 1e9, seconds=median(times[name]))
        for name, call in calls.items()
    }
