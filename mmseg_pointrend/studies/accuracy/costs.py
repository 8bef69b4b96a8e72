"""What a prediction costs: arithmetic and time of several models, in turn."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from functools import partial
from statistics import median
from typing import Any

import torch
from mmengine.runner import Runner

from mmseg_pointrend.engine.runner import unwrapped
from mmseg_pointrend.studies.speed.meters import Call, flops, time_in_turn, warm_up


@torch.no_grad()
def measure_costs(
    runners: Mapping[str, Runner], *, repeat: int = 11
) -> dict[str, dict[str, float]]:
    """FLOPs and seconds of ``test_step`` on the first image of the test set.

    Args:
        runners: with models that have their weights, by name.
        repeat: how often each is timed.

    Returns:
        ``'gflops'`` (convolutions and matrix products, a multiplication and an addition
        are two) and ``'seconds'`` (median) of each.
    """
    batch = next(iter(next(iter(runners.values())).test_dataloader))

    def predict(model: Any) -> None:
        model.test_step(deepcopy(batch))

    models = {name: unwrapped(runner.model) for name, runner in runners.items()}
    calls: dict[str, Call] = {
        name: partial(predict, model) for name, model in models.items()
    }
    calls, failed = warm_up(calls, 2)
    if failed:
        raise RuntimeError('; '.join(f'{key}: {why}' for key, why in failed.items()))
    device = next(iter(models.values())).data_preprocessor.device.type
    times = time_in_turn(calls, repeat=repeat, device=device, seed=0)
    return {
        name: dict(gflops=flops(call) / 1e9, seconds=median(times[name]))
        for name, call in calls.items()
    }
