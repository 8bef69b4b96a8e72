"""What an optimizer is given."""

from __future__ import annotations

from mmengine.optim import DefaultOptimWrapperConstructor, OptimWrapper
from mmseg.registry import OPTIM_WRAPPER_CONSTRUCTORS
from torch import nn


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class LearningParametersConstructor(DefaultOptimWrapperConstructor):
    """MMEngine's constructor, for an optimizer of the parameters that learn alone.

    MMEngine's own gives those that are frozen to the optimizer, too, so that
    checkpoints number them and schedules change their rates.
    """

    def __call__(self, model: nn.Module) -> OptimWrapper:
        """Build the optimizer and drop what does not learn from its groups."""
        wrapper = super().__call__(model)
        groups = wrapper.optimizer.param_groups
        for group in groups:
            group['params'] = [one for one in group['params'] if one.requires_grad]
        groups[:] = [group for group in groups if group['params']]
        return wrapper
