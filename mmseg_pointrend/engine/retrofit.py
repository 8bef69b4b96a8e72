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
from mmseg.registry import DATASETS

from mmseg_pointrend.datasets.validation import find_datasets
from mmseg_pointrend.engine.config import (
    guard_training,
    keep_testing_only,
    listed_configs,
    load_config,
    resume_latest,
    type_name,
    use_amp,
)
from mmseg_pointrend.engine.hosting import forget_pretrained_weights, host_point_head
from mmseg_pointrend.engine.runner import build_runner
from mmseg_pointrend.engine.weights import check_classes, classes_in
from mmseg_pointrend.errors import InputError, name_some
from mmseg_pointrend.files import atomic_write
from mmseg_pointrend.models.settings import TEST_KEYS

PLAIN = 'EncoderDecoder', 'CascadeEncoderDecoder'
LEARNS = 'point_head'
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
        options: dotted keys and their values, for the derived config, and those of the
            network for the plain one as well.
        amp: train with automatic mixed precision.
        resume: go on with what an earlier call began in the work dir.
        verbose: as in :func:`build_runner`.

    Returns:
        The figures of the validation, ``'before'`` and ``'after'``.

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


def check_same_plan(cfg: Config, begun: Config, plan: Path) -> None:
    """Refuse to go on with a retrofit in another way than it was begun.

    Raises:
        InputError: the configs differ.
    """
    keys = sorted({*cfg, *begun} - {'work_dir', 'launcher'})
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
    kind = type_name(cfg.get('model', {}))
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
    imports = cfg.get('custom_imports') or ConfigDict(imports=[])
    named = [imports.imports] if isinstance(imports.imports, str) else imports.imports
    imports.imports = [*dict.fromkeys([*named, 'mmseg_pointrend'])]
    cfg.custom_imports = imports
    forget_pretrained_weights(cfg.model)
    *others, last = listed_configs(cfg.model.decode_head)
    if type_name(last) == 'PointHead':  # it gives way to ours
        cfg.model.decode_head, cfg.model.num_stages = others, len(others)
        known = {k: v for k, v in cfg.model.test_cfg.items() if k in TEST_KEYS}
        cfg.model.train_cfg, cfg.model.test_cfg = {}, known
    host_point_head(cfg.model, point_head)
    cfg.model.train_only = LEARNS
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
        'visualization': dict(type='SegVisualizationHook'),
        'timer': dict(type='IterTimerHook'),
        'logger': dict(type='LoggerHook', log_metric_by_epoch=False),
        'param_scheduler': dict(type='ParamSchedulerHook'),
        'sampler_seed': dict(type='DistSamplerSeedHook'),
    }
    cfg.val_cfg = dict(type='ValLoop')
    metrics = filter(None, listed_configs(cfg.get('val_evaluator')))
    ours = {type_name(one): one for one in metrics}
    cfg.val_evaluator = [
        ours.get(kind, ConfigDict(type=kind))
        for kind in ('IoUMetric', 'BoundaryIoUMetric')
    ]
    kinds = cfg.val_evaluator[0].get('iou_metrics') or []
    cfg.val_evaluator[0].iou_metrics = [*dict.fromkeys(['mIoU', *kinds])]
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


def figures_of(runner: Runner) -> dict[str, float]:
    """Read the figures of the last validation."""
    return {
        name.removeprefix('val/'): round(float(buffer.current()), 2)
        for name, buffer in runner.message_hub.log_scalars.items()
        if name.startswith('val/') and 'time' not in name
    }
