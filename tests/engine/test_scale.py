"""Batches that are accumulated, divided among processes, or in mixed precision.

Real processes on CPUs that talk through gloo.
"""

from __future__ import annotations

import os
import shutil
import sys
from functools import partial
from itertools import pairwise

import cv2
import pytest
import torch
from mmengine.hooks import Hook

from mmseg_pointrend.models import point_rend_head
from tests.helpers import run_tool, train_here

FIXED_POINTS = """
import torch
from mmseg_pointrend.models import point_rend_head


def grid(logits, uncertainty, **_):
    axis = (torch.arange(7) + 0.4) / 7
    points = torch.cartesian_prod(axis, axis)
    return points.expand(len(logits), -1, -1)


point_rend_head.sample_training_points = grid
"""

ONE_BAD_SHARD = """
import torch
from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.registry import HOOKS


@HOOKS.register_module()
class OneBadShard(Hook):
    priority = 'HIGHEST'

    def before_train(self, runner):
        runner.optim_wrapper.optimizer.register_step_pre_hook(self.spoil)

    def before_train_iter(self, runner, *_, **__):
        self.iteration = runner.iter + 1

    def spoil(self, optimizer, *_):
        if self.iteration == 2 and get_rank() == 1:
            shards = [p.grad for g in optimizer.param_groups for p in g['params']]
            next(shard for shard in shards if shard is not None).fill_(torch.nan)
"""

# One process and several see the same images, points and statistics.
SAME_MATHS = """
_base_ = {base!r}
custom_imports = dict(imports=['mmseg_pointrend', 'fixed_points'])
custom_hooks = [dict(type='NormEvalHook')]
train_dataloader = dict(dataset=dict(data_root={data!r}, pipeline=[
    dict(type='LoadImageFromFile'), dict(type='LoadAnnotations'),
    dict(type='Resize', scale=(128, 64), keep_ratio=False),
    dict(type='PackSegInputs')]))
val_cfg = val_dataloader = val_evaluator = None
optim_wrapper = dict(
    optimizer=dict(_delete_=True, type='SGD', lr=0.5, momentum=0.9))
train_cfg = dict(max_iters=2)
model = dict(auxiliary_head=dict(dropout_ratio=0))
"""

FSDP = """
runner_type = 'FlexibleRunner'
strategy = dict(
    type='FSDPStrategy',
    model_wrapper=dict(type='MMFullyShardedDataParallel', device_id='cpu'),
    state_dict_cfg=dict(
        state_dict_type='FULL_STATE_DICT',
        state_dict_config=dict(type='FullStateDictConfig', rank0_only=True),
        optim_state_dict_config=dict(
            type='FullOptimStateDictConfig', rank0_only=True)))
"""


@pytest.fixture
def same_maths(scenes, tiny_config, tmp_path, monkeypatch):
    """A config whose updates do not depend on how a batch is divided.

    No pixel is ignored: each process divides by the points that count in its images.
    """
    data = tmp_path / 'data'
    shutil.copytree(scenes, data)
    for path in data.glob('gtFine/train/*/*labelTrainIds.png'):
        labels = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        labels[labels == 255] = 0
        cv2.imwrite(str(path), labels)
    (tmp_path / 'fixed_points.py').write_text(FIXED_POINTS)
    config = tmp_path / 'same_maths.py'
    config.write_text(SAME_MATHS.format(base=str(tiny_config), data=str(data)))
    monkeypatch.syspath_prepend(tmp_path)
    path = os.pathsep.join([str(tmp_path), os.environ.get('PYTHONPATH', '')])
    monkeypatch.setenv('PYTHONPATH', path)
    return config


def train_in(processes, config, work_dir, *arguments, **options):
    """The last checkpoint's weights of a training in several processes."""
    result = run_tool(
        *('tools/dist_train.sh', config, processes, '--work-dir', work_dir, *arguments),
        *('--cfg-options', *(f'{name}={value}' for name, value in options.items())),
    )
    assert result.returncode == 0, result.stderr[-3000:]
    return torch.load((work_dir / 'last_checkpoint').read_text())['state_dict']


def train_in_one(config, work_dir, **options):
    """The same of a training in this process."""
    with pytest.MonkeyPatch.context() as patch:
        original = point_rend_head.sample_training_points
        patch.setattr(point_rend_head, 'sample_training_points', original)
        sys.modules.pop('fixed_points', None)
        states = train_here(config, work_dir, **options).states
    return states[max(states)], states[1]


BATCH_SIZE = 'train_dataloader.batch_size'
ACCUMULATE = 'optim_wrapper.accumulative_counts'
DETACH = 'model.point_head.detach'
MAX_SKIPS = 'default_hooks.invalid_loss.max_skips'


