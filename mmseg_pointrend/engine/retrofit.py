"""Sharpen a trained model: its config with a point head, which learns alone."""

from __future__ import annotations

from copy import deepcopy
from itertools import pairwise
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

from mmengine import dump, load
from mmengine.config import Config, ConfigDict
from mmengine.hooks import Hook
from mmengine.registry import init_default_scope
from mmengine.runner import CheckpointLoader, Runner

from mmseg_pointrend.engine.config import (
    guard_training,
    keep_testing_only,
    listed_configs,
    load_config,
    resume_latest,
    use_amp,
)
from mmseg_pointrend.engine.hosting import forget_pretrained_weights, host_point_head
from mmseg_pointrend.engine.runner import build_runner
from mmseg_pointrend.engine.weights import check_classes, classes_in
from mmseg_pointrend.errors import InputError
from mmseg_pointrend.files import atomic_write

PLAIN = 'EncoderDecoder', 'CascadeEncoderDecoder'
LEARNING_RATE = 2e-3
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
        options: dotted keys and their values, for the derived config.
        amp: train with automatic mixed precision.
        resume: go on with what an earlier call began in the work dir.
        verbose: as in :func:`build_runner`.

    Returns:
        The figures of the validation, ``'before'`` and ``'after'``.

    Raises:
        InputError: as in :func:`retrofit_config` and :func:`score_plain`, or the work
            dir holds other files.
    """
    plan, scores = work_dir / 'pointrend.py', work_dir / 'figures.json'
    if resume and plan.is_file():
        cfg = load_config(str(plan))
    elif work_dir.is_dir() and any(one.name != 'before' for one in work_dir.iterdir()):
        raise InputError(
            f'--work-dir {work_dir} holds files: give another, or --resume to go on '
            'with a retrofit that was stopped in it.'
        )
    else:
        cfg = retrofit_config(plain, checkpoint, point_head, iterations)
        if data_root is not None:
            set_data_root(cfg, data_root)
        cfg.merge_from_dict(options or {})
        if amp:
            use_amp(cfg)
    if not scores.is_file():
        before = score_plain(cfg, plain, str(work_dir / 'before'), verbose=verbose)
        if budget_minutes is not None:
            fitting = int(60 * budget_minutes / seconds_an_iteration(cfg))
            set_iterations(cfg, max(1, min(iterations, fitting)))
        write_config(cfg, plan)
        with atomic_write(scores) as temporary:
            dump(dict(before=before), temporary)
    figures = load(scores)
    cfg = load_config(str(plan))
    training = run_of(cfg, work_dir, 'retrofit')
    guard_training(training)
    resume_latest(training)
    runner = build_runner(training, verbose=verbose)
    write_config(cfg, plan)  # the Runner has written its own
    runner.train()
    figures['after'] = figures_of(runner)
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


def write_config(cfg: Config, path: Path) -> None:
    """Write a config whole or not at all, without its work dir.

    MMEngine writes the config of every run into that, over a file of the same name.
    """
    cfg = deepcopy(cfg)
    cfg.pop('work_dir', None)
    with atomic_write(path) as temporary:
        cfg.dump(temporary)


def retrofit_config(
    plain: Config, checkpoint: str, point_head: dict[str, Any], iterations: int
) -> Config:
    """Derive the config that trains a point head on a plain model as it is.

    Data, crops and batch stay those of the plain config. What the point head reads is
    decided by :func:`host_point_head`.

    Args:
        plain: config of a model of MMSegmentation's that returns one map of logits.
        checkpoint: its weights.
        point_head: keys of the point head, but for ``in_index`` and ``in_channels``.
        iterations: how many to train.

    Returns:
        A new config.

    Raises:
        InputError: the model cannot host a point head, or the config lacks data.
    """
    cfg = deepcopy(plain)
    kind = str(cfg.get('model', {}).get('type')).rpartition('.')[2]
    if kind not in PLAIN:
        raise InputError(
            f'{plain.filename} has model.type={kind!r}: give the config of a plain '
            "model, of type 'EncoderDecoder' or 'CascadeEncoderDecoder'."
        )
    for key in ('train_dataloader', 'val_dataloader'):
        if not cfg.get(key):
            raise InputError(
                f'{plain.filename} has no {key}: add it, the points learn from the one '
                'and are scored on the other.'
            )
    init_default_scope(cfg.get('default_scope') or 'mmseg')
    imports = cfg.setdefault('custom_imports', ConfigDict(imports=[]))
    named = [imports.imports] if isinstance(imports.imports, str) else imports.imports
    imports.imports = [*dict.fromkeys([*named, 'mmseg_pointrend'])]
    forget_pretrained_weights(cfg.model)
    host_point_head(cfg.model, point_head)
    cfg.model.train_only = 'point_head'
    file = Path(checkpoint)  # or a URL
    cfg.load_from = str(file.resolve()) if file.is_file() else checkpoint
    cfg.resume = False
    cfg.custom_hooks, cfg.auto_scale_lr = [], None
    cfg.log_processor = dict(by_epoch=False)
    cfg.optim_wrapper = dict(
        type='OptimWrapper',
        optimizer=dict(type='AdamW', lr=LEARNING_RATE, weight_decay=0.01),
    )
    cfg.train_dataloader.sampler = dict(type='InfiniteSampler', shuffle=True)
    cfg.default_hooks = {
        **(cfg.get('default_hooks') or {}),
        'timer': dict(type='IterTimerHook'),
        'logger': dict(type='LoggerHook', log_metric_by_epoch=False),
        'param_scheduler': dict(type='ParamSchedulerHook'),
        'sampler_seed': dict(type='DistSamplerSeedHook'),
    }
    cfg.val_cfg = dict(type='ValLoop')
    metrics = filter(None, listed_configs(cfg.get('val_evaluator')))
    ours = {str(one['type']).rpartition('.')[2]: one for one in metrics}
    cfg.val_evaluator = [
        ours.get('IoUMetric', dict(type='IoUMetric', iou_metrics=['mIoU'])),
        ours.get('BoundaryIoUMetric', dict(type='BoundaryIoUMetric')),
    ]
    last = listed_configs(cfg.model.decode_head)[-1]
    for metric in cfg.val_evaluator:
        metric.setdefault('ignore_index', last.get('ignore_index', 255))
    set_iterations(cfg, iterations)
    return cfg


def set_iterations(cfg: Config, iterations: int) -> None:
    """Fit the schedule to a number of iterations, in place.

    The learning rate rises in the first twentieth and falls to zero at the end.
    """
    rise = iterations // 20
    cfg.param_scheduler = [
        dict(type='LinearLR', start_factor=0.1, begin=0, end=rise, by_epoch=False),
        dict(type='PolyLR', power=0.9, begin=rise, end=iterations, by_epoch=False),
    ][0 if rise else 1 :]
    cfg.train_cfg = dict(
        type='IterBasedTrainLoop', max_iters=iterations, val_interval=iterations
    )
    cfg.default_hooks.logger.interval = max(1, min(50, iterations // 20))
    cfg.default_hooks.checkpoint = dict(
        type='ResumableCheckpointHook',
        by_epoch=False,
        interval=max(1, iterations // 10),
        max_keep_ckpts=1,
    )


def set_data_root(cfg: Config, data_root: str) -> None:
    """Read all data sets of a config from another folder, in place."""
    loaders = [cfg.get(f'{split}_dataloader') for split in ('train', 'val', 'test')]
    datasets = [one.dataset for one in loaders if one]
    while datasets:
        one = datasets.pop()
        inner = one.get('dataset') or one.get('datasets')  # of a wrapper
        if inner:
            datasets += listed_configs(inner)
        else:
            one.data_root = data_root


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
    cfg.model = deepcopy(plain.model)
    forget_pretrained_weights(cfg.model)
    keep_testing_only(cfg)
    cfg.test_dataloader = cfg.test_cfg = cfg.test_evaluator = None
    runner = build_runner(cfg, verbose=verbose)
    content = CheckpointLoader.load_checkpoint(cfg.load_from, map_location='cpu')
    found = runner.val_loop.dataloader.dataset.metainfo.get('classes')
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


def figures_of(runner: Runner) -> dict[str, float]:
    """Read the figures of the last validation."""
    return {
        name.removeprefix('val/'): round(float(buffer.current()), 2)
        for name, buffer in runner.message_hub.log_scalars.items()
        if name.startswith('val/') and 'time' not in name
    }
