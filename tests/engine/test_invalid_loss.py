"""Losses and gradients that are no numbers."""

from __future__ import annotations

from functools import partial
from types import SimpleNamespace

import pytest
import torch
from mmengine.hooks import Hook
from mmengine.optim import OptimWrapper, OptimWrapperDict
from torch import nn
from torch.optim import SGD

from mmseg_pointrend.engine.hooks import InvalidLossHook
from mmseg_pointrend.errors import InputError
from tests.helpers import train_here


class Poison(Hook):
    """Spoils a loss, or gradients alone, and a statistic of BatchNorm."""

    def __init__(self, *iterations, gradients_only=False):
        self.iterations = iterations
        self.gradients_only = gradients_only

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        model = runner.model
        vars(model).pop('loss', None)
        if batch_idx + 1 in self.iterations:
            model.loss = partial(self.loss, model, model.loss)

    def loss(self, model, original, *args):
        losses = original(*args)
        model.backbone.stem[1].running_mean.data.fill_(torch.nan)
        loss = losses['decode.loss_ce']
        weight = model.decode_head.conv_seg.weight
        spoilt = loss + (weight - weight).sum().sqrt()
        return losses | {
            'decode.loss_ce': spoilt if self.gradients_only else loss * torch.nan
        }


def train(tiny_config, work_dir, poison, **options):
    no_evaluation = {'val_cfg': None, 'val_dataloader': None, 'val_evaluator': None}
    return train_here(tiny_config, work_dir, poison, **no_evaluation, **options)


def equal(state, other):
    return all(torch.equal(state[name], other[name]) for name in state)


def finite(state):
    return all(value.isfinite().all() for value in state.values())


@pytest.mark.parametrize('gradients_only', [False, True])
def test_training_stops_before_anything_wrong_is_saved(
    tiny_config, tmp_path, gradients_only
):
    poison = Poison(4, gradients_only=gradients_only)
    with pytest.raises(InputError) as caught:
        train(tiny_config, tmp_path, poison)
    text = str(caught.value)
    assert 'a gradient is not finite at iteration 4 (loss ' in text
    assert ('decode.loss_ce nan, point.loss_ce 2.' in text) != gradients_only
    assert f'--resume goes on from {tmp_path}/iter_2.pth, the last good' in text
    assert [path.name for path in tmp_path.glob('*.pth')] == ['iter_2.pth']


def test_training_stops_without_a_checkpoint(tiny_config, tmp_path):
    with pytest.raises(InputError, match=r'there is no checkpoint yet\.$'):
        train(tiny_config, tmp_path, Poison(1))


MAX_SKIPS = 'default_hooks.invalid_loss.max_skips'


@pytest.mark.parametrize('gradients_only', [False, True])
def test_a_skipped_iteration_changes_nothing(tiny_config, tmp_path, gradients_only):
    poison = Poison(2, 4, gradients_only=gradients_only)
    states = train(tiny_config, tmp_path, poison, **{MAX_SKIPS: 1}).states
    assert equal(states[2], states[1])
    assert equal(states[4], states[3])
    assert not equal(states[3], states[2])
    assert finite(states[4])


def test_skipping_ends(tiny_config, tmp_path):
    with pytest.raises(InputError, match=r'not finite at iteration 4 \('):
        train(tiny_config, tmp_path, Poison(2, 3, 4), **{MAX_SKIPS: 2})


def test_every_one_of_several_optimizers_is_guarded():
    models = {name: nn.Linear(1, 1) for name in ('good', 'bad', 'last')}
    wrappers = OptimWrapperDict(
        **{name: OptimWrapper(SGD(one.parameters(), 1)) for name, one in models.items()}
    )
    hook = InvalidLossHook()
    hook.before_train(SimpleNamespace(optim_wrapper=wrappers))
    before = {name: one.weight.detach().clone() for name, one in models.items()}
    for name, model in models.items():
        model.weight.grad = torch.full((1, 1), torch.nan if name == 'bad' else 1.0)
        wrappers[name].step()
    for name, model in models.items():
        assert model.weight.equal(before[name] - int(name != 'bad'))
    assert not hook.gradients_are_finite


def test_the_others_of_accumulated_gradients_still_count(tiny_config, tmp_path):
    options = {MAX_SKIPS: 1, 'optim_wrapper.accumulative_counts': 2}
    states = train(tiny_config, tmp_path, Poison(1, 4), **options).states
    weight = 'point_head.mlp.predictor.weight'
    assert not torch.equal(states[2][weight], states[1][weight])
    assert torch.equal(states[4][weight], states[3][weight])
    assert finite(states[4])


def test_mixed_precision_skips_invalid_losses(amp, tiny_config, tmp_path):
    options = {MAX_SKIPS: 1, 'optim_wrapper.type': 'AmpOptimWrapper'}
    states = train(tiny_config, tmp_path, Poison(2), **options).states
    assert equal(states[2], states[1])
    assert not equal(states[3], states[2])
    assert finite(states[4])


def test_gradients_scaled_too_far_are_no_fault(amp, tiny_config, tmp_path):
    options = {'optim_wrapper.type': 'AmpOptimWrapper'}
    poison = Poison(2, gradients_only=True)
    states = train(tiny_config, tmp_path, poison, **options).states
    weight = 'point_head.mlp.predictor.weight'
    assert torch.equal(states[2][weight], states[1][weight])
    assert not torch.equal(states[3][weight], states[2][weight])
