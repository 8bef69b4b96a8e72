"""A row of versions says what happened, and the ranges are the same everywhere."""

from __future__ import annotations

import runpy

import pytest

from mmseg_pointrend.compat import NUMPY_BELOW, TORCH_MIN
from tests.helpers import ROOT

tomllib = pytest.importorskip('tomllib')  # Python 3.11


@pytest.fixture
def tool():
    return runpy.run_path(str(ROOT / 'tests/check_versions.py'))


@pytest.fixture
def python(tmp_path):
    """Make an interpreter that fails or passes at import and in its tests."""

    def make(imported, tested):
        path = tmp_path / 'python'
        path.write_text(
            '#!/bin/sh\n'
            'case "$*" in\n'
            f'*import*) {imported};;\n'
            f'*pytest*) {tested};;\n'
            'esac\n'
        )
        path.chmod(0o755)
        return path

    return make


def test_the_ranges_are_those_that_the_import_checks():
    project = tomllib.loads((ROOT / 'pyproject.toml').read_text())['project']
    assert project['requires-python'] == '>=3.10'
    assert f'torch>={TORCH_MIN.removesuffix(".0")}' in project['dependencies']
    below = NUMPY_BELOW.removesuffix('.0')
    assert f'numpy>=1.26,<{below}' in project['dependencies']


def test_a_row_changes_the_pinned_requirements(tool):
    pinned = (ROOT / 'requirements.txt').read_text().split()
    for name, row in tool['ROWS'].items():
        lines = tool['requirements'](row)
        assert set(row.instead.values()) <= set(lines), name
        assert len(set(pinned) - set(lines)) == len(row.instead), name
        assert any(line.startswith('pytest==') for line in lines)
    assert f'torch=={TORCH_MIN}' in tool['requirements'](tool['ROWS']['oldest'])


@pytest.mark.parametrize(
    ('imported', 'tested', 'refused', 'result'),
    [
        ('true', 'echo 3 passed, 1 skipped in 2s', None, '3 passed, 1 skipped'),
        ('true', 'echo 1 failed, 2 passed in 2s', None, '1 failed, 2 passed'),
        ('true', 'echo no module pytest', None, 'FAILED: no module pytest'),
        ('echo "ImportError: torch 1 is too old" >&2; exit 1', '', None, 'FAILED: Imp'),
        (
            'echo "ImportError: torch 1 is too old" >&2; exit 1',
            '',
            'torch 1',
            'refused: ',
        ),
        ('echo "ValueError: torch" >&2; exit 1', '', 'torch 1', 'FAILED: ValueError'),
        ('true', '', 'torch 1', 'FAILED: imported'),
    ],
)
def test_a_row_says_what_happened(
    imported, tested, refused, result, tool, python, tmp_path
):
    row = tool['Row'](refused=refused)
    path = python(imported, tested)
    said = tool['result_of'](path, row, 'quick', tmp_path / 'log')
    assert said.startswith(result)


def test_a_row_that_cannot_be_installed_says_so(tool, tmp_path):
    said = tool['check']('old', tool['Row']('0.1'), 'quick', tmp_path)
    assert said.startswith('not installed')
