"""Trainings that are killed, fill the disk or lose a process, and how they go on."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys

import pytest
import torch

from tests.helpers import logged_losses, run_tool

FAULTS = """
import io, os, resource, signal
from mmengine.dist import get_rank
from mmengine.fileio.backends import local_backend
from mmengine.hooks import Hook
from mmseg.registry import HOOKS


def kill(*args):
    os.kill(os.getpid(), signal.SIGKILL)


def spoilt(losses):
    return losses | {'decode.loss_ce': losses['decode.loss_ce'] * float('nan')}


class Killing(io.FileIO):
    def write(self, data):
        super().write(data[: len(data) // 2])
        kill()


@HOOKS.register_module()
class Fault(Hook):
    def __init__(self, during, iteration, rank=0):
        self.during, self.iteration, self.rank = during, iteration, rank

    def now(self, during, runner, offset=1):
        place = runner.iter + offset, get_rank()
        return during == self.during and place == (self.iteration, self.rank)

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if self.now('iteration', runner):
            next(runner.model.parameters()).register_hook(kill)
        if self.now('loss', runner):
            model = runner.model.module
            model.loss = lambda *args: spoilt(type(model).loss(model, *args))

    def before_save_checkpoint(self, runner, checkpoint):
        if self.now('writing', runner):
            local_backend.open = Killing
        if self.now('full disk', runner):
            resource.setrlimit(resource.RLIMIT_FSIZE, (1000000, 1000000))

    def before_val_iter(self, runner, batch_idx, data_batch=None):
        if batch_idx == 1 and self.now('evaluation', runner, offset=0):
            kill()
"""


def options_of(tmp_path, tiny_config, **fault):
    """A config with a fault, and the environment in which it is found."""
    (tmp_path / 'faults.py').write_text(FAULTS)
    config = tmp_path / 'faulty.py'
    config.write_text(
        f'_base_ = {str(tiny_config)!r}\n'
        "custom_imports = dict(imports=['mmseg_pointrend', 'faults'])\n"
        f"custom_hooks = [dict(type='Fault', **{fault!r})]\n"
    )
    path = os.pathsep.join([str(tmp_path), os.environ.get('PYTHONPATH', '')])
    return config, dict(PYTHONPATH=path)


def train(config, work_dir, *options, **env):
    arguments = ('--work-dir', work_dir, *options)
    return run_tool(sys.executable, 'tools/train.py', config, *arguments, **env)


def resume(tiny_config, work_dir):
    """Go on without the fault; returns what was logged and printed."""
    result = train(tiny_config, work_dir, '--resume')
    assert result.returncode == 0, result.stderr[-3000:]
    return logged_losses(work_dir), result.stdout + result.stderr


def last_words(result):
    assert 'Traceback' not in result.stderr
    return result.stderr.strip().splitlines()[-1]


def rest_of(trained, start):
    """What a training that never stopped logged after an iteration."""
    losses = logged_losses(trained)
    assert sorted(losses) == [1, 2, 3, 4]
    return {step: losses[step] for step in losses if step > start}


def test_killed_while_a_checkpoint_is_written(trained, tiny_config, tmp_path):
    work_dir = tmp_path / 'work'
    config, env = options_of(tmp_path, tiny_config, during='writing', iteration=4)
    # Were the old checkpoint removed before the new one is there, none would be left.
    keep_one = ('--cfg-options', 'default_hooks.checkpoint.max_keep_ckpts=1')
    assert train(config, work_dir, *keep_one, **env).returncode == -signal.SIGKILL
    half, whole = sorted(work_dir.glob('*.pth'))
    assert half.name.startswith('.iter_4.')
    assert whole.name == 'iter_2.pth'
    assert half.stat().st_size > 1e6
    losses, _ = resume(tiny_config, work_dir)
    assert losses == rest_of(trained, 2)
    assert not half.exists()


@pytest.mark.slow
def test_killed_during_an_iteration(trained, tiny_config, tmp_path):
    work_dir = tmp_path / 'work'
    config, env = options_of(tmp_path, tiny_config, during='iteration', iteration=4)
    assert train(config, work_dir, **env).returncode == -signal.SIGKILL
    assert sorted(logged_losses(work_dir)) == [1, 2, 3]
    (work_dir / 'last_checkpoint').write_text('')
    losses, output = resume(tiny_config, work_dir)
    assert losses == rest_of(trained, 2)
    assert f'names no checkpoint; going on from {work_dir}/iter_2.pth.' in output


@pytest.mark.slow
def test_killed_during_an_evaluation(trained, tiny_config, tmp_path):
    work_dir = tmp_path / 'work'
    config, env = options_of(tmp_path, tiny_config, during='evaluation', iteration=4)
    killed = train(config, work_dir, **env)
    assert killed.returncode == -signal.SIGKILL
    assert 'mIoU: ' not in killed.stdout
    assert logged_losses(work_dir) == rest_of(trained, 0)
    result = train(tiny_config, work_dir, '--resume')
    figures = 'mIoU: '
    (whole,) = lines_with(figures, (trained / 'stdout.txt').read_text())
    (resumed,) = lines_with(figures, result.stdout)
    assert resumed == whole


def lines_with(figures, output):
    return [
        line.split(figures)[1].split('data_time')[0]
        for line in output.splitlines()
        if figures in line
    ]


@pytest.mark.slow
def test_a_full_disk_is_a_sentence(trained, tiny_config, tmp_path):
    work_dir = tmp_path / 'work'
    config, env = options_of(tmp_path, tiny_config, during='full disk', iteration=4)
    keep_one = ('--cfg-options', 'default_hooks.checkpoint.max_keep_ckpts=1')
    result = train(config, work_dir, *keep_one, **env)
    assert result.returncode == 1
    words = last_words(result)
    assert f'error: cannot write {work_dir}/iter_4.pth (File too large)' in words
    assert [path.name for path in work_dir.glob('*.pth')] == ['iter_2.pth']
    assert (work_dir / 'last_checkpoint').read_text() == f'{work_dir}/iter_2.pth'
    losses, _ = resume(tiny_config, work_dir)
    assert losses == rest_of(trained, 2)


SMALL_DISK = """
mount -t tmpfs -o size=$1 tmpfs "$2" || exit 99
work_dir=$2; shift 2; "$@"; status=$?
ls -A "$work_dir" "$work_dir"/work; cat "$work_dir"/work/last_checkpoint; exit $status
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ('size', 'kept', 'words'),
    [
        ('4m', 'iter_2.pth', 'iter_4.pth (No space left on device): 1.'),
        ('12k', 'work', 'No space left on device: make room and run this again'),
    ],
)
def test_a_small_disk(tiny_config, tmp_path, size, kept, words):
    disk = tmp_path / 'disk'
    disk.mkdir()
    unshare = ('unshare', '--mount', '--user', '--map-root-user')
    try:
        mountable = subprocess.run(
            [*unshare, 'mount', '-t', 'tmpfs', 'tmpfs', disk], capture_output=True
        )
    except FileNotFoundError:
        pytest.skip('needs unshare')
    if mountable.returncode != 0:
        pytest.skip('needs the right to mount')
    command = (sys.executable, 'tools/train.py', tiny_config)
    result = run_tool(
        *(*unshare, 'sh', '-c', SMALL_DISK, 'sh', size, disk, *command),
        *('--work-dir', disk / 'work'),
    )
    assert result.returncode == 1
    (error,) = [li for li in result.stderr.splitlines() if li.startswith('error: ')]
    assert words in error
    assert kept in result.stdout
    assert '.tmp' not in result.stdout
    assert result.stdout.endswith('iter_2.pth') == (kept == 'iter_2.pth')


def train_in_two(config, work_dir, *options, **env):
    arguments = ('--work-dir', work_dir, *options)
    return run_tool('tools/dist_train.sh', config, 2, *arguments, **env)


@pytest.mark.slow
def test_one_of_two_processes_dies(tiny_config, tmp_path):
    whole = train_in_two(tiny_config, tmp_path / 'whole')
    assert whole.returncode == 0, whole.stderr[-3000:]
    config, env = options_of(
        tmp_path, tiny_config, during='iteration', iteration=4, rank=1
    )
    work_dir = tmp_path / 'work'
    result = train_in_two(config, work_dir, **env)
    assert result.returncode == 1
    assert re.search(r'rank +: 1 ', result.stderr)
    assert 'Signal 9 (SIGKILL) received by PID' in result.stderr
    assert (work_dir / 'last_checkpoint').read_text() == f'{work_dir}/iter_2.pth'
    resumed = train_in_two(tiny_config, work_dir, '--resume')
    assert resumed.returncode == 0, resumed.stderr[-3000:]
    assert logged_losses(work_dir) == rest_of(tmp_path / 'whole', 2)


@pytest.mark.slow
def test_an_invalid_loss_of_one_process_is_one_of_all(tiny_config, tmp_path):
    config, env = options_of(tmp_path, tiny_config, during='loss', iteration=2, rank=1)
    work_dir = tmp_path / 'work'
    skip_one = ('--cfg-options', 'default_hooks.invalid_loss.max_skips=1')
    result = train_in_two(config, work_dir, *skip_one, **env)
    assert result.returncode == 1
    assert 'Skipped: the loss or a gradient is not finite at iteration 2' in (
        result.stdout + result.stderr
    )
    errors = [li for li in result.stderr.splitlines() if li.startswith('error: the')]
    for error in errors:
        assert 'at iteration 3 (loss nan, decode.loss_ce nan, point.loss_ce 2.' in error
        assert f'--resume goes on from {work_dir}/iter_2.pth' in error
    assert errors
    weights = torch.load(work_dir / 'iter_2.pth')['state_dict']
    assert all(value.isfinite().all() for value in weights.values())
