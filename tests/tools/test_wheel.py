"""What is built holds everything: it runs where no checkout is."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from pathlib import Path

import pytest

import mmseg_pointrend
from tests.helpers import ROOT, run_tool

NAME = f'mmseg_pointrend-{mmseg_pointrend.__version__}'
BUILT = shutil.ignore_patterns('.*_cache', '__pycache__', '*.egg-info', 'build', 'dist')
BUILD = """
import sys
from setuptools import build_meta

{'sdist': build_meta.build_sdist, 'wheel': build_meta.build_wheel}[sys.argv[1]]('dist')
"""
PLAIN = 'deeplabv3plus_r18-d16_demo-256x512'
FEW = '--cfg-options train_cfg.max_iters=2 train_cfg.val_interval=2'


def build(kind: str, source: Path) -> None:
    result = run_tool(sys.executable, '-c', BUILD, kind, cwd=source, PYTHONPATH='')
    assert result.returncode == 0, result.stderr


@pytest.fixture(scope='module')
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel, built from what the source distribution holds."""
    folder = tmp_path_factory.mktemp('source')
    for name in ('configs', 'docs', 'mmseg_pointrend', 'tests', 'tools'):
        shutil.copytree(ROOT / name, folder / name, symlinks=True, ignore=BUILT)
    for path in (path for path in ROOT.iterdir() if path.is_file()):
        shutil.copy(path, folder)
    build('sdist', folder)
    with tarfile.open(folder / f'dist/{NAME}.tar.gz') as file:
        file.extractall(folder / 'unpacked', filter='data')
    unpacked = folder / 'unpacked' / NAME
    build('wheel', unpacked)
    return unpacked / f'dist/{NAME}-py3-none-any.whl'


def test_the_source_distribution_holds_tests_docs_and_scripts(wheel: Path) -> None:
    unpacked = wheel.parents[1]
    for name in ('configs', 'docs', 'mmseg_pointrend', 'tests', 'tools'):
        files = [path for path in (ROOT / name).rglob('*.*') if path.is_file()]
        files = [path for path in files if path.suffix not in ('.pyc', '.pyo')]
        assert all((unpacked / path.relative_to(ROOT)).is_file() for path in files)
    for name in ('CHANGELOG.md', 'LICENSE', 'Makefile', 'requirements.txt'):
        assert (unpacked / name).is_file()


def test_the_wheel_holds_the_package_its_configs_and_commands(wheel: Path) -> None:
    wanted = {'pointrend_cli.py', 'mmseg_pointrend/.mim/model-index.yml'}
    for folder, pattern in (
        ('mmseg_pointrend', '**/*.py'),
        ('configs', '**/*.py'),
        ('configs', '*.yml'),
        ('tools', '*.py'),
    ):
        place = '' if folder == 'mmseg_pointrend' else 'mmseg_pointrend/.mim/'
        files = (ROOT / folder).glob(pattern)
        wanted |= {f'{place}{path.relative_to(ROOT)}' for path in files}
    held = zipfile.ZipFile(wheel).namelist()
    assert {name for name in held if '.dist-info/' not in name} == wanted


@pytest.fixture(scope='module')
def shell(wheel: Path, tmp_path_factory: pytest.TempPathFactory):
    """Run lines in an empty folder, with the wheel and the libraries of this Python."""
    env = tmp_path_factory.mktemp('environment')
    subprocess.run([sys.executable, '-m', 'venv', '--without-pip', env], check=True)
    python = env / 'bin/python'
    place = run_tool(
        *(python, '-c', 'import sysconfig; print(sysconfig.get_path("purelib"))')
    ).stdout.strip()
    # Of a folder named in a .pth file the .pth files do not count: no editable install.
    Path(place, 'libraries.pth').write_text(sysconfig.get_path('purelib'))
    pip = sys.executable, '-m', 'pip', '--python', python, '--disable-pip-version-check'
    result = run_tool(*pip, 'install', '--no-deps', '--no-index', wheel, cwd=env)
    assert result.returncode == 0, result.stderr
    folder = tmp_path_factory.mktemp('empty')
    path = f'{env}/bin:{os.environ["PATH"]}'

    def run(line: str) -> str:
        result = run_tool('sh', '-c', line, cwd=folder, PATH=path, PYTHONPATH='')
        assert result.returncode == 0, result.stderr[-3000:]
        return result.stdout

    run.folder, run.place = folder, place
    return run


def test_the_version_is_that_of_the_package_and_the_command_is_there(shell) -> None:
    code = "from importlib.metadata import version; print(version('mmseg-pointrend'))"
    assert shell(f'python -c {shlex.quote(code)}') == f'{mmseg_pointrend.__version__}\n'
    assert 'Sharpen a trained model' in shell('pointrend --help')


@pytest.mark.slow
def test_the_commands_run_from_an_empty_folder(shell) -> None:
    imported = shell('python -c "import mmseg_pointrend as m; print(m.__file__)"')
    assert imported.startswith(shell.place)
    said = shell(f'pointrend demo --scenes 4 2 --workers 1 {FEW}')
    assert 'DeepLabv3+, PointRend rendering: ' in said
    assert (shell.folder / 'work_dirs/demo/pointrend.png').is_file()
    shell(f'pointrend train mmseg_pointrend::{PLAIN}.py {FEW}')
    said = shell(
        f'pointrend retrofit mmseg_pointrend::{PLAIN}.py work_dirs/{PLAIN}/iter_2.pth '
        '--work-dir sharp --iterations 2'
    )
    predict = said.splitlines()[-1].removeprefix('Next: ')
    assert predict.startswith('pointrend predict sharp/pointrend.py sharp/iter_2.pth ')
    images = 'work_dirs/demo/street_scenes/leftImg8bit/val'
    shell(predict.replace('IMAGES', images))
    assert len([*(shell.folder / 'predictions/labels').rglob('*.png')]) == 2
    trained = 'sharp/pointrend.py sharp/iter_2.pth'
    said = shell(f'pointrend export {trained} --out m.onnx --size 256 512')
    assert '% of labels are those of the model' in said
    shell(f'pointrend infer m.onnx {images} --out seen')
    shell(
        'python -m torch.distributed.run --standalone --local_addr=127.0.0.1 '
        '--nproc_per_node=2 -m pointrend_cli train sharp/pointrend.py '
        '--launcher pytorch --work-dir two'
    )
    assert (shell.folder / 'two/iter_2.pth').is_file()
