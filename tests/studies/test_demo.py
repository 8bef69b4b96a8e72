from __future__ import annotations

import re
import sys

import cv2
import pytest
from mmengine.config import Config

from mmseg_pointrend.engine.runner import build_runner
from mmseg_pointrend.studies.demo.run import draw_comparison
from tests.helpers import run_tool


@pytest.fixture
def runner(tiny_config, trained, tmp_path):
    cfg = Config.fromfile(tiny_config)
    cfg.update(
        work_dir=str(tmp_path),
        load_from=str(trained / 'iter_4.pth'),
        launcher='none',
        experiment_name=tmp_path.name,
    )
    runner = build_runner(cfg)
    runner.load_or_resume()
    return runner


def test_the_picture_is_drawn(runner, tmp_path):
    draw_comparison(runner, tmp_path / 'picture.png')
    picture = cv2.imread(str(tmp_path / 'picture.png'))
    assert picture.shape[1] == 1500
    assert picture.std() > 20
    assert not list(tmp_path.glob('*.tmp.png'))


@pytest.mark.slow
def test_the_demo_trains_and_rendering_helps(tmp_path):
    result = run_tool(
        *(sys.executable, 'tools/demo.py', '--work-dir', tmp_path),
        timeout=1800,
        OMP_NUM_THREADS='2',
    )
    assert result.returncode == 0, result.stderr[-3000:]
    plain = float(re.findall(r'one bilinear resize: ([\d.]+)', result.stdout)[-1])
    rendered = float(re.findall(r'PointRend rendering: ([\d.]+)', result.stdout)[-1])
    assert plain > 20
    assert rendered > plain + 2
    assert f'Picture: {tmp_path}/pointrend.png' in result.stdout
    assert (tmp_path / 'pointrend.png').is_file()
