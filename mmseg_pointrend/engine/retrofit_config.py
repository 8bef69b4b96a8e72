"""The config that gives a trained model a point head, which learns alone."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any

from mmengine.config import Config, ConfigDict
from mmengine.registry import init_default_scope

from mmseg_pointrend.engine.config import listed_configs, type_name
from mmseg_pointrend.engine.hosting import forget_pretrained_weights, host_point_head
from mmseg_pointrend.errors import InputError
from mmseg_pointrend.models.settings import TEST_KEYS

PLAIN = 'EncoderDecoder', 'CascadeEncoderDecoder'
LEARNS = 'point_head'
LEARNING_RATE = 2e-3


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
            "model, of type 'EncoderDecoder' or 'CascadeEncoderDecoder', such as "
            'tools/new_config.py --plain writes.'
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
