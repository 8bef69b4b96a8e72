"""What happens to a model between loading its weights and the first test image."""

from __future__ import annotations

from typing import Any

from mmengine.hooks import EMAHook, Hook
from mmengine.runner import Runner

from mmseg_pointrend.engine.acceleration import compile_model, fuse_conv_bn
from mmseg_pointrend.engine.runner import unwrapped
from mmseg_pointrend.errors import InputError


class TestingHook(Hook):
    """Refuse weights of another model, and accelerate the right one.

    Args:
        fuse: merge BatchNorm into convolutions.
        compile: compile the network and the renderer.
    """

    __test__ = False

    def __init__(self, *, fuse: bool = False, compile: bool = False) -> None:
        self.fuse = fuse
        self.compile = compile

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Compare what is about to be loaded with the model."""
        check_weights(runner.model, checkpoint, str(runner._load_from))

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


def check_weights(model: Any, checkpoint: dict, source: str) -> None:
    """Refuse to test a model, also a wrapped one, with weights that are not its own.

    Raises:
        InputError: weights are missing, except of the auxiliary head, or have another
            shape; it names ``source``, the file or URL of the checkpoint.
    """
    model = unwrapped(model)
    saved = {
        name.removeprefix('module.'): getattr(value, 'shape', None)
        for name, value in checkpoint.get('state_dict', checkpoint).items()
    }
    wanted = {
        name: value.shape
        for name, value in model.state_dict().items()
        if not name.startswith('auxiliary_head.')
        and not name.endswith('num_batches_tracked')
    }
    wrong = [name for name, shape in wanted.items() if saved.get(name) != shape]
    if not wrong:
        return
    if all(name.startswith('point_head.') and name not in saved for name in wrong):
        raise InputError(
            f'{source} has no weights of the point head: train with '
            f'load_from={source}, or test it with the plain config.'
        )
    raise InputError(
        f'{source} is not a checkpoint of this model, {len(wrong)} of '
        f'{len(wanted)} weights are missing or have another shape, such as {wrong[0]}: '
        'give the config it was trained with.'
    )
