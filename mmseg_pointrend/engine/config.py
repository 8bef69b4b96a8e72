"""A config file, and what arguments of the command line change in it."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable
from difflib import get_close_matches
from inspect import signature
from itertools import count
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.device import get_device
from mmengine.hooks import CheckpointHook
from mmseg.registry import HOOKS, METRICS

from mmseg_pointrend.compat import CONFIGS, find_base_or_ours
from mmseg_pointrend.engine.checkpoints import POINTER, last_good_checkpoint
from mmseg_pointrend.errors import InputError, one_line

OF_A_RUN = 'work_dir', 'load_from', 'resume', 'launcher'
"""Keys that :func:`portable` leaves out."""


def load_config(
    path: str,
    options: dict[str, Any] | None = None,
    *,
    work_dir: str | None = None,
    launcher: str = 'none',
    local_rank: int = 0,
) -> Config:
    """Read a config file and apply the command line's overrides.

    Args:
        path: config file; of a package, ``mmseg_pointrend::NAME.py`` as in ``_base_``.
        options: dotted keys and their values, from ``--cfg-options``.
        work_dir: where logs and checkpoints go; by default the config's, or
            ``work_dirs/`` and the config's name.
        launcher: ``'none'``, ``'pytorch'``, ``'slurm'`` or ``'mpi'``.
        local_rank: number of this process on its node, where the launcher has not
            put it into the environment.

    Raises:
        InputError: the file does not exist or is no config.
    """
    if path.startswith('mmseg_pointrend::'):
        path, _ = find_base_or_ours(path, '')
    if not Path(path).is_file():
        ours = [one.name for one in CONFIGS.glob('*.py')]
        near = get_close_matches(Path(path).name, ours)
        hint = f'did you mean mmseg_pointrend::{near[0]}' if near else 'check the path'
        raise InputError(f'the config file {path} does not exist: {hint}.')
    if Path(path).suffix in ('.pth', '.safetensors'):
        raise InputError(f'{path} is a checkpoint: give the config first.')
    try:
        cfg = Config.fromfile(path)
    except Exception as error:
        hint = how_to_name_bases(error) or 'mend it'
        raise InputError(
            f'{path} is not a valid config ({one_line(error)}): {hint}.'
        ) from error
    if options:
        cfg.merge_from_dict(options)
    os.environ.setdefault('LOCAL_RANK', str(local_rank))
    cfg.launcher = launcher
    cfg.work_dir = work_dir or cfg.get('work_dir') or f'work_dirs/{Path(path).stem}'
    return cfg


def how_to_name_bases(error: Exception) -> str | None:
    """Say what to write in ``_base_`` where a file that it names does not exist."""
    missing = re.search('["\'](.+?)["\']', str(error))
    if not missing or not isinstance(error, FileNotFoundError):
        return None
    parts = Path(missing[1]).parts
    names = ('/'.join(parts[i:]) for i in range(1, len(parts)))
    ours = next((name for name in names if (CONFIGS / name).is_file()), '...')
    return (
        'correct _base_, where a path is relative to the file that has it, and '
        f"'mmseg_pointrend::{ours}' is a config of this package and 'mmseg::...' one "
        'of MMSegmentation, wherever the file is'
    )


def keep_testing_only(cfg: Config) -> None:
    """Drop what only training needs, so that testing runs without training data.

    MMEngine builds the training data set when a hook asks for the iteration, which
    MMSegmentation's visualization does for every picture.

    Raises:
        InputError: the model is a refiner.
    """
    refuse_refiner(cfg)
    for key in ('train_dataloader', 'train_cfg', 'optim_wrapper', 'param_scheduler'):
        cfg[key] = None


def refuse_refiner(cfg: Config) -> None:
    """Refuse, by an :class:`InputError`, to predict labels by what refines masks."""
    if type_name(cfg.model) == 'CascadePSP':
        raise InputError(
            f'{cfg.filename} is the config of a refiner, which needs masks: use '
            "tools/refine.py, or it as model.refiner of a 'RefinedSegmentor'."
        )


def guard_training(cfg: Config) -> None:
    """Give a config of ours the hooks with which trainings survive and end clearly.

    It keeps those that it has; a plain ``CheckpointHook`` becomes a resumable one. With
    ``model.train_only`` the optimizer gets the parameters that learn alone. A
    config without ``custom_imports`` of this package stays as it is, so that other
    programs can read what MMEngine writes of it into the work dir.
    """
    imports = (cfg.get('custom_imports') or {}).get('imports') or []
    imports = [imports] if isinstance(imports, str) else imports
    if not any(name.split('.')[0] == 'mmseg_pointrend' for name in imports):
        return
    hooks = {
        'checkpoint': dict(type='CheckpointHook'),
        'invalid_loss': dict(type='InvalidLossHook'),
        'num_classes': dict(type='NumClassesHook'),
        **(cfg.get('default_hooks') or {}),
    }
    checkpoint = hooks['checkpoint']
    if isinstance(checkpoint, dict):
        kind = checkpoint.get('type')
        kind = HOOKS.get(kind) if isinstance(kind, str) else kind
        if kind is CheckpointHook:
            hooks['checkpoint'] = {**checkpoint, 'type': 'ResumableCheckpointHook'}
    cfg.default_hooks = hooks
    if (cfg.get('model') or {}).get('train_only') and cfg.get('optim_wrapper'):
        cfg.optim_wrapper.setdefault('constructor', 'LearningParametersConstructor')


def resume_latest(cfg: Config) -> None:
    """Continue from the latest good checkpoint in the work dir, if any (``--resume``).

    Where the config has no seed, the checkpoint's gives the same order of the data.

    Raises:
        InputError: the work dir names a checkpoint and holds none that can be read.
    """
    found = last_good_checkpoint(cfg.work_dir)
    if found is not None:
        path, checkpoint = found
        wanted = (cfg.get('train_cfg') or {}).get('max_iters')
        if wanted is not None and checkpoint['meta']['iter'] >= wanted:
            print(
                f'{path} has all {wanted} iterations: raise train_cfg.max_iters to '
                'train on.',
                file=sys.stderr,
            )
        cfg.resume, cfg.load_from = True, str(path)
        cfg.randomness = cfg.get('randomness') or {}
        if cfg.randomness.get('seed') is None:
            cfg.randomness.seed = checkpoint['meta'].get('seed')
    elif (Path(cfg.work_dir) / POINTER).is_file():
        raise InputError(
            f'{cfg.work_dir} has a {POINTER} but no checkpoint that can be read: '
            'remove it to start anew, or give another --work-dir.'
        )


def use_amp(cfg: Config) -> None:
    """Train with ``AmpOptimWrapper`` (``--amp``).

    Raises:
        InputError: there is no accelerator, or the config has an optimizer wrapper
            that mixed precision cannot replace.
    """
    if get_device() == 'cpu':
        raise InputError(
            '--amp needs an accelerator and none is available: train without --amp.'
        )
    kind = cfg.optim_wrapper.get('type', 'OptimWrapper')
    if kind not in ('OptimWrapper', 'AmpOptimWrapper'):
        raise InputError(
            f"--amp needs optim_wrapper.type='OptimWrapper' but it is '{kind}': "
            'train without --amp.'
        )
    cfg.optim_wrapper.type = 'AmpOptimWrapper'
    cfg.optim_wrapper.setdefault('loss_scale', 'dynamic')


def use_tta(cfg: Config) -> None:
    """Test with the config's ``tta_pipeline`` and ``tta_model`` (``--tta``).

    ``SegTTAModel``, MMSegmentation's default, needs logits that our segmentor leaves
    out unless ``PointRendTTAModel`` asks for them, so that one takes its place.

    Raises:
        InputError: the config lacks one of them, or its model has no logits.
    """
    if type_name(cfg.model) == 'RefinedSegmentor':
        raise InputError('RefinedSegmentor has labels alone: test without --tta.')
    for key in ('tta_pipeline', 'tta_model'):
        if key not in cfg:
            raise InputError(f'--tta needs {key} in the config: add it.')
    cfg.test_dataloader.dataset.pipeline = cfg.tta_pipeline
    if cfg.tta_model.type == 'SegTTAModel':
        cfg.tta_model.type = 'PointRendTTAModel'
    cfg.tta_model.module = cfg.model
    cfg.model = cfg.tta_model


def draw_predictions(
    cfg: Config, folder: str | None, *, show: bool = False, wait_time: float = 0
) -> None:
    """Paint predictions into a folder, or show them for ``wait_time`` seconds.

    Raises:
        InputError: the config has no visualization hook.
    """
    if 'visualization' not in cfg.get('default_hooks', {}):
        raise InputError(
            '--show-dir and --show need default_hooks.visualization: '
            "add visualization=dict(type='SegVisualizationHook')."
        )
    cfg.default_hooks.visualization.update(
        draw=True, show=show, wait_time=wait_time, interval=1
    )
    if folder:
        cfg.visualizer.save_dir = folder


def save_predictions(cfg: Config, folder: str) -> None:
    """Write predicted label maps (``--out``).

    Raises:
        InputError: no metric of the config writes them.
    """
    writes = False
    for metric in evaluators_of(cfg):
        kind = metric.type
        kind = METRICS.get(kind) if isinstance(kind, str) else kind
        # The Runner says so itself if a name is unknown.
        if kind is None or 'output_dir' in signature(kind).parameters:
            metric.update(output_dir=folder, keep_results=True)
            writes = True
    if not writes:
        raise InputError(
            '--out needs a metric in test_evaluator that writes label maps: add '
            "dict(type='IoUMetric')."
        )


def evaluators_of(cfg: Config) -> list[Any]:
    """List the configs of the metrics for testing."""
    return listed_configs(cfg.test_evaluator)


def listed_configs(one_or_list: Any) -> list[Any]:
    """List configs that are given as one or as a list."""
    several = isinstance(one_or_list, list | tuple)
    return list(one_or_list) if several else [one_or_list]


def type_name(cfg: Any) -> str:
    """Name the class that a config builds, be it given by a name or itself."""
    kind = cfg.get('type')
    return getattr(kind, '__name__', str(kind)).rpartition('.')[2]


def portable(cfg: Config) -> str:
    """Write a config whole, without what belongs to one run or one machine.

    Absolute paths go below ``data/``, with as much of their ends as tells them apart,
    and lists of images into the folder of their data set.
    """
    content = {
        key: value for key, value in cfg.to_dict().items() if key not in OF_A_RUN
    }
    move_lists(content)
    paths: set[Path] = set()

    def note(text: str) -> str:
        if Path(text).is_absolute() and Path(text).name:
            paths.add(Path(text))
        return text

    changed(content, note)
    roots = {path for path in paths if paths.isdisjoint(path.parents)}
    for length in count(1):
        ends = {root: Path('data', *root.parts[1:][-length:]) for root in roots}
        if len({*ends.values()}) == len(roots):
            break

    def shortened(text: str) -> str:
        path = Path(text)
        if path not in paths:
            return text
        [root] = roots.intersection([path, *path.parents])
        return (ends[root] / path.relative_to(root)).as_posix()

    return Config(changed(content, shortened)).pretty_text


def move_lists(value: Any) -> None:
    """Let data sets look for ``ann_file`` in ``data_root``, in place."""
    if isinstance(value, dict) and value.get('data_root') and value.get('ann_file'):
        root, file = Path(value['data_root']), Path(value['ann_file'])
        if file.is_relative_to(root):
            value['ann_file'] = str(file.relative_to(root))
        elif file.is_absolute():
            value['ann_file'] = f'{file.parent.name}_{file.name}'.strip('_')
    if isinstance(value, dict | list | tuple):
        for one in value.values() if isinstance(value, dict) else value:
            move_lists(one)


def changed(value: Any, change: Callable[[str], str]) -> Any:
    """Change every text among the values of a config."""
    if isinstance(value, dict):
        return {key: changed(one, change) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(changed(one, change) for one in value)
    return change(value) if isinstance(value, str) else value
