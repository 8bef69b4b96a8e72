"""What a training or test on several processes needs."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

from mmengine.config import Config

from mmseg_pointrend.errors import InputError, name_some

LAUNCHERS = {
    'pytorch': (
        ('RANK', 'WORLD_SIZE', 'MASTER_ADDR', 'MASTER_PORT'),
        'tools/dist_train.sh or tools/dist_test.sh',
    ),
    'slurm': (
        ('SLURM_PROCID', 'SLURM_NTASKS', 'SLURM_NODELIST'),
        'tools/slurm_train.sh, or with srun',
    ),
    'mpi': (
        ('OMPI_COMM_WORLD_LOCAL_RANK', 'MASTER_ADDR'),
        'mpirun -x MASTER_ADDR=HOST',
    ),
}
"""The environment variables that MMEngine reads, and what sets them."""


def check_launcher(launcher: str) -> None:
    """Look for the environment variables that a launcher sets.

    Raises:
        InputError: one of them is missing.
    """
    variables, start = LAUNCHERS.get(launcher, ((), ''))
    missing = [name for name in variables if name not in os.environ]
    if missing:
        raise InputError(
            f'--launcher {launcher} needs {name_some(missing)} in the environment: '
            f'start with {start}, or leave --launcher out.'
        )


def refuse_sync_bn(cfg: Config) -> None:
    """Refuse SyncBN, which torch has for GPUs only, when processes start on CPUs.

    Raises:
        InputError: the model has it.
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


def keys_of(value: Any, cfg: Any, prefix: str) -> Iterator[str]:
    """The dotted keys under which a config has a value."""
    items = enumerate(cfg) if isinstance(cfg, list | tuple) else cfg.items()
    for name, entry in items:
        key = f'{prefix}.{name}'
        if isinstance(entry, list | tuple | dict):
            yield from keys_of(value, entry, key)
        elif entry == value:
            yield key
