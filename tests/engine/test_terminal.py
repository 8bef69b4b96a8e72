"""The terminal shows what a person needs, and the log file has everything."""

from __future__ import annotations

import sys
import warnings
from types import SimpleNamespace
from unittest.mock import MagicMock

import pytest
from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.runner import Runner

from mmseg_pointrend.engine.config import load_config
from mmseg_pointrend.engine.runner import build_runner
from mmseg_pointrend.errors import exit_with_sentence

BEFORE = ('System environment', 'Hooks will be executed', 'Config:\na = 1')
OF_THEMSELVES = (
    'Default ``avg_non_ignore`` is False',
    'The draw is False',
    'The prefix is not set in metric class IoUMetric',
)
SUMMARY = (
    'Images: 6 to train on, 3 to validate; 19 classes: road, sidewalk, building and 16',
    'Model: PointRendEncoderDecoder, ',
    'Device: ',
    'Log file: ',
)


@pytest.fixture
def config(tiny_config, tmp_path, monkeypatch):
    """A training of one iteration, logged without the formatter that takes long."""
    monkeypatch.setattr(Config, 'pretty_text', 'a = 1')
    cfg = load_config(str(tiny_config), work_dir=str(tmp_path))
    cfg.experiment_name = cfg.visualizer.name = str(tmp_path)  # not another test's
    cfg.train_cfg.max_iters = 1
    return cfg


def log_in(folder):
    (log,) = folder.glob('*/*.log')
    return log.read_text()


def lines_before_the_first_iteration(terminal):
    return terminal.partition('Iter(train) [1/')[0].splitlines()


@pytest.mark.parametrize('runner', ['Runner', 'FlexibleRunner'])
def test_a_training_shows_a_summary_and_then_its_iterations(
    runner, config, tmp_path, capsys
):
    if runner != 'Runner':
        config.runner_type = runner
    build_runner(config).train()
    terminal, log = capsys.readouterr(), log_in(tmp_path)
    lines = lines_before_the_first_iteration(terminal.out)
    assert len(lines) <= 15
    summary = [line.partition(' - INFO - ')[2] for line in lines]
    for wanted, line in zip(SUMMARY, summary, strict=False):
        assert line.startswith(wanted)
    assert summary[1].endswith(' parameters, all of which learn')
    assert summary[3].endswith('.log')
    for text in BEFORE + OF_THEMSELVES:
        assert text not in terminal.out + terminal.err
        assert text in log
    for text in (*SUMMARY, 'Saving checkpoint at 1 iterations', 'mIoU: '):
        assert text in terminal.out
        assert text in log


def test_parameters_that_do_not_learn_are_not_counted_among_those_which_do(
    config, capsys
):
    runner = build_runner(config)
    for name, parameter in runner.model.named_parameters():
        parameter.requires_grad = name == 'point_head.mlp.predictor.bias'
    config.train_cfg.val_interval = 2
    runner.train()
    assert ' parameters, 19 of which learn\n' in capsys.readouterr().out


def test_a_resumed_training_says_from_where(config, tmp_path, capsys):
    build_runner(config).train()
    config.merge_from_dict({'train_cfg.max_iters': 2, 'resume': True})
    config.experiment_name += '_resumed'
    build_runner(config).train()
    terminal = capsys.readouterr().out
    last = f'the last checkpoint of {tmp_path}, resumed after iteration 1\n'
    assert f'Checkpoint: {last}' in terminal
    loads = f'Loads checkpoint by local backend from path: {tmp_path}/iter_1.pth'
    assert loads not in terminal
    assert any(loads in log.read_text() for log in tmp_path.glob('*/*.log'))


@pytest.mark.parametrize('verbose', [False, True])
def test_verbose_brings_back_what_comes_before(verbose, config, tmp_path, capsys):
    build_runner(config, verbose=verbose)
    terminal = capsys.readouterr().out
    for text in BEFORE:
        assert (text in terminal) == verbose
        assert text in log_in(tmp_path)


def test_warnings_about_the_users_own_things_are_shown(config, tmp_path, capsys):
    runner = build_runner(config)
    runner.logger.warning('an image is dark')
    runner.logger.info('not yet of interest')
    with pytest.warns(UserWarning, match='another is darker'):
        warnings.warn('another is darker', stacklevel=1)
    terminal, log = capsys.readouterr().out, log_in(tmp_path)
    assert 'an image is dark' in terminal
    assert 'an image is dark' in log
    assert 'not yet of interest' not in terminal
    assert 'not yet of interest' in log


def test_a_runner_of_mmengine_beside_ours_shows_what_it_always_did(config, capsys):
    make = MMLogger.__init__
    build_runner(config)
    config.model.type = 'Unknown'
    config.experiment_name += '_failing'
    with pytest.raises(KeyError):
        build_runner(config)
    assert MMLogger.__init__ is make
    capsys.readouterr()
    config.model.type = 'PointRendEncoderDecoder'
    config.experiment_name += '_plain'
    with pytest.warns(UserWarning, match='avg_non_ignore'):
        Runner.from_cfg(config)
    terminal = capsys.readouterr().out
    for text in BEFORE:
        assert text in terminal


@pytest.fixture(
    params=[
        {'visualizer.vis_backends.0.type': 'TensorboardVisBackend'},
        {
            'visualizer.vis_backends': [
                dict(type='LocalVisBackend'),
                dict(type='TensorboardVisBackend'),
            ]
        },
    ],
    ids=['instead', 'beside'],
)
def with_tensorboard(request, config):
    """The two ways of docs/training.md."""
    config.merge_from_dict(request.param)
    return config


def test_tensorboard_is_given_the_losses(with_tensorboard, monkeypatch):
    writer = MagicMock()
    module = SimpleNamespace(SummaryWriter=lambda folder: writer)
    monkeypatch.setitem(sys.modules, 'torch.utils.tensorboard', module)
    build_runner(with_tensorboard).train()
    tags = {call.args[0] for call in writer.add_scalar.call_args_list}
    assert {'loss', 'point.loss_ce', 'mIoU', 'mBIoU'} <= tags


def test_a_missing_tensorboard_is_named_as_pip_has_it(config, monkeypatch, capsys):
    config.visualizer.vis_backends[0].type = 'TensorboardVisBackend'
    monkeypatch.setitem(sys.modules, 'torch.utils.tensorboard', None)
    with pytest.raises(SystemExit, match='1'), exit_with_sentence():
        build_runner(config).train()
    assert capsys.readouterr().err.splitlines()[-1] == (
        'error: TensorboardVisBackend of the visualizer needs tensorboard: '
        'pip install tensorboard.'
    )
