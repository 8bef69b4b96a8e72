"""What happens when a loss is no number."""

from __future__ import annotations

from math import isfinite
from typing import Any

import torch
from mmengine.dist import all_gather_object, all_reduce
from mmengine.hooks import Hook
from mmengine.optim import AmpOptimWrapper, OptimWrapperDict
from mmengine.runner import Runner
from mmseg.registry import HOOKS
from torch import Tensor
from torch.nn.utils import get_total_norm

from mmseg_pointrend.engine.checkpoints import last_good_checkpoint
from mmseg_pointrend.engine.wrappers import unwrapped
from mmseg_pointrend.errors import InputError


@HOOKS.register_module()
class InvalidLossHook(Hook):
    """Keep NaN and infinity out of the model: stop the training or skip iterations.

    An iteration is invalid if a loss or, where it updates the model, a gradient is not
    finite on any process. It changes neither weights nor buffers (the statistics of
    BatchNorm among them), and gradients accumulated with it are dropped. Gradients
    that ``AmpOptimWrapper`` has scaled too far are no fault: it skips the update and
    scales them less. Of several optimizers (``OptimWrapperDict``) each drops its own
    gradients; what another has updated in that iteration stays.

    Args:
        max_skips: how many iterations in a row may be invalid; one more stops the
            training. 0 stops it at the first.
    """

    priority = 'HIGH'

    def __init__(self, max_skips: int = 0) -> None:
        self.max_skips = max_skips
        self.skipped = 0
        self.gradients_are_finite = True
        self.buffers: list[Tensor] = []

    def before_train(self, runner: Runner) -> None:
        """Look at gradients before each update."""
        wrapper = runner.optim_wrapper
        several = isinstance(wrapper, OptimWrapperDict)
        for one in wrapper.optim_wrappers.values() if several else [wrapper]:
            if not isinstance(one, AmpOptimWrapper):
                one.optimizer.register_step_pre_hook(self._check_gradients)

    def _check_gradients(self, optimizer: torch.optim.Optimizer, *_: Any) -> None:
        """Drop gradients that are not finite; the optimizer then changes nothing.

        With FSDP each process has some of the gradients, and they decide together.
        """
        gradients = [
            parameter.grad
            for group in optimizer.param_groups
            for parameter in group['params']
            if parameter.grad is not None
        ]
        if not everywhere(get_total_norm(gradients).isfinite()):
            self.gradients_are_finite = False
            optimizer.zero_grad()

    def before_train_iter(self, runner: Runner, *_: Any, **__: Any) -> None:
        """Keep the buffers as they are before the iteration."""
        self.gradients_are_finite = True
        if self.max_skips > 0:
            self.buffers = [one.clone() for one in unwrapped(runner.model).buffers()]

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any, outputs: dict
    ) -> None:
        """Stop or skip after an invalid iteration.

        Raises:
            InputError: more than ``max_skips`` iterations in a row are invalid.
        """
        losses = {name: loss.item() for name, loss in outputs.items() if 'loss' in name}
        if everywhere(isfinite(losses['loss']) and self.gradients_are_finite):
            self.skipped = 0
            return
        worst = min(all_gather_object(losses), key=lambda one: isfinite(one['loss']))
        described = ', '.join(f'{name} {loss:.4g}' for name, loss in worst.items())
        what = (
            f'the loss or a gradient is not finite at iteration {runner.iter + 1} '
            f'({described})'
        )
        if self.skipped == self.max_skips:
            good = last_good_checkpoint(runner.work_dir)
            raise InputError(
                f'{what}: lower the learning rate or look at the data, or skip such '
                'iterations by --cfg-options default_hooks.invalid_loss.max_skips=10; '
                + (
                    f'--resume goes on from {good[0]}, the last good checkpoint.'
                    if good
                    else 'there is no checkpoint yet.'
                )
            )
        self.skipped += 1
        runner.logger.warning(f'Skipped: {what}.')
        runner.optim_wrapper.zero_grad()
        with torch.no_grad():
            for buffer, before in zip(
                unwrapped(runner.model).buffers(), self.buffers, strict=True
            ):
                buffer.copy_(before)


def everywhere(condition: bool | Tensor) -> bool:
    """Tell whether a condition holds in every process."""
    holds = torch.as_tensor(condition).int()
    all_reduce(holds, op='min')
    return bool(holds)
