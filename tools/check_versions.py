"""Run the tests against other versions of Python and of the libraries.

tools/check_versions.py                       # every row, the tests that are not slow
tools/check_versions.py onedl newest --tests quick
tools/check_versions.py --here my-cluster     # the environment this Python runs in

Each row is installed by venv and pip into an environment of its own, which is removed
when its tests have run. The result of a row replaces its older one; all of them make
the table. Needs Python 3.11 or newer, and pythonX.Y of a row in the PATH.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from datetime import date
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
LIBRARIES = ('torch', 'numpy', 'mmcv', 'mmengine', 'mmseg')
VERSIONS = f"""
import json, platform
from importlib.metadata import packages_distributions, version
owners = packages_distributions()
found = {{'python': platform.python_version()}}
for name in {LIBRARIES!r}:
    package = owners.get(name, [name])[0]  # Python 3.10 does not know them all
    found[name] = ('' if package == name else package + ' ') + version(package)
print(json.dumps(found))
"""


def requirements(row: Row) -> list[str]:
    """The lines of requirements.txt as the row changes them, and what tests need."""
    lines = (ROOT / 'requirements.txt').read_text().split()
    lines = [row.instead.get(re.split('[<>=]', line)[0], line) for line in lines]
    extras = tomllib.loads((ROOT / 'pyproject.toml').read_text())['project']
    extras = extras['optional-dependencies']
    wanted = [*extras['lite'], *extras['dev']]
    unneeded = ('mmseg-pointrend', 'ruff', 'mypy')
    return lines + [line for line in wanted if not line.startswith(unneeded)]


def install(row: Row, folder: Path, log: Path) -> Path:
    """Make the environment of a row; its Python."""
    python = folder / 'bin/python'
    lines = requirements(row)
    compiled = [line for line in lines if row.build and line.startswith('mmcv')]
    with log.open('w') as file:

        def run(*command: object) -> None:
            words = [str(word) for word in command]
            print('$', *words, file=file, flush=True)
            subprocess.run(words, check=True, stdout=file, stderr=file, cwd=ROOT)

        pip = [python, '-m', 'pip', 'install', '--disable-pip-version-check']
        run(f'python{row.python}', '-m', 'venv', '--clear', folder)
        run(*pip, *row.build, *(line for line in lines if line not in compiled))
        if compiled:
            run(*pip, *row.build, '--no-build-isolation', *compiled)
        run(*pip, '--no-deps', '-e', '.')
    return python


def result_of(python: Path, tests: str, refused: str | None, log: Path) -> str:
    """Import the package, and run the tests if that is to work."""
    env = {**os.environ, 'PYTHONPATH': ''}
    where = dict(cwd=ROOT, env=env, text=True)
    tried = subprocess.run(
        [python, 'tools/train.py', '--help'], capture_output=True, **where
    )
    said = (tried.stderr.strip() or 'imported').splitlines()[-1]
    if refused:
        ok = tried.returncode == 1 and said.startswith(f'error: {refused}')
        return f'refused: {said.removeprefix("error: ")}' if ok else f'FAILED: {said}'
    if tried.returncode:
        return f'FAILED: {said}'
    command = [python, '-m', 'pytest', '-q', *TESTS[tests]]
    with log.open('a') as file:
        subprocess.run(command, stdout=file, stderr=subprocess.STDOUT, **where)
    last = log.read_text().strip().splitlines()[-1].strip('= ')
    counts = re.findall(r'\d+ (?:failed|passed|skipped|errors?)', last)
    return ', '.join(counts) or f'FAILED: {last}'


def check(name: str, row: Row | None, tests: str, work_dir: Path) -> dict[str, str]:
    """Install and test a row; without a row, the environment we are in."""
    log = work_dir / f'{name}.log'
    folder = work_dir / f'{name}-env'
    found = {'python': row.python} if row else {}
    try:
        python = install(row, folder, log) if row else Path(sys.executable)
        printed = subprocess.check_output([python, '-c', VERSIONS], text=True)
        found = json.loads(printed)
        result = result_of(python, tests, row.refused if row else None, log)
    except (subprocess.CalledProcessError, FileNotFoundError) as error:
        result = f'not installed: {error}'
    if row:
        shutil.rmtree(folder, ignore_errors=True)
    ran = 'import' if row and row.refused else tests
    return {**found, 'tests': ran, 'result': result, 'date': str(date.today())}


def table(results: dict[str, dict[str, str]]) -> str:
    """The results as Markdown."""
    columns = ('python', *LIBRARIES, 'tests', 'result')
    lines = [['row', *columns], ['---'] * (len(columns) + 1)]
    lines += [
        [name, *(row.get(c, '') for c in columns)] for name, row in results.items()
    ]
    return '\n'.join(f'| {" | ".join(line)} |' for line in lines)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('rows', nargs='*', metavar='ROW', help=', '.join(ROWS))
    parser.add_argument('--here', metavar='NAME', help='test this environment instead')
    parser.add_argument('--tests', choices=TESTS, default='fast')
    parser.add_argument('--work-dir', type=Path, default=Path('work_dirs/versions'))
    args = parser.parse_args()
    unknown = set(args.rows) - set(ROWS)
    if unknown:
        parser.error(f'no row {", ".join(sorted(unknown))}: give {", ".join(ROWS)}.')
    work_dir = args.work_dir.resolve()
    work_dir.mkdir(parents=True, exist_ok=True)
    path = work_dir / 'results.json'
    results = json.loads(path.read_text()) if path.is_file() else {}
    names = [args.here] if args.here else args.rows or list(ROWS)
    for name in names:
        row = None if args.here else ROWS[name]
        results[name] = check(name, row, args.tests, work_dir)
        print(f'{name}: {results[name]["result"]}', flush=True)
        temporary = path.with_suffix('.tmp')
        temporary.write_text(json.dumps(results, indent=1))
        os.replace(temporary, path)
    print(table(results))
    bad = re.compile(r'FAILED|not installed|\d (failed|error)')
    if any(bad.search(results[name]['result']) for name in names):
        raise SystemExit(1)


if __name__ == '__main__':
    main()
