"""A training goes on from its latest good checkpoint as if it had never stopped."""

from __future__ import annotations

import errno
import random
import shutil
from itertools import count

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.fileio import LocalBackend
from mmengine.hooks import Hook

from mmseg_pointrend.engine.checkpoints import last_good_checkpoint
from mmseg_pointrend.engine.config import resume_latest
from mmseg_pointrend.engine.hooks.resumable_checkpoint_hook import (
    random_state,
    set_random_state,
)
from mmseg_pointrend.errors import InputError
from tests.helpers import train_here


@pytest.mark.parametrize('workers', [0, 2])
def test_losses_are_those_of_a_training_that_never_stopped(
    tiny_config, tmp_path, workers
):
    options = {
        'train_dataloader.num_workers': workers,
        'train_dataloader.persistent_workers': workers > 0,
        'train_cfg.max_iters': 5,
        'train_cfg.val_interval': 3,
        'default_hooks.checkpoint.interval': 3,
        'default_hooks.checkpoint.save_best': 'mIoU',
    }
    whole = train_here(tiny_config, tmp_path, **options)
    assert list(whole.evaluations) == [3, 5]
    (tmp_path / 'last_checkpoint').write_text(str(tmp_path / 'iter_3.pth'))
    resumed = train_here(tiny_config, tmp_path, resume=True, **options)
    assert resumed.losses == {step: whole.losses[step] for step in (4, 5)}
    assert resumed.evaluations == whole.evaluations


class Improvement(Hook):
    """Makes every evaluation the best one."""

    priority = 'VERY_HIGH'

    def __init__(self):
        self.figures = count()

    def after_val_epoch(self, runner, metrics=None):
        metrics['mIoU'] = next(self.figures)


def test_the_best_checkpoint_is_replaced_by_a_complete_one(
    tiny_config, tmp_path, monkeypatch
):
    better = Improvement()
    options = {
        'train_cfg.max_iters': 2,
        'train_cfg.val_interval': 2,
        'default_hooks.checkpoint.save_best': 'mIoU',
    }

    def names():
        return sorted(path.name for path in tmp_path.glob('best*'))

    train_here(tiny_config, tmp_path, better, **options)
    assert names() == ['best_mIoU_iter_2.pth']
    # The evaluation that a resumed training begins with may come out better.
    train_here(tiny_config, tmp_path, better, resume=True, **options)
    assert names() == ['best_mIoU_iter_2.pth']

    put = LocalBackend.put

    def fail(self, content, path):
        if 'best_mIoU_iter_4' in str(path):
            raise OSError(errno.ENOSPC, 'No space left on device')
        put(self, content, path)

    options['train_cfg.max_iters'] = 4
    with monkeypatch.context() as patch:
        patch.setattr(LocalBackend, 'put', fail)
        sentence = r'^cannot write .*best_mIoU_iter_4.pth \(No space left on device\)'
        with pytest.raises(InputError, match=sentence):
            train_here(tiny_config, tmp_path, better, resume=True, **options)
    assert names() == ['best_mIoU_iter_2.pth']
    train_here(tiny_config, tmp_path, better, resume=True, **options)
    assert names() == ['best_mIoU_iter_4.pth']


def test_a_random_state_goes_on_where_it_was_taken_and_is_safe_to_load(tmp_path):
    torch.save(random_state(), tmp_path / 'state.pth')

    def draw():
        return random.random(), np.random.rand(), torch.rand(()).item()

    drawn = draw()
    set_random_state(torch.load(tmp_path / 'state.pth', weights_only=True))
    assert draw() == drawn


@pytest.mark.parametrize('position', [-1, 625, 10**8, 1.0, True])
def test_a_random_state_outside_of_the_generator_is_refused(position):
    state = random_state()
    state['numpy']['state']['pos'] = position
    with pytest.raises(InputError, match=r'random state of numpy at .* 0 to 624'):
        set_random_state(state)


@pytest.mark.parametrize('meta', [[1], dict(iter='x'), dict(iter=2, seed='7'), {}])
def test_what_is_no_meta_information_is_nothing_to_resume_from(tmp_path, meta):
    content = dict(state_dict={}, meta=meta, message_hub={})
    torch.save(content, tmp_path / 'iter_2.pth')
    assert last_good_checkpoint(tmp_path) is None


