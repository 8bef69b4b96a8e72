"""Run the tasks and report."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import asdict
from itertools import chain
from typing import NamedTuple

import torch
from mmengine import dump
from mmengine.config import ConfigDict
from mmseg.utils import register_all_modules
from rich.console import Console

from mmseg_pointrend.studies.speed.calls import (
    TRAIN_BATCH,
    prediction,
    tail,
    training_forward,
    training_step,
)
from mmseg_pointrend.studies.speed.contenders import build_contenders, our_config
from mmseg_pointrend.studies.speed.meters import (
    Call,
    flops,
    peak_bytes,
    time_in_turn,
    warm_up,
)
from mmseg_pointrend.studies.speed.report import Row, print_rows
from mmseg_pointrend.studies.speed.settings import Settings

WARM_UP = 3
STRIDE = 4  # of the fine features and the coarse logits
WITH_MEMORY = dict(train=('train', 'train-memory'), tail=('tail', 'memory'))
"""The measures of a task: its time and the peak of its memory."""


class Task(NamedTuple):
    """A call of each contender that takes part."""

    name: str  # key in the JSON file
    title: str  # for the table
    calls: dict[str, Call]


def run_benchmark(settings: Settings) -> None:
    """Measure what the settings ask for, print a table and write the figures.

    Raises:
        InputError: an argument, a config or a checkpoint does not fit.
    """
    settings.check()
    register_all_modules(init_default_scope=True)
    torch.backends.cudnn.benchmark = True
    console = Console(highlight=False)
    cfg = our_config(settings)
    rows: list[Row] = []
    for task in chain(tail_of(cfg, settings), whole_models(cfg, settings)):
        console.print(f'{task.title} …')
        rows += measure(task, settings)
    print_rows(console, rows)
    if settings.json is not None:
        content = dict(
            system=platform.platform(),
            gpu=torch.cuda.get_device_name() if settings.device == 'cuda' else None,
            torch=torch.__version__,
            threads=torch.get_num_threads(),
            arguments=asdict(settings),
            measures={row.name: row._asdict() for row in rows},
        )
        dump(content, settings.json, file_format='json', indent=2, default=str)
        console.print(f'Figures: {settings.json}')


def tail_of(cfg: ConfigDict, settings: Settings) -> Iterator[Task]:
    """Prepare what follows the coarse head, from independent normal numbers.

    Every pixel is hard then, the worst case. ``'plain-d8'`` has the tail of
    ``'plain'``, ``'ours-retrofit'`` that of ``'ours'``.
    """
    if not set(WITH_MEMORY['tail']) & set(settings.measure):
        return
    same = 'plain-d8', 'ours-retrofit'
    names = [name for name in settings.contenders if name not in same]
    cfg, channels = deepcopy(cfg), sum(cfg.point_head.in_channels)
    cfg.point_head.update(in_index=[0], in_channels=[channels])
    models = build_contenders(cfg, settings, names)
    random = torch.Generator().manual_seed(settings.seed)
    size = [-(-side // STRIDE) for side in settings.size]
    fine, coarse = (
        torch.randn(1, count, *size, generator=random).to(
            settings.device, settings.dtype
        )
        for count in (channels, cfg.decode_head.num_classes)
    )
    calls = {name: tail(models[name], fine, coarse, settings) for name in names}
    yield Task('tail', 'tail, 1x{}x{}'.format(*settings.size), calls)


def whole_models(cfg: ConfigDict, settings: Settings) -> Iterator[Task]:
    """Prepare ``predict()``, the arithmetic of training and training, in this order.

    Training changes the weights; ``'ours-compiled'`` is compiled for inference only,
    and ``'ours-retrofit'`` differs in training only.
    """
    chosen = set(settings.measure)
    if not {'predict', 'flops', *WITH_MEMORY['train']} & chosen:
        return
    models = build_contenders(cfg, settings, settings.contenders)
    trained = {name: models[name] for name in models if name != 'ours-compiled'}
    if 'predict' in chosen:
        torch.compiler.reset()
        calls = {
            name: prediction(model, settings)
            for name, model in models.items()
            if name != 'ours-retrofit'
        }
        yield Task('predict', 'predict(), 1x{}x{}'.format(*settings.size), calls)
    size = '{}x{}x{}'.format(TRAIN_BATCH, *settings.train_size)
    for name, title, make in (
        ('flops', f'training forward, {size}', training_forward),
        ('train', f'training step, {size}', training_step),
    ):
        if chosen.intersection(WITH_MEMORY.get(name, (name,))):
            calls = {name: make(model, settings) for name, model in trained.items()}
            yield Task(name, title, calls)


def measure(task: Task, settings: Settings) -> Iterator[Row]:
    """Time a task and see how much memory it takes, or count its arithmetic.

    A contender whose warm-up fails drops out; the row says why.
    """
    name, title, calls = task
    if name == 'flops':
        counts = {key: [float(flops(call))] for key, call in calls.items()}
        yield Row(name, title, 'FLOP', counts, {})
        return
    calls, failed = warm_up(calls, WARM_UP)
    device = settings.device
    time, memory = WITH_MEMORY.get(name, (name, None))
    if time in settings.measure:
        times = time_in_turn(calls, settings.repeat, device)
        yield Row(time, title, 's', times, failed)
    if memory in settings.measure:
        peaks = {key: [float(peak_bytes(call, device))] for key, call in calls.items()}
        yield Row(str(memory), f'peak memory of the {title}', 'B', peaks, failed)
