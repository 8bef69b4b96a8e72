"""Versions that cannot work are refused at import, in one sentence."""

from __future__ import annotations

import re
import runpy
import sys

import pytest

from mmseg_pointrend import compat
from mmseg_pointrend.compat import check_numpy_version, check_torch_version
from tests.helpers import run_tool


@pytest.mark.parametrize('version', ['1.13.1', '2.5.1+cu121', '2.9.1', '2.10.0rc1'])
def test_a_torch_that_reads_checkpoints_unsafely_is_refused(version):
    with pytest.raises(ImportError, match=rf'^torch {re.escape(version)} is too old'):
        check_torch_version(version)


def test_the_supported_ends_pass():
    for version in ('2.10.0', '2.10.0+cu128', '2.13.0+cpu', '2.15.0', '2.16.0a0+git1'):
        check_torch_version(version)
    for version in ('1.26.4', '2.3.5'):
        check_numpy_version(version)


@pytest.mark.parametrize(
    ('changed', 'value', 'said'),
    [
        ('torch.__version__', '2.9.1', r'torch 2\.9\.1 is too old'),
        ('numpy.__version__', '2.4.0', r'numpy 2\.4\.0 is too new'),
        ('mmcv.__version__', '2.2.0', r'mmcv 2\.2\.0 with mmengine'),
        ('mmcv.__version__', '1.7.1', r'mmcv 1\.7\.1 with mmengine'),
        ('mmengine.__version__', '1.0.0', r'mmengine 1\.0\.0 does not work'),
        ('sys.version_info', (3, 9, 18), r'environment with Python 3\.10 or newer'),
    ],
)
def test_the_import_fails_with_one_sentence(changed, value, said, monkeypatch):
    monkeypatch.setattr(changed, value)
    monkeypatch.delitem(sys.modules, 'mmseg')
    with pytest.raises(ImportError, match=said) as caught:
        runpy.run_path(compat.__file__)
    assert '\n' not in str(caught.value)


def test_an_unsupported_version_ends_a_tool_with_that_sentence():
    code = (
        'import sys, mmcv, runpy; mmcv.__version__ = "2.2.0"; '
        'sys.path.append("tools"); '
        'sys.argv = ["train.py", "x.py"]; '
        'runpy.run_path("tools/train.py", run_name="__main__")'
    )
    result = run_tool(sys.executable, '-c', code)
    assert result.returncode == 1
    assert result.stderr.strip().startswith('error: mmcv 2.2.0 with mmengine')
    assert 'Traceback' not in result.stderr
