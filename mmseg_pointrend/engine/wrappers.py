"""What MMEngine wraps around a model."""

from __future__ import annotations

from typing import Any

from mmengine._strategy import DDPStrategy, SingleDeviceStrategy
from mmengine.model import BaseTTAModel, is_model_wrapper
from mmengine.runner import Runner


def is_whole(runner: Any) -> bool:
    """Tell whether every process holds the whole model."""
    kinds = SingleDeviceStrategy, DDPStrategy
    return isinstance(runner, Runner) or type(runner.strategy) in kinds


def unwrapped(model: Any) -> Any:
    """Take a model out of what MMEngine wraps around it.

    Args:
        model: wrapped for several processes or test-time augmentation, or not.
    """
    while is_model_wrapper(model) or isinstance(model, BaseTTAModel):
        model = model.module
    return model
