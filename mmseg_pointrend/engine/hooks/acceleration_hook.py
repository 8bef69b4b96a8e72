"""What makes a model faster between loading its weights and the first test image."""

from __future__ import annotations

from mmengine.hooks import EMAHook, Hook
from mmengine.runner import Runner

from mmseg_pointrend.engine.acceleration import compile_model, fuse_conv_bn
from mmseg_pointrend.errors import InputError


class AccelerationHook(Hook):
    """Accelerate a model for testing.

    Args:
        fuse: merge BatchNorm into convolutions.
        compile: compile the network and the renderer.
    """

    def __init__(self, *, fuse: bool = False, compile: bool = False) -> None:
        self.fuse = fuse
        self.compile = compile

    def before_test(self, runner: Runner) -> None:
        """Accelerate the model, which has its weights now."""
        if self.fuse and any(isinstance(hook, EMAHook) for hook in runner.hooks):
            raise InputError(
                '--fuse-conv-bn cannot follow the averaged weights of EMAHook: test '
                'without --fuse-conv-bn.'
            )
        if self.fuse:
            fuse_conv_bn(runner.model)
        if self.compile:
            compile_model(runner.model)
