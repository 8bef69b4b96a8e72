"""Run the tests against other versions of Python and of the libraries.

tests/check_versions.py                       # every row, the tests that are not slow
tests/check_versions.py onedl newest --tests quick

Each row is installed by venv and pip into an environment of its own, which is removed
when its tests have run; logs stay in --work-dir. Needs Python 3.11 or newer, and
pythonX.Y of a row in the PATH.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import tomllib

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Row:
    """An environment.

    Attributes:
        python: version of the interpreter.
        instead: requirements that take the place of lines of requirements.txt.
        build: what compiling the one for mmcv-lite needs; it sees the environment.
        refused: how the sentence begins with which the import must fail.
    """

    python: str = '3.11'
    instead: dict[str, str] = field(default_factory=dict)
    build: tuple[str, ...] = ()
    refused: str | None = None


ROWS = {
    'pinned': Row(),
    'mmcv': Row(
        instead={'mmcv-lite': 'mmcv==2.1.0'},
        build=('setuptools<80', 'wheel', 'psutil', 'ninja'),
    ),
    'onedl': Row(
        instead={
            'mmcv-lite': 'onedl-mmcv==2.3.6',
            'mmengine': 'onedl-mmengine==0.10.12',
            'mmsegmentation': 'onedl-mmsegmentation==1.4.2',
        }
    ),
    'oldest': Row(
        '3.10',
        {
            'torch': 'torch==2.10.0',
            'numpy': 'numpy==1.26.4',
            'opencv-python': 'opencv-python==4.11.0.86',
        },
    ),
    'newest': Row('3.13', {'torch': 'torch'}),
    'python3.10': Row('3.10'),
    'python3.12': Row('3.12'),
    'python3.13': Row('3.13'),
    'torch2.9': Row(instead={'torch': 'torch==2.9.1'}, refused='torch 2.9.1'),
    'mmcv2.2': Row(instead={'mmcv-lite': 'mmcv-lite==2.2.0'}, refused='mmcv 2.2.0'),
    'numpy2.4': Row(instead={'numpy': 'numpy==2.4.0'}, refused='numpy 2.4.0'),
}
QUICK = [
    'tests/rendering/test_points.py',
    'tests/rendering/test_label_rendering.py',
    'tests/models/test_point_rend_head.py',
    'tests/models/test_segmentor.py',
    'tests/models/test_parity.py',
    'tests/engine/test_checkpoints.py',
    'tests/engine/test_untrusted_checkpoints.py',
]
TESTS = {'quick': ['-m', 'not slow', *QUICK], 'fast': ['-m', 'not slow'], 'all': []}


def requirements(row: Row) -> list[str]:
    """List requirements.txt as the row changes it, and what tests need."""
    lines = (ROOT / 'requirements.txt').read_text().split()
    lines = [row.instead.get(re.split('[<>=]', line)[0], line) for line in lines]
    project = tomllib.loads((ROOT / 'pyproject.toml').read_text())['project']
    extras = project['optional-dependencies']
    unneeded = ('mmseg-pointrend', 'ruff', 'mypy')
    extra = [*extras['lite'], *extras['dev']]
    return lines + [line for line in extra if not line.startswith(unneeded)]


def install(row: Row, folder: Path, log: Path) -> Path:
    """Make the environment of a row; returns its Python."""
    python = folder / 'bin/python'
    lines = requirements(row)
    compiled = [line for line in lines if row.build and line.startswith('mmcv')]
    pip = [python, '-m', 'pip', 'install', '--disable-pip-version-check', *row.build]
    commands = [
        [f'python{row.python}', '-m', 'venv', '--clear', folder],
        [*pip, *(line for line in lines if line not in compiled)],
        *([[*pip, '--no-build-isolation', *compiled]] if compiled else []),
        [*pip, '--no-deps', '-e', '.'],
        [python, '-m', 'pip', 'freeze'],
    ]
    with log.open('w') as file:
        for command in commands:
            subprocess.run(command, check=True, stdout=file, stderr=file, cwd=ROOT)
    return python


def result_of(python: Path, row: Row, tests: str, log: Path) -> str:
    """Import the package, and run the tests if that is to work."""
    where = dict(cwd=ROOT, env={**os.environ, 'PYTHONPATH': ''}, text=True)
    command = [python, '-c', 'import mmseg_pointrend']
    tried = subprocess.run(command, capture_output=True, **where)
    said = (tried.stderr.strip() or 'imported').splitlines()[-1]
    if row.refused:
        ok = tried.returncode == 1 and said.startswith(f'ImportError: {row.refused}')
        return f'refused: {said.split(": ", 1)[1]}' if ok else f'FAILED: {said}'
    if tried.returncode:
        return f'FAILED: {said}'
    command = [python, '-m', 'pytest', '-q', *TESTS[tests]]
    with log.open('a') as file:
        subprocess.run(command, stdout=file, stderr=subprocess.STDOUT, **where)
    last = log.read_text().strip().splitlines()[-1].strip('= ')
    counts = re.findall(r'\d+ (?:failed|passed|skipped|errors?)', last)
    return ', '.join(counts) or f'FAILED: {last}'


def check(name: str, row: Row, tests: str, work_dir: Path) -> str:
    """Install and test a row; returns what came out."""
    log, folder = work_dir / f'{name}.log', work_dir / f'{name}-env'
    try:
        return result_of(install(row, folder, log), row, tests, log)
    except (subprocess.CalledProcessError, FileNotFoundError) as error:
        return f'not installed: {error}'
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('rows', nargs='*', metavar='ROW', help=', '.join(ROWS))
    parser.add_argument('--tests', choices=TESTS, default='fast')
    parser.add_argument('--work-dir', type=Path, default=Path('work_dirs/versions'))
    args = parser.parse_args()
    unknown = set(args.rows) - set(ROWS)
    if unknown:
        parser.error(f'no row {", ".join(sorted(unknown))}: give {", ".join(ROWS)}.')
    args.work_dir.mkdir(parents=True, exist_ok=True)
    results = []
    for name in args.rows or ROWS:
        result = check(name, ROWS[name], args.tests, args.work_dir.resolve())
        print(f'{name}: {result}', flush=True)
        results.append(result)
    bad = re.compile(r'FAILED|not installed|\d (failed|error)')
    if any(bad.search(result) for result in results):
        raise SystemExit(1)


if __name__ == '__main__':
    main()
