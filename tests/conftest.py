"""Fixtures shared by the tests."""

from __future__ import annotations

import os

if 'PYTEST_XDIST_WORKER' in os.environ:  # a core each; torch reads it at import
    os.environ.setdefault('OMP_NUM_THREADS', '1')

import mmseg_pointrend  # noqa: F401  isort: skip  (must come before mmseg)

import sys
from functools import partial
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.optim.optimizer import amp_optimizer_wrapper
from mmseg.registry import MODELS
from mmseg.utils import register_all_modules

from mmseg_pointrend.datasets.checked import CheckedCityscapesDataset
from mmseg_pointrend.studies.demo.street_scenes import write_dataset
from tests.helpers import POINT_HEAD, ROOT, TINY, batch, run_tool


@pytest.fixture(autouse=True)
def _scope_and_seed() -> None:
    register_all_modules(init_default_scope=True)
    torch.manual_seed(0)


@pytest.fixture(scope='session')
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Street scenes of 72x136 pixels: 6 for training, 3 to validate, 1 to test."""
    root = tmp_path_factory.mktemp('scenes')
    write_dataset(root, num_train=6, num_val=3, num_test=1, size=(72, 136))
    return root


@pytest.fixture(scope='session')
def tiny_config(tmp_path_factory: pytest.TempPathFactory, scenes: Path) -> Path:
    """A config file that trains a tiny model on the scenes; ``plain.py`` beside it."""
    folder = tmp_path_factory.mktemp('configs')
    for name, prefix, point_head in (
        ('tiny', 'pointrend_', POINT_HEAD),
        ('plain', '', ''),
    ):
        base = ROOT / f'configs/{prefix}deeplabv3plus_r18-d16_demo-256x512.py'
        text = TINY.format(base=str(base), data=str(scenes), point_head=point_head)
        (folder / f'{name}.py').write_text(text)
    return folder / 'tiny.py'


@pytest.fixture(scope='session')
def trained(tmp_path_factory: pytest.TempPathFactory, tiny_config: Path) -> Path:
    """Work folder of a tiny model trained for four iterations by ``tools/train.py``."""
    work_dir = tmp_path_factory.mktemp('trained')
    result = run_tool(
        sys.executable, 'tools/train.py', tiny_config, '--work-dir', work_dir
    )
    assert result.returncode == 0, result.stderr
    (work_dir / 'stdout.txt').write_text(result.stdout)
    return work_dir


@pytest.fixture
def plain_checkpoint(tmp_path: Path, tiny_config: Path) -> Path:
    """Weights of ``plain.py``, whose BatchNorm has seen something."""
    model = MODELS.build(Config.fromfile(tiny_config.with_name('plain.py')).model)
    model.init_weights()
    for _ in range(3):
        model.train().loss(*batch((64, 128), num_classes=19))
    path = tmp_path / 'plain.pth'
    classes = CheckedCityscapesDataset.METAINFO['classes']
    meta = dict(dataset_meta=dict(classes=classes))
    torch.save(dict(state_dict=model.state_dict(), meta=meta), path)
    return path


@pytest.fixture
def amp(monkeypatch: pytest.MonkeyPatch) -> None:
    """``AmpOptimWrapper`` with the CPU's scaler where there is no GPU."""
    if torch.cuda.is_available():
        return
    monkeypatch.setattr(amp_optimizer_wrapper, 'is_cuda_available', lambda: True)
    scaler = partial(torch.amp.GradScaler, 'cpu', init_scale=16.0)
    monkeypatch.setattr(amp_optimizer_wrapper, 'GradScaler', scaler)
