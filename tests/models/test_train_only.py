"""A point head that learns alone, on a network that stays as it is."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmseg.registry import MODELS
from torch import nn

from mmseg_pointrend.engine.config import guard_training, load_config
from mmseg_pointrend.engine.runner import build_runner
from mmseg_pointrend.errors import InputError
from tests.helpers import batch, run_tool, tiny_model_config

STEPS = 100


def build(**keys: Any) -> Any:
    cfg = tiny_model_config(**keys)
    cfg.decode_head.dropout_ratio = 0.5
    torch.manual_seed(0)
    model = MODELS.build(dict(cfg, train_only='point_head'))
    model.init_weights()
    return model


def test_the_points_alone_have_losses_and_gradients():
    model = build().train()
    inputs, samples = batch()
    losses = model.loss(inputs, samples)
    assert set(losses) == {'point.loss_ce', 'point.acc_point'}
    losses['point.loss_ce'].backward()
    for name, parameter in model.named_parameters():
        learns = name.startswith('point_head.')
        assert parameter.requires_grad == learns
        assert (parameter.grad is not None) == learns


def test_everything_else_is_in_evaluation():
    model = build()
    model.train()
    assert model.training
    for name, module in model.named_modules():
        if name:
            assert module.training == name.startswith('point_head'), name
    dropped = [one for one in model.modules() if isinstance(one, nn.Dropout2d)]
    assert dropped
    model.eval()
    assert not any(module.training for module in model.modules())


def test_the_network_holds_nothing_for_a_backward_pass():
    saved = []
    model = build(in_index=[0, 'decode_head'], in_channels=[8, 8]).train()
    network = {id(one) for one in model.backbone.parameters()}
    keep = lambda one: saved.append(id(one)) or one  # noqa: E731
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda one: one):
        model.loss(*batch())
    assert saved
    assert not network & set(saved)


class Wrapped(Hook):
    """Keeps how the model looked when the training began."""

    def before_train(self, runner: Any) -> None:
        self.before = {k: v.clone() for k, v in runner.model.state_dict().items()}


def long_training(cfg: Config) -> None:
    """Everything that is known to change weights which seem frozen."""
    cfg.model.train_only = 'point_head'
    cfg.model.backbone.norm_cfg = dict(type='BN', requires_grad=True)
    cfg.train_cfg = dict(type='IterBasedTrainLoop', max_iters=STEPS, val_interval=STEPS)
    cfg.val_dataloader = cfg.val_cfg = cfg.val_evaluator = None
    cfg.optim_wrapper = dict(
        type='OptimWrapper',
        accumulative_counts=2,
        clip_grad=dict(max_norm=1.0),
        optimizer=dict(type='SGD', lr=0.1, momentum=0.9, weight_decay=0.1),
        paramwise_cfg=dict(custom_keys={'backbone': dict(lr_mult=0.1)}),
    )
    cfg.param_scheduler = [dict(type='PolyLR', eta_min=0.01, by_epoch=False)]
    cfg.custom_hooks = [dict(type='EMAHook', momentum=0.3)]
    cfg.default_hooks.checkpoint = dict(
        type='CheckpointHook', by_epoch=False, interval=STEPS
    )
    cfg.default_hooks.logger.interval = 50


def test_not_a_bit_outside_changes_in_a_hundred_steps(
    tiny_config, plain_checkpoint, tmp_path
):
    cfg = load_config(str(tiny_config), work_dir=str(tmp_path))
    long_training(cfg)
    cfg.load_from = str(plain_checkpoint)
    guard_training(cfg)
    runner, hook = build_runner(cfg), Wrapped()
    runner.register_hook(hook, 'LOWEST')
    runner.train()
    content = torch.load(tmp_path / f'iter_{STEPS}.pth', weights_only=False)
    plain = torch.load(plain_checkpoint, weights_only=False)['state_dict']
    assert_only_the_points_changed(content['state_dict'], plain, hook.before)
    averaged = {
        name.removeprefix('module.'): value
        for name, value in content['ema_state_dict'].items()
        if name.startswith('module.')
    }
    assert_only_the_points_changed(averaged, plain, hook.before)
    learn = [one for one in runner.model.parameters() if one.requires_grad]
    groups = content['optimizer']['param_groups']
    assert sum(len(group['params']) for group in groups) == len(learn)
    assert len(content['optimizer']['state']) == len(learn)


def assert_only_the_points_changed(after, plain, before):
    assert {name for name in after if not name.startswith('point_head.')} == set(plain)
    for name, value in after.items():
        if name.startswith('point_head.'):
            assert not value.equal(before[name]), name
        else:
            assert value.equal(plain[name]), name


@pytest.mark.slow
def test_two_processes_change_nothing_outside_either(
    tiny_config, plain_checkpoint, tmp_path
):
    cfg = load_config(str(tiny_config), work_dir=str(tmp_path))
    long_training(cfg)
    cfg.load_from = str(plain_checkpoint)
    cfg.find_unused_parameters = False
    path = tmp_path / 'config.py'
    cfg.dump(path)
    work_dir = tmp_path / 'run'
    result = run_tool('tools/dist_train.sh', path, 2, '--work-dir', work_dir)
    assert result.returncode == 0, result.stderr[-3000:]
    content = torch.load(work_dir / f'iter_{STEPS}.pth', weights_only=False)
    plain = torch.load(plain_checkpoint, weights_only=False)['state_dict']
    after = content['state_dict']
    unlike = {name: torch.full_like(value, 9) for name, value in after.items()}
    assert_only_the_points_changed(after, plain, unlike)


def test_a_network_without_weights_is_refused(tiny_config, tmp_path):
    cfg = load_config(str(tiny_config), work_dir=str(tmp_path))
    cfg.model.train_only = 'point_head'
    with pytest.raises(InputError, match='set load_from to a checkpoint of the plain'):
        build_runner(cfg).train()


def test_weights_without_the_decode_head_are_refused(
    tiny_config, plain_checkpoint, tmp_path
):
    weights = torch.load(plain_checkpoint, weights_only=False)['state_dict']
    bare = {k: v for k, v in weights.items() if k.startswith('backbone.')}
    path = tmp_path / 'bare.pth'
    torch.save(dict(state_dict=bare, meta={}), path)
    cfg = load_config(str(tiny_config), work_dir=str(tmp_path))
    cfg.model.train_only, cfg.load_from = 'point_head', str(path)
    runner = build_runner(cfg)
    with pytest.raises(InputError, match='not a checkpoint of this model'):
        runner.train()


def test_another_part_cannot_learn_alone():
    with pytest.raises(InputError, match=r"model\.train_only='decode_head': give"):
        MODELS.build(dict(tiny_model_config(), train_only='decode_head'))
