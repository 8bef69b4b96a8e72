"""Sharpen a trained model: its point head learns alone, and both are scored."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from itertools import pairwise
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

from mmengine import dump, load
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.logging import HistoryBuffer
from mmengine.runner import CheckpointLoader, Runner
from mmseg.registry import DATASETS

from mmseg_pointrend.datasets.validation import find_datasets
from mmseg_pointrend.engine.config import (
    guard_training,
    keep_testing_only,
    load_config,
    resume_latest,
    use_amp,
)
from mmseg_pointrend.engine.hosting import forget_pretrained_weights
from mmseg_pointrend.engine.retrofit_config import (
    LEARNS,
    retrofit_config,
    set_data_root,
    set_iterations,
)
from mmseg_pointrend.engine.runner import build_runner
from mmseg_pointrend.engine.weights import check_classes, classes_in
from mmseg_pointrend.errors import InputError, name_some
from mmseg_pointrend.files import atomic_write

PROBED, SKIPPED = 12, 4
"""Iterations that tell how long one takes, and how many of them warm up."""


def retrofit(
    plain: Config,
    checkpoint: str,
    point_head: dict[str, Any],
    work_dir: Path,
    *,
    iterations: int,
    budget_minutes: float | None = None,
    data_root: str | None = None,
    options: dict[str, Any] | None = None,
    amp: bool = False,
    resume: bool = False,
    config_only: bool = False,
    verbose: bool = False,
) -> dict[str, dict[str, float]]:
    """Score a plain model, train a point head on it, and score the result.

    Args:
        plain: config of the plain model.
        checkpoint: its weights.
        point_head: as in :func:`retrofit_config`.
        work_dir: gets ``pointrend.py``, the config; checkpoints; ``figures.json``.
        iterations: how many to train, at most.
        budget_minutes: of training; so many iterations as fit into it.
        data_root: folder of the data sets, in place of the config's.
        options: dotted keys and their values, for the derived config, and those of the
            network for the plain one as well.
        amp: train with automatic mixed precision.
        resume: go on with what an earlier call began in the work dir.
        config_only: write the config and do no more.
        verbose: as in :func:`build_runner`.

    Returns:
        The figures of the validation, ``'before'`` and ``'after'``, as far as there are
        any.

    Raises:
        InputError: as in :func:`retrofit_config` and :func:`score_plain`, the work dir
            holds other files, or what is resumed was begun in another way.
    """
    options = options or {}
    if 'train_cfg.max_iters' in options:
        raise InputError(
            'train_cfg.max_iters would leave the schedule as it is: give --iterations.'
        )
    plan, scores = work_dir / 'pointrend.py', work_dir / 'figures.json'
    is_begun = plan.is_file() and scores.is_file()
    there = {one.name for one in work_dir.iterdir()} if work_dir.is_dir() else set()
    if there - {'before'} and not (resume and is_begun):
        what = 'holds no retrofit to go on with' if resume else 'holds files'
        or_resume = ', or --resume to go on with its retrofit' if is_begun else ''
        raise InputError(f'--work-dir {work_dir} {what}: give another{or_resume}.')
    plain = deepcopy(plain)
    own = f'model.{LEARNS}', 'model.train_only'
    of_network = {k: v for k, v in options.items() if not k.startswith(own)}
    plain.merge_from_dict(of_network)
    cfg = retrofit_config(plain, checkpoint, point_head, iterations)
    if data_root is not None:
        set_data_root(cfg, data_root)
    if amp:
        use_amp(cfg)
    cfg.merge_from_dict(options)
    if config_only:
        write_config(cfg, plan)
        return {}
    if is_begun:
        begun = load_config(str(plan))
        if budget_minutes is not None:
            set_iterations(cfg, begun.train_cfg.max_iters)
            cfg.merge_from_dict(options)
        check_same_plan(cfg, begun, plan)
    else:
        before = score_plain(cfg, plain, str(work_dir / 'before'), verbose=verbose)
        if budget_minutes is not None:
            fitting = int(60 * budget_minutes / seconds_an_iteration(cfg))
            set_iterations(cfg, max(1, min(iterations, fitting)))
            cfg.merge_from_dict(options)
        write_config(cfg, plan)
        with atomic_write(scores) as temporary:
            dump(dict(before=before), temporary)
    figures = load(scores)
    training = run_of(cfg, work_dir, 'retrofit')
    guard_training(training)
    resume_latest(training)
    runner = build_runner(training, verbose=verbose)
    write_config(cfg, plan)  # the Runner has written its own
    runner.train()
    figures['after'] = figures_of(runner.message_hub.log_scalars)
    with atomic_write(scores) as temporary:
        dump(figures, temporary)
    return figures


def run_of(cfg: Config, work_dir: Path | str, name: str) -> Config:
    """Copy a config for one of several Runners of this process, each with its log."""
    cfg = deepcopy(cfg)
    cfg.work_dir, cfg.experiment_name = str(work_dir), name
    if cfg.get('visualizer'):  # MMEngine keeps one of each name, with its folder
        cfg.visualizer.name = name
    return cfg


def check_same_plan(cfg: Config, begun: Config, plan: Path) -> None:
    """Refuse to go on with a retrofit in another way than it was begun.

    Raises:
        InputError: the configs differ.
    """
    with TemporaryDirectory() as folder:  # classes become names in a file
        write_config(cfg, Path(folder, plan.name))
        cfg = load_config(str(Path(folder, plan.name)))
    keys = sorted({*cfg, *begun} - {'work_dir'})
    wrong = [key for key in keys if cfg.get(key) != begun.get(key)]
    if wrong:
        raise InputError(
            f'{plan} was begun with another {name_some(wrong)}: repeat the command '
            'that began it, with --resume, or give another --work-dir.'
        )


def write_config(cfg: Config, path: Path) -> None:
    """Write a config whole or not at all, without its work dir.

    MMEngine writes the config of every run into that, over a file of the same name.
    """
    cfg = deepcopy(cfg)
    cfg.pop('work_dir', None)
    with atomic_write(path) as temporary:
        cfg.dump(temporary)


def score_plain(
    cfg: Config, plain: Config, work_dir: str, *, verbose: bool = False
) -> dict[str, float]:
    """Score the checkpoint as it came, on the validation data of a retrofit.

    Args:
        cfg: of :func:`retrofit_config`.
        plain: config of the plain model.
        work_dir: where the log goes.
        verbose: as in :func:`build_runner`.

    Returns:
        The figures of the validation by name.

    Raises:
        InputError: the checkpoint is none of this model, or is of other classes than
            the data set.
    """
    cfg = run_of(cfg, work_dir, 'before')
    loaders = cfg.train_dataloader, cfg.val_dataloader
    cfg.model = deepcopy(plain.model)
    forget_pretrained_weights(cfg.model)
    keep_testing_only(cfg)
    cfg.test_dataloader = cfg.test_cfg = cfg.test_evaluator = None
    runner = build_runner(cfg, verbose=verbose)
    content = CheckpointLoader.load_checkpoint(cfg.load_from, map_location='cpu')
    for one in find_datasets([loader.dataset for loader in loaders]):
        found = DATASETS.build({**one, 'lazy_init': True}).metainfo.get('classes')
        check_classes(classes_in(content), found, cfg.load_from)
    return {name: round(float(value), 2) for name, value in runner.val().items()}


class StopWatch(Hook):
    """Notes when iterations end."""

    priority = 'LOWEST'

    def __init__(self) -> None:
        self.times: list[float] = []

    def after_train_iter(self, runner: Runner, *_: Any, **__: Any) -> None:
        """Note the time."""
        self.times.append(perf_counter())


def seconds_an_iteration(cfg: Config) -> float:
    """Train for some iterations, of which nothing stays, and take the median time."""
    watch = StopWatch()
    with TemporaryDirectory() as folder:
        cfg = run_of(cfg, folder, Path(folder).name)
        set_iterations(cfg, PROBED)
        cfg.val_dataloader = cfg.val_cfg = cfg.val_evaluator = None
        cfg.default_hooks.checkpoint = None  # it would take most of the time
        cfg.log_level = 'WARNING'
        guard_training(cfg)
        runner = build_runner(cfg)
        runner.register_hook(watch)
        runner.train()
    times = watch.times[SKIPPED:]
    return median(b - a for a, b in pairwise(times))


def figures_of(logs: Mapping[str, HistoryBuffer]) -> dict[str, float]:
    """Read the figures of the last validation from the logs of a message hub."""
    return {
        name.removeprefix('val/'): round(float(buffer.current()), 2)
        for name, buffer in logs.items()
        if name.startswith('val/') and 'time' not in name
    }
