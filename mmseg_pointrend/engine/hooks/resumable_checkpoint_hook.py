"""Checkpoints for trainings that may be killed at any moment."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine._strategy import FSDPStrategy
from mmengine.dist import (
    all_gather_object,
    broadcast,
    get_rank,
    get_world_size,
    is_main_process,
)
from mmengine.fileio import LocalBackend
from mmengine.hooks import CheckpointHook
from mmengine.runner import IterBasedTrainLoop, Runner
from mmseg.registry import HOOKS

from mmseg_pointrend.engine.checkpoints import POINTER
from mmseg_pointrend.engine.wrappers import unwrapped
from mmseg_pointrend.errors import InputError
from mmseg_pointrend.files import atomic_write


@HOOKS.register_module()
class ResumableCheckpointHook(CheckpointHook):
    """``CheckpointHook`` whose checkpoints continue a training as if it never stopped.

    They hold the random states of all processes, and an evaluation leaves these as
    they were. A training that is resumed where an evaluation is due, which the end of
    the process may have cut short, begins with that evaluation. Outdated checkpoints
    are removed once the new one is complete. Arguments are those of the base class.
    """

    file_backend: Any

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.states_to_save: list[dict[str, Any]] | None = None
        self.states_to_resume: list[dict[str, Any]] | None = None
        self.state_before_val: dict[str, Any] | None = None

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Take the random states out of the checkpoint that is resumed."""
        if runner._resume:
            self.states_to_resume = checkpoint.get('random_states')

    def before_train(self, runner: Runner) -> None:
        """Tidy the folder after a training that was killed in it."""
        super().before_train(runner)
        if is_main_process():
            for half_written in Path(self.out_dir).glob('.*.tmp.pth'):
                half_written.unlink()
            if runner._resume and runner._load_from:
                with atomic_write(Path(runner.work_dir, POINTER)) as temporary:
                    temporary.write_text(str(runner._load_from))

    def before_train_epoch(self, runner: Runner) -> None:
        """Go on where the resumed checkpoint was written."""
        states, self.states_to_resume = self.states_to_resume, None
        if states is not None and len(states) != get_world_size():
            runner.logger.warning(
                f'The checkpoint holds the random states of {len(states)} processes, '
                f'this training has {get_world_size()} and goes on with others.'
            )
            states = None
        if states is not None:
            set_random_state(states[get_rank()])
        loop = runner.train_loop
        if not isinstance(loop, IterBasedTrainLoop) or loop.iter == 0:
            return
        if evaluation_is_due(runner):
            runner.val_loop.run()
        if states is not None:
            loop.dataloader_iterator = ContinuedBatches(
                loop.dataloader_iterator, loop.iter, states[get_rank()]
            )

    def before_val(self, runner: Runner) -> None:
        """Remember the random state: data loaders and models may change it.

        Statistics of BatchNorm without SyncBN differ between processes. All evaluate
        with those of process 0, which its checkpoints hold.
        """
        self.state_before_val = random_state()
        for buffer in unwrapped(runner.model).buffers():
            broadcast(buffer)

    def after_val(self, runner: Runner) -> None:
        """Restore the random state."""
        assert self.state_before_val is not None
        set_random_state(self.state_before_val)
        self.state_before_val = None

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Add the random states to a checkpoint that can be resumed."""
        if self.states_to_save is not None:
            checkpoint['random_states'] = self.states_to_save

    def _save_checkpoint_with_step(self, runner: Runner, step: int, meta: dict) -> None:
        state = self.state_before_val or random_state()
        self.states_to_save = all_gather_object(state)
        super()._save_checkpoint_with_step(runner, step, meta)
        self.states_to_save = None

    def _save_checkpoint(self, runner: Runner) -> None:
        with self._completing(runner) as runner:
            super()._save_checkpoint(runner)

    def _save_best_checkpoint(self, runner: Runner, metrics: dict) -> None:
        if not self.save_best:
            return
        missing = [name for name in self.save_best if name not in ('auto', *metrics)]
        if missing:
            raise InputError(
                f'default_hooks.checkpoint.save_best names {missing[0]}, but the '
                f'validation gives {", ".join(metrics)}: name one of these, or add its '
                'metric to val_evaluator.'
            )
        with self._completing(runner) as runner:
            super()._save_best_checkpoint(runner, metrics)

    @contextmanager
    def _completing(self, runner: Runner) -> Iterator[Any]:
        """Have files written whole, and put off removals until they are."""
        backend = self.file_backend
        self.file_backend = later = RemoveLater(backend)
        local = isinstance(backend, LocalBackend) and is_main_process()
        try:
            yield WholeFiles(runner) if local and in_one_file(runner) else runner
        finally:
            self.file_backend = backend
        best = getattr(self, 'best_ckpt_path_dict', {}).values()
        written = {self.last_ckpt, getattr(self, 'best_ckpt_path', None), *best}
        for remove, path in later.removals:
            if path not in written:
                remove(path)


class WholeFiles:
    """A Runner whose checkpoints are written completely or not at all."""

    def __init__(self, runner: Runner) -> None:
        self.runner = runner

    def __getattr__(self, name: str) -> Any:
        return getattr(self.runner, name)

    def save_checkpoint(
        self, out_dir: str, filename: str, *args: Any, **kw: Any
    ) -> None:
        """Save under another name first."""
        with atomic_write(Path(out_dir, filename)) as temporary:
            folder, name = str(temporary.parent), temporary.name
            self.runner.save_checkpoint(folder, name, *args, **kw)


def in_one_file(runner: Runner) -> bool:
    """Tell whether the main process alone writes a checkpoint, and no folder."""
    if isinstance(runner, Runner):
        return True
    strategy = runner.strategy
    return isinstance(strategy, FSDPStrategy) and strategy._is_full_state_dict()


class RemoveLater:
    """A file backend that notes what it should remove."""

    def __init__(self, backend: Any) -> None:
        self.backend = backend
        self.removals: list[tuple[Callable[[str], None], str]] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self.backend, name)

    def remove(self, path: str) -> None:
        """Note a file."""
        self.removals.append((self.backend.remove, path))

    def rmtree(self, path: str) -> None:
        """Note a folder."""
        self.removals.append((self.backend.rmtree, path))


def evaluation_is_due(runner: Runner) -> bool:
    """Tell whether MMEngine evaluates after the iteration that was trained last."""
    loop = runner.train_loop
    if runner.val_loop is None or loop.iter < loop.val_begin:
        return False
    loop._decide_current_val_interval()
    return loop.iter % loop.val_interval == 0 or loop.iter == loop.max_iters


def random_state() -> dict[str, Any]:
    """Note where the generators of this process are, in tensors and plain values."""
    of_numpy: dict[str, Any] = np.random.get_state(legacy=False)  # type: ignore
    of_numpy['state']['key'] = of_numpy['state']['key'].tolist()
    state = dict(python=random.getstate(), numpy=of_numpy, torch=torch.get_rng_state())
    if torch.cuda.is_available():
        state['cuda'] = torch.cuda.get_rng_state()
    return state


def set_random_state(state: dict[str, Any]) -> None:
    """Go on where :func:`random_state` was called.

    Raises:
        InputError: the state is none of numpy's, which would read beyond its memory.
    """
    position = state['numpy']['state']['pos']
    if type(position) is not int or not 0 <= position <= 624:
        raise InputError(
            f'the checkpoint has a random state of numpy at {position!r}, which must '
            'lie in 0 to 624: resume from another checkpoint.'
        )
    random.setstate(state['python'])
    np.random.set_state(state['numpy'])
    torch.set_rng_state(state['torch'].cpu())
    if 'cuda' in state and torch.cuda.is_available():
        torch.cuda.set_rng_state(state['cuda'].cpu())


class ContinuedBatches(Iterator[Any]):
    """The batches of a resumed training, of which ``skipped`` were trained before.

    Loading these brings worker processes to the random state that they had; for this
    process ``state`` is set once they are through.
    """

    def __init__(
        self, batches: Iterator[Any], skipped: int, state: dict[str, Any]
    ) -> None:
        def rest() -> Iterator[Any]:
            set_random_state(state)
            yield from batches

        self.batches = chain(islice(batches, skipped), rest())

    def __next__(self) -> Any:
        return next(self.batches)

    def skip_iter(self, count: int) -> None:
        """Load batches that nobody wants, as the ``onedl-`` MMEngine asks."""
        for _ in islice(self, count):
            pass