def assert_same_update(state, whole, first):
    """Weights are those of the whole batch, and the last update was a real one."""
    assert state.keys() == whole.keys()
    for name, value in whole.items():
        torch.testing.assert_close(state[name], value, atol=2e-6, rtol=2e-5)
    for name in ('backbone.stem.0', 'decode_head.conv_seg', 'point_head.mlp.predictor'):
        change = whole[f'{name}.weight'] - first[f'{name}.weight']
        assert change.abs().max() > 1e-4


def test_accumulated_batches_give_the_update_of_one(same_maths, tmp_path):
    whole, first = train_in_one(same_maths, tmp_path / 'one', **{BATCH_SIZE: 4})
    parts = {BATCH_SIZE: 2, ACCUMULATE: 2, 'train_cfg.max_iters': 4}
    state, _ = train_in_one(same_maths, tmp_path / 'two', **parts)
    assert_same_update(state, whole, first)


@pytest.mark.slow
@pytest.mark.parametrize(
    ('processes', 'options'),
    [(2, {ACCUMULATE: 2, 'train_cfg.max_iters': 4}), (3, {DETACH: True})],
)
def test_processes_give_the_update_of_one_batch(
    same_maths, tmp_path, processes, options
):
    parts = {BATCH_SIZE: 1, **options}
    state = train_in(processes, same_maths, tmp_path / 'several', **parts)
    batch_size = processes * options.get(ACCUMULATE, 1)
    one = {BATCH_SIZE: batch_size, DETACH: options.get(DETACH, False)}
    whole, first = train_in_one(same_maths, tmp_path / 'one', **one)
    assert_same_update(state, whole, first)


@pytest.mark.slow
def test_sharded_and_resumed_weights_get_the_update_of_one_batch(
    trained, same_maths, tmp_path
):
    start = {'load_from': str(trained / 'iter_4.pth')}  # random ones would differ
    config = tmp_path / 'fsdp.py'
    config.write_text(f'_base_ = {str(same_maths)!r}\n{FSDP}')
    work_dir = tmp_path / 'sharded'
    train_in(2, config, work_dir, **start, **{BATCH_SIZE: 1, 'train_cfg.max_iters': 1})
    state = train_in(2, config, work_dir, '--resume', **{BATCH_SIZE: 1})
    one = {**start, BATCH_SIZE: 2}
    whole, first = train_in_one(same_maths, tmp_path / 'one', **one)
    assert_same_update(state, whole, first)


@pytest.mark.slow
def test_an_update_with_one_bad_shard_is_skipped_by_all_processes(same_maths, tmp_path):
    (tmp_path / 'one_bad_shard.py').write_text(ONE_BAD_SHARD)
    config = tmp_path / 'fsdp.py'
    config.write_text(
        f'_base_ = {str(same_maths)!r}\n{FSDP}'
        "custom_imports = dict(imports=['mmseg_pointrend', 'one_bad_shard'])\n"
        "custom_hooks = [dict(type='NormEvalHook'), dict(type='OneBadShard')]\n"
        'default_hooks = dict(checkpoint=dict(interval=1))\n'
    )
    options = {MAX_SKIPS: 1, BATCH_SIZE: 1, 'train_cfg.max_iters': 3}
    train_in(2, config, tmp_path / 'work', **options)
    weights = [
        torch.load(tmp_path / f'work/iter_{i}.pth')['state_dict'] for i in (1, 2, 3)
    ]
    differ = [
        any(not torch.equal(one[name], other[name]) for name in one)
        for one, other in pairwise(weights)
    ]
    assert differ == [False, True]


class OutputTypes(Hook):
    """Notes in which types modules answer."""

    def before_train(self, runner):
        self.types = {}
        for name in ('backbone', 'decode_head', 'point_head.mlp'):
            module = runner.model.get_submodule(name)
            module.register_forward_hook(partial(self.note, name))

    def note(self, name, module, inputs, output):
        if module.training:
            one = output[0] if isinstance(output, tuple) else output
            self.types[name] = one.dtype


def test_mixed_precision_trains_like_full_precision(amp, tiny_config, tmp_path):
    options = {ACCUMULATE: 2, 'train_cfg.max_iters': 4}
    full = train_here(tiny_config, tmp_path / 'full', **options)
    mixed = {'optim_wrapper.type': 'AmpOptimWrapper', 'optim_wrapper.dtype': 'bfloat16'}
    types = OutputTypes()
    half = train_here(tiny_config, tmp_path / 'half', types, **options, **mixed)
    assert set(types.types.values()) == {torch.bfloat16}
    for step, losses in full.losses.items():
        for name in ('decode.loss_ce', 'point.loss_ce', 'aux.loss_ce'):
            assert half.losses[step][name] == pytest.approx(losses[name], rel=0.02)
    state, start = half.states[4], half.states[1]
    assert all(value.isfinite().all() for value in state.values())
    weight = 'point_head.mlp.predictor.weight'
    assert state[weight].dtype == torch.float32
    assert not torch.equal(state[weight], start[weight])
    assert half.evaluations[4]['mIoU'] > 0
