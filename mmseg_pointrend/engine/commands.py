"""Commands that a person pastes into the shell that started this one."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path


def start(tool: str, config: str | Path, gpus: int | str = 1) -> list[str]:
    """Begin a command in the way this one was started, by ``pointrend`` or a file.

    Args:
        tool: ``'train'``, ``'retrofit'`` or ``'predict'``.
        config: what it is given first.
        gpus: how many it trains on.
    """
    config, tools = short(config), Path(sys.argv[0]).parent
    if Path(sys.argv[0]).stem in ('pointrend', 'pointrend_cli'):
        if gpus == 1:
            return ['pointrend', tool, config]
        launch = ['torchrun', f'--nproc_per_node={gpus}', '-m', 'pointrend_cli']
        return [*launch, tool, config, '--launcher', 'pytorch']
    if gpus == 1:
        return [python(), short(tools / f'{tool}.py'), config]
    return [short(tools / f'dist_{tool}.sh'), config, str(gpus)]


def python() -> str:
    """Name the interpreter that runs."""
    active = shutil.which('python') == sys.executable
    return 'python' if active else short(sys.executable)


def short(path: str | Path) -> str:
    """Write a path from here on, if it is below."""
    path, here = Path(os.path.abspath(path)), Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)
