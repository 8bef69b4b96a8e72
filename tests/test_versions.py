"""Versions that cannot work are refused at import, in one sentence."""

from __future__ import annotations

import re
import sys

import pytest
from conftest import run_tool

from mmseg_pointrend.versions import check_numpy_version, check_torch_version


@pytest.mark.parametrize('version', ['1.13.1', '2.5.1+cu121', '2.9.1', '2.10.0rc1'])
def test_a_torch_that_reads_checkpoints_unsafely_is_refused(version):
    with pytest.raises(ImportError, match=rf'^torch {re.escape(version)} is too old'):
        check_torch_version(version)


def test_the_supported_ends_pass():
    for version in ('2.10.0', '2.10.0+cu128', '2.13.0+cpu', '2.15.0', '2.16.0a0+git1'):
        check_torch_version(version)
    for version in ('1.26.4', '2.3.5'):
        check_numpy_version(version)


def test_a_numpy_without_what_cityscapes_evaluation_calls_is_refused():
    with pytest.raises(ImportError, match=r"^numpy 2.4.0 .* 'numpy<2.4"):
        check_numpy_version('2.4.0')


def import_with(statement):
    """Import the package in a tool after a statement that changes a version."""
    code = (
        f'import sys, runpy, mmcv, mmengine, torch, numpy; {statement}; '
        'sys.argv = ["train.py", "x.py"]; '
        'runpy.run_path("tools/train.py", run_name="__main__")'
    )
    return run_tool(sys.executable, '-c', code)


@pytest.mark.parametrize(
    ('statement', 'said'),
    [
        ('mmcv.__version__ = "2.2.0"', 'mmcv 2.2.0 with mmengine'),
        ('mmcv.__version__ = "1.7.1"', 'mmcv 1.7.1 with mmengine'),
        ('mmengine.__version__ = "1.0.0"', 'mmengine 1.0.0 does not'),
        ('torch.__version__ = "2.9.1"', 'torch 2.9.1 is too old'),
        ('numpy.__version__ = "2.4.0"', 'numpy 2.4.0 is too new'),
        ('sys.version_info = (3, 9, 18)', 'make an environment with Python 3.10'),
    ],
)
def test_an_unsupported_version_ends_a_tool_with_one_sentence(statement, said):
    result = import_with(statement)
    assert result.returncode == 1
    lines = result.stderr.strip().splitlines()
    assert lines[-1].startswith('error: ')
    assert said in lines[-1]
    assert 'Traceback' not in result.stderr
