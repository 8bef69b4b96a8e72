"""What a person needs to know before a run's first iteration."""

from __future__ import annotations

from collections.abc import Iterator, Sized
from typing import Any

import torch
from mmengine.device import get_device
from mmengine.dist import get_world_size
from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmseg_pointrend.datasets.parts import parts_of
from mmseg_pointrend.engine.terminal import start_showing
from mmseg_pointrend.engine.wrappers import is_whole, unwrapped
from mmseg_pointrend.errors import name_some


class SummaryHook(Hook):
    """Log the data, the model, the weights, the devices and where the log is.

    From then on the terminal shows all.
    """

    priority = 'VERY_HIGH'

    def __init__(self) -> None:
        self.shown = False

    def before_train(self, runner: Runner) -> None:
        """Sum up a training."""
        loops = {'train on': runner.train_loop, 'validate': runner.val_loop}
        self._show(runner, loops, learns=True)

    def before_val(self, runner: Runner) -> None:
        """Sum up a validation that is not one of a training."""
        self._show(runner, {'validate': runner.val_loop})

    def before_test(self, runner: Runner) -> None:
        """Sum up a test."""
        self._show(runner, {'test': runner.test_loop})

    def _show(
        self, runner: Runner, loops: dict[str, Any], *, learns: bool = False
    ) -> None:
        if self.shown:
            return
        self.shown = True
        model = unwrapped(runner.model)
        name = type(model).__name__
        if is_whole(runner):
            name += f', {count_parameters(model, learns)}'
        for line in (
            *describe_data(loops),
            f'Model: {name}',
            *describe_weights(runner),
            f'Device: {describe_devices()}',
            f'Log file: {runner.logger.log_file}',
        ):
            runner.logger.info(line)
        start_showing(runner.logger)


def describe_data(loops: dict[str, Any]) -> Iterator[str]:
    """Count the images of each loop and name some classes, as far as data sets tell."""
    counts, classes = [], ()
    for purpose, loop in loops.items():
        dataset = getattr(getattr(loop, 'dataloader', None), 'dataset', None)
        parts = [*parts_of(dataset)] or [dataset]
        if all(isinstance(part, Sized) for part in parts):
            counts.append(f'{sum(map(len, parts))} to {purpose}')
            classes = getattr(parts[0], 'metainfo', {}).get('classes') or classes
    named = f'; {len(classes)} classes: {name_some(classes)}' if classes else ''
    if counts:
        yield f'Images: {", ".join(counts)}{named}'


def count_parameters(model: torch.nn.Module, learns: bool) -> str:
    """Count the parameters and, where something ``learns``, those which do."""
    total = sum(one.numel() for one in model.parameters())
    learning = sum(one.numel() for one in model.parameters() if one.requires_grad)
    share = 'all' if learning == total else f'{learning:,}'
    return f'{total:,} parameters' + (f', {share} of which learn' if learns else '')


def describe_weights(runner: Runner) -> Iterator[str]:
    """Say which checkpoint was read, if any."""
    if runner._has_loaded:
        source = runner._load_from or f'the last checkpoint of {runner.work_dir}'
        at = f', resumed after iteration {runner.iter}' if runner._resume else ''
        yield f'Checkpoint: {source}{at}'


def describe_devices() -> str:
    """Name the device, and how many processes have one each."""
    device, count = get_device(), get_world_size()
    name = torch.cuda.get_device_name() if device == 'cuda' else device.upper()
    return f'{count} processes, each on {name}' if count > 1 else name
