"""MMEngine's Runner, in one process or several."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any

import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.hooks import Hook
from mmengine.registry import RUNNERS
from mmengine.runner import BaseLoop, Runner

from mmseg_pointrend.compat import init_dist_without_cuda
from mmseg_pointrend.engine.summary import SummaryHook
from mmseg_pointrend.engine.terminal import log_prints, quiet_terminal
from mmseg_pointrend.engine.weights import (
    check_weights,
    what_is_pretrained,
    what_is_taken,
)
from mmseg_pointrend.engine.wrappers import is_whole, unwrapped
from mmseg_pointrend.errors import InputError, name_some

LAUNCHERS = {
    'pytorch': ('RANK', 'WORLD_SIZE', 'MASTER_ADDR', 'MASTER_PORT'),
    'slurm': ('SLURM_PROCID', 'SLURM_NTASKS', 'SLURM_NODELIST'),
    'mpi': ('OMPI_COMM_WORLD_LOCAL_RANK', 'MASTER_ADDR'),
}
"""The environment variables that MMEngine reads."""


def build_runner(cfg: Config, *, verbose: bool = False) -> Runner:
    """Build MMEngine's Runner, or the one that ``runner_type`` names.

    With a launcher but no GPU, the processes talk through gloo. The terminal shows what
    :mod:`~mmseg_pointrend.engine.terminal` lets pass.

    Args:
        cfg: what :func:`~mmseg_pointrend.engine.config.load_config` gives.
        verbose: the terminal shows everything that the log file has.

    Raises:
        InputError: processes on CPUs are to have SyncBN, no launcher has started
            this process, or the work dir cannot be made.
    """
    on_cpus = cfg.launcher != 'none' and get_device() == 'cpu'
    if on_cpus:
        talk_through_gloo(cfg)
    variables = LAUNCHERS.get(cfg.launcher, ())
    missing = [name for name in variables if name not in os.environ]
    if missing:
        raise InputError(
            f'--launcher {cfg.launcher} needs {name_some(missing)} in the environment: '
            'start with torchrun (tools/dist_train.sh), srun (tools/slurm_train.sh) or '
            'mpirun -x MASTER_ADDR=HOST, or leave --launcher out.'
        )
    try:
        os.makedirs(cfg.work_dir, exist_ok=True)
    except OSError as error:
        raise InputError(
            f'cannot make --work-dir {cfg.work_dir} ({error.strerror}): give another.'
        ) from error
    build = RUNNERS.build if 'runner_type' in cfg else Runner.from_cfg
    terminal = nullcontext() if verbose else quiet_terminal()
    with init_dist_without_cuda() if on_cpus else nullcontext(), terminal:
        runner = build(cfg)
    if not verbose:
        log_prints(runner)
    runner.register_hook(SummaryHook())
    runner.register_hook(WeightsHook())
    return runner


def leave_processes(runner: Runner) -> None:
    """Leave the other processes of a run that is over, and its model.

    The threads that talk to them would otherwise meet the end of Python, and abort the
    process once in a while.
    """
    if torch.distributed.is_initialized():
        runner.model = None  # a wrapped one holds the threads
        gc.collect()
        torch.distributed.destroy_process_group()


class WeightsHook(Hook):
    """Refuse weights of another model, and say what a training starts from.

    FSDP and DeepSpeed, whose processes hold pieces of weights, are left to themselves.
    """

    priority = 'VERY_HIGH'

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Compare what is about to be loaded with the model."""
        if not is_whole(runner):
            return
        model = unwrapped(runner.model)
        source = str(runner._load_from or f'the last checkpoint of {runner.work_dir}')
        trains = isinstance(runner._train_loop, BaseLoop)
        if trains and not runner._resume:
            if getattr(model, 'train_only', None) is not None:
                check_weights(model, checkpoint, source, new=model.train_only)
            runner.logger.info(what_is_taken(model, checkpoint, source))
        else:
            check_weights(model, checkpoint, source)

    def before_train(self, runner: Runner) -> None:
        """Look whether weights for the start have arrived."""
        if is_whole(runner) and not runner._load_from and not runner._resume:
            model = unwrapped(runner.model)
            part = getattr(model, 'train_only', None)
            if part is not None:
                raise InputError(
                    f'model.train_only={part!r} trains on a network that has weights: '
                    'set load_from to a checkpoint of the plain model.'
                )
            for line in what_is_pretrained(model):
                runner.logger.info(line)


def talk_through_gloo(cfg: Config) -> None:
    """Set what several processes on CPUs need.

    Raises:
        InputError: the model has SyncBN, which torch has for GPUs only.
    """
    model = cfg.model.get('module', cfg.model)  # of test-time augmentation
    keys = [f'{key}=BN' for key in keys_of('SyncBN', model, 'model')]
    if cfg.get('sync_bn'):
        keys.append('sync_bn=None')
    if keys:
        raise InputError(
            'SyncBN needs GPUs and none is available: take one process, or add '
            f'--cfg-options {" ".join(keys)}.'
        )
    cfg.merge_from_dict({'env_cfg.dist_cfg.backend': 'gloo'})
    wrapper = dict(type='MMDistributedDataParallel', broadcast_buffers=False)
    cfg.setdefault('model_wrapper_cfg', dict(wrapper, device_ids=None))


def keys_of(value: Any, cfg: Any, prefix: str) -> Iterator[str]:
    """Find the dotted keys under which a config has a value."""
    items = enumerate(cfg) if isinstance(cfg, list | tuple) else cfg.items()
    for name, entry in items:
        key = f'{prefix}.{name}'
        if isinstance(entry, list | tuple | dict):
            yield from keys_of(value, entry, key)
        elif entry == value:
            yield key