def test_resume_prefers_the_work_dir_and_keeps_the_seed_of_its_start(tmp_path):
    cfg = Config(dict(work_dir=str(tmp_path), load_from='start.pth'))
    resume_latest(cfg)
    assert cfg.load_from == 'start.pth'
    assert not cfg.get('resume')
    save(tmp_path / 'iter_2.pth')
    (tmp_path / 'last_checkpoint').write_text(str(tmp_path / 'iter_2.pth'))
    resume_latest(cfg)
    assert cfg.load_from == str(tmp_path / 'iter_2.pth')
    assert cfg.resume
    assert cfg.randomness.seed == 7
    cfg.randomness.seed = 1
    resume_latest(cfg)
    assert cfg.randomness.seed == 1


def save(path, **weights):
    meta = dict(iter=2, seed=7)
    torch.save(dict(state_dict=weights, meta=meta, message_hub={}), path)


@pytest.mark.parametrize(
    ('pointer', 'reasons'),
    [
        (None, '{0}/last_checkpoint names no checkpoint; '),
        ('', '{0}/last_checkpoint names no checkpoint; '),
        ('{0}/iter_1', '{0}/iter_1 is missing; '),
        ('{0}/iter_100.pth', ''),
        ('A' * 300, '{0}/' + 'A' * 300 + ' is missing; '),
        ('{0}/iter_9.pth', None),
        ('/moved/from/here/iter_9.pth', None),
    ],
)
def test_the_latest_good_checkpoint_replaces_a_bad_one(
    tmp_path, capsys, pointer, reasons
):
    for name in ('iter_9.pth', 'iter_20.pth', 'iter_100.pth', 'best_iter_500.pth'):
        save(tmp_path / name)
    whole = (tmp_path / 'iter_100.pth').read_bytes()
    (tmp_path / 'iter_100.pth').write_bytes(whole[:-100])
    if pointer is not None:
        (tmp_path / 'last_checkpoint').write_text(pointer.format(tmp_path))
    path, content = last_good_checkpoint(tmp_path)
    assert content['meta']['iter'] == 2
    error = capsys.readouterr().err
    if reasons is None:
        assert path == tmp_path / 'iter_9.pth'
        assert error == ''
    else:
        assert path == tmp_path / 'iter_20.pth'
        bad = f'{tmp_path}/iter_100.pth is damaged or has weights alone'
        reasons = reasons.format(tmp_path)
        assert error == f'warning: {reasons}{bad}; going on from {path}.\n'


def test_a_bad_byte_anywhere_in_a_checkpoint_is_found_or_changes_nothing(tmp_path):
    path = tmp_path / 'iter_2.pth'
    save(path, weight=torch.zeros(1000))
    whole = path.read_bytes()
    expected = torch.load(path)
    found = []
    for place in {*range(0, len(whole), 97), *range(len(whole) - 1500, len(whole), 7)}:
        path.write_bytes(whole[:place] + b'\xa5' + whole[place + 1 :])
        good = last_good_checkpoint(tmp_path)
        found.append(good is None)
        assert found[-1] or str(good[1]) == str(expected)
    assert sum(found) > len(found) / 2


def test_weights_alone_are_nothing_to_resume_from(tmp_path):
    torch.save(dict(state_dict={}), tmp_path / 'iter_90000.pth')
    save(tmp_path / 'iter_2.pth')
    path, _ = last_good_checkpoint(tmp_path)
    assert path == tmp_path / 'iter_2.pth'


def test_a_copied_work_dir_goes_on_with_its_own_checkpoints(tmp_path):
    original, copied = tmp_path / 'original', tmp_path / 'copied'
    original.mkdir()
    save(original / 'iter_2.pth')
    (original / 'last_checkpoint').write_text(str(original / 'iter_2.pth'))
    shutil.copytree(original, copied)
    path, _ = last_good_checkpoint(copied)
    assert path == copied / 'iter_2.pth'


def test_checkpoints_outside_of_the_work_dir_are_found(tmp_path):
    elsewhere = tmp_path / 'elsewhere'
    elsewhere.mkdir()
    for name in ('iter_2.pth', 'iter_4.pth'):
        save(elsewhere / name)
    (tmp_path / 'last_checkpoint').write_text(str(elsewhere / 'iter_4.pth'))
    assert last_good_checkpoint(tmp_path)[0] == elsewhere / 'iter_4.pth'
    (elsewhere / 'iter_4.pth').write_bytes(b'')
    assert last_good_checkpoint(tmp_path)[0] == elsewhere / 'iter_2.pth'


def test_a_folder_without_any_good_checkpoint_is_named(tmp_path):
    (tmp_path / 'last_checkpoint').write_text('iter_2.pth')
    with pytest.raises(InputError, match=r'no checkpoint that can be read: remove'):
        resume_latest(Config(dict(work_dir=str(tmp_path))))
