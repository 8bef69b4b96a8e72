"""MMEngine's hooks know of which figures more is better."""

from __future__ import annotations

import pytest
from mmengine.hooks import EarlyStoppingHook
from mmseg.registry import HOOKS

from mmseg_pointrend.errors import InputError
from tests.helpers import train_here

NAMES = (
    *('mBIoU', 'trimap_mIoU_1px', 'val/mBIoU', 'boundary/trimap_mIoU_12px'),
    *('mIoU', 'aAcc', 'mDice', 'mFscore', 'mPrecision', 'mRecall'),
    *('averageScoreCategories', 'averageScoreInstCategories'),
)


@pytest.mark.parametrize('kind', ['CheckpointHook', 'ResumableCheckpointHook'])
def test_every_figure_may_choose_the_best_checkpoint(kind):
    hook = HOOKS.build(dict(type=kind, save_best=list(NAMES)))
    assert hook.rules == ['greater'] * len(NAMES)
    (alone,) = HOOKS.build(dict(type=kind, save_best='mBIoU')).rules
    assert alone == 'greater'
    with pytest.raises(ValueError, match='Cannot infer the rule for key boundary'):
        HOOKS.build(dict(type=kind, save_best='boundary'))


@pytest.mark.parametrize('name', NAMES)
def test_every_figure_may_stop_the_training(name):
    assert HOOKS.build(dict(type='EarlyStoppingHook', monitor=name)).rule == 'greater'


def options(save_best, **evaluator):
    return {
        'train_cfg.max_iters': 3,
        'train_cfg.val_interval': 1,
        'default_hooks.checkpoint.save_best': save_best,
        'val_evaluator': [dict(type='BoundaryIoUMetric', **evaluator)],
    }


@pytest.mark.parametrize(
    ('save_best', 'evaluator', 'files'),
    [
        (['mBIoU', 'trimap_mIoU_1px'], {}, ['best_mBIoU_', 'best_trimap_mIoU_1px_']),
        ('val/mBIoU', dict(prefix='val'), ['best_val_mBIoU_']),
        ('auto', {}, ['best_mBIoU_']),
    ],
)
def test_the_best_is_kept_and_a_standstill_ends_the_training(
    tiny_config, tmp_path, save_best, evaluator, files
):
    monitor = 'val/mBIoU' if evaluator else 'mBIoU'
    stop = EarlyStoppingHook(monitor, min_delta=100, patience=1)
    recorder = train_here(
        tiny_config, tmp_path, stop, **options(save_best, **evaluator)
    )
    assert list(recorder.losses) == [1, 2]
    for start in files:
        assert len(list(tmp_path.glob(f'{start}iter_*.pth'))) == 1


def test_a_figure_that_nothing_measures_is_named(tiny_config, tmp_path):
    with pytest.raises(
        InputError, match=r'save_best names mIoU, but the validation gives mBIoU, trima'
    ):
        train_here(tiny_config, tmp_path, **options('mIoU'))
