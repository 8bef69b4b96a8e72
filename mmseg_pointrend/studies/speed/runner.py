"""Run the tasks and report."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from mmengine import dump
from mmengine.config import ConfigDict
from mmseg.utils import register_all_modules
from rich.console import Console

from mmseg_pointrend.studies.speed.contenders import (
    build_contenders,
    load_model_config,
    our_config,
)
from mmseg_pointrend.studies.speed.growth import draw_growth, measure_growth
from mmseg_pointrend.studies.speed.meters import (
    flops,
    peak_bytes,
    time_in_turn,
    warm_up,
)
from mmseg_pointrend.studies.speed.report import Row, figures, print_rows
from mmseg_pointrend.studies.speed.settings import Settings
from mmseg_pointrend.studies.speed.tail_inputs import (
    random_inputs,
    trained_inputs,
    why_not_trained,
)
from mmseg_pointrend.studies.speed.tasks import (
    Task,
    predict_flops_task,
    predict_task,
    tail_task,
    training_flops_task,
    training_task,
)

TIMED = {'tail', 'predict', 'train'}


def run_benchmark(settings: Settings) -> None:
    """Measure what the settings ask for, print a table and write the files.

    Raises:
        InputError: an argument, a config or a checkpoint does not fit.
    """
    settings.check()
    register_all_modules(init_default_scope=True)
    if settings.threads is not None:
        torch.set_num_threads(settings.threads)
    torch.backends.cudnn.benchmark = True
    console = Console(highlight=False)
    ours = our_config(load_model_config(settings.config), settings)
    rows = measure(ours, settings, console)
    if rows:
        print_rows(console, rows)
    growth = None
    if settings.plot is not None:
        growth = measure_growth(ours, settings, console)
        draw_growth(growth, settings.plot)
        console.print(f'Plot: {settings.plot}')
    if settings.json is not None:
        content = figures(settings, ours, rows, growth)
        dump(content, settings.json, file_format='json', indent=2, default=str)
        console.print(f'Figures: {settings.json}')


def measure(ours: ConfigDict, settings: Settings, console: Console) -> list[Row]:
    """Rows of the table: times, then memory, then arithmetic.

    Args:
        ours: config of our model.
        settings: what to measure.
        console: where progress goes.
    """
    chosen = set(settings.measure)
    rows: list[Row] = []
    if 'tail' in chosen or ('memory' in chosen and not chosen & TIMED):
        for task in tail_tasks(ours, settings, console):
            rows += measure_task(task, settings, console)
    if chosen & {'predict', 'train', 'flops'}:
        models = build_contenders(ours, settings, settings.contenders)
        if 'predict' in chosen:
            rows += measure_task(predict_task(models, settings), settings, console)
        if 'flops' in chosen:
            rows.append(count_flops(predict_flops_task(models, settings), console))
            rows.append(count_flops(training_flops_task(models, settings), console))
        # Training changes the weights, so it comes last.
        if 'train' in chosen:
            rows += measure_task(training_task(models, settings), settings, console)
    return sorted(rows, key=lambda row: ('s', 'B', 'FLOP').index(row.unit))


def tail_tasks(
    ours: ConfigDict, settings: Settings, console: Console
) -> Iterator[Task]:
    """The tail from each kind of logits that there is."""
    inputs = {}
    if 'random' in settings.logits:
        inputs['random'] = random_inputs(ours, settings)
    if 'trained' in settings.logits:
        reason = why_not_trained(ours, settings)
        if reason is None:
            inputs['trained'] = trained_inputs(ours, settings)
        else:
            console.print(reason)
    for name, one in inputs.items():
        yield tail_task(name, one, ours, settings)


def measure_task(task: Task, settings: Settings, console: Console) -> list[Row]:
    """Time a task, and see how much memory it takes.

    A contender whose warm-up fails drops out; the row says why.
    """
    console.print(f'{task.title} …')
    calls, failed = warm_up(task.calls, settings.warmup)
    rows = []
    if TIMED & set(settings.measure):
        times = time_in_turn(
            calls, repeat=settings.repeat, device=settings.device, seed=settings.seed
        )
        rows.append(Row(task.name, task.title, 's', times, task.absent, failed))
    if 'memory' in settings.measure:
        peaks = {
            name: [float(peak_bytes(call, settings.device))]
            for name, call in calls.items()
        }
        name, title = f'{task.name}_memory', f'memory: {task.title}'
        rows.append(Row(name, title, 'B', peaks, task.absent, failed))
    return rows


def count_flops(task: Task, console: Console) -> Row:
    """Count the arithmetic of a task."""
    console.print(f'FLOPs: {task.title} …')
    counts = {name: [float(flops(call))] for name, call in task.calls.items()}
    return Row(task.name, f'FLOPs: {task.title}', 'FLOP', counts, task.absent, {})
