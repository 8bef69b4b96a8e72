"""Commands are printed in the way the one that prints them was started."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from mmseg_pointrend.engine.commands import start
from mmseg_pointrend.engine.config import load_config
from mmseg_pointrend.errors import InputError


@pytest.mark.parametrize(
    ('started', 'one', 'two'),
    [
        (
            'checkout/tools/new_config.py',
            [sys.executable, 'checkout/tools/train.py', 'a b.py'],
            ['checkout/tools/dist_train.sh', 'a b.py', '2'],
        ),
        (
            '/env/bin/pointrend',
            ['pointrend', 'train', 'a b.py'],
            [
                *('torchrun', '--nproc_per_node=2', '-m', 'pointrend_cli'),
                *('train', 'a b.py', '--launcher', 'pytorch'),
            ],
        ),
    ],
)
def test_a_command_starts_as_the_one_that_prints_it(
    started, one, two, monkeypatch, tmp_path
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr('sys.argv', [started])
    monkeypatch.setenv('PATH', '')
    assert start('train', tmp_path / 'a b.py') == one
    assert start('train', 'a b.py', 2) == two


def test_a_config_of_the_package_is_read_from_any_folder(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    name = 'pointrend_deeplabv3plus_r18-d16_demo-256x512'
    cfg = load_config(f'mmseg_pointrend::{name}.py')
    assert cfg.work_dir == f'work_dirs/{name}'
    assert Path(cfg.filename).is_file()
    with pytest.raises(InputError, match=r'configs/nothing\.py does not exist'):
        load_config('mmseg_pointrend::nothing.py')
