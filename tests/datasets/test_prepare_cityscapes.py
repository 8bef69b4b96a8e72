"""The Cityscapes preparation, run as a user runs it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mmseg_pointrend.datasets.preparation import prepare_cityscapes as module
from mmseg_pointrend.datasets.preparation.prepare_cityscapes import prepare_cityscapes
from mmseg_pointrend.errors import InputError
from tests.helpers import ROOT, run_tool

FRAMES = {
    'train': ('aachen/aachen_000000_000019', 'ulm/ulm_000001_000019'),
    'val': ('lindau/lindau_000000_000019',),
    'test': ('berlin/berlin_000000_000019',),
}
SLOW_FRAMES = 300
OBJECTS = [
    ('road', [[0, 16], [63, 16], [63, 31], [0, 31]]),
    ('cargroup', [[8, 18], [15, 18], [15, 23], [8, 23]]),
    ('ego vehicle', [[0, 28], [63, 28], [63, 31], [0, 31]]),
    ('license plate', [[10, 20], [12, 20], [12, 21], [10, 21]]),
]
POLYGONS = json.dumps(
    dict(
        imgWidth=64,
        imgHeight=32,
        objects=[dict(label=name, polygon=points) for name, points in OBJECTS],
    )
)
# Drawn by hand, borders included as PIL draws them. The id of a license plate is -1: it
# is not drawn.
LABEL = np.full((32, 64), 255, np.uint8)
LABEL[16:28] = 0
LABEL[18:24, 8:16] = 13
READY = 'is ready: 2 train, 1 val, 1 test images, each with its label map'


def paths(root: Path, split: str, key: str) -> tuple[Path, Path, Path]:
    """Image, polygons and label of a frame."""
    stem = root / 'gtFine' / split / key
    return (
        root / 'leftImg8bit' / split / f'{key}_leftImg8bit.png',
        Path(f'{stem}_gtFine_polygons.json'),
        Path(f'{stem}_gtFine_labelTrainIds.png'),
    )


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / 'cityscapes'
    for split, keys in FRAMES.items():
        for key in keys:
            image, polygons, _ = paths(folder, split, key)
            image.parent.mkdir(parents=True)
            polygons.parent.mkdir(parents=True)
            Image.new('RGB', (64, 32)).save(image)
            polygons.write_text(POLYGONS)
    return folder


def prepare(root: Path) -> int:
    return prepare_cityscapes(root, workers=2, check_counts=False)


def made(root: Path) -> list[Path]:
    return sorted((root / 'gtFine').glob('*/*/*_labelTrainIds.png'))


def written(root: Path) -> dict[Path, int]:
    return {label: label.stat().st_mtime_ns for label in made(root)}


def test_labels_hold_train_ids(root):
    assert prepare(root) == len(made(root)) == 4
    for label in made(root):
        np.testing.assert_array_equal(np.asarray(Image.open(label)), LABEL)
    assert not list(root.rglob('.*'))


def test_a_prepared_folder_is_left_alone(root, capsys, monkeypatch):
    prepare(root)
    before = written(root)
    capsys.readouterr()
    monkeypatch.setattr(module, 'run_in_workers', None)
    assert prepare(root) == 0
    assert written(root) == before
    assert capsys.readouterr().out == f'{root} {READY} (all made before).\n'
    for polygons in root.rglob('*.json'):
        polygons.unlink()
    assert prepare(root) == 0


def test_a_killed_call_is_finished_by_the_next(root):
    prepare(root)
    lost, *kept = made(root)
    before = written(root)
    lost.unlink()
    lost.with_name(f'.{lost.stem}.7.tmp.png').write_bytes(b'\x89PNG half a file')
    assert prepare(root) == 1
    np.testing.assert_array_equal(np.asarray(Image.open(lost)), LABEL)
    after = written(root)
    assert {label: after[label] for label in kept} == {i: before[i] for i in kept}


def test_missing_annotations_are_named(root):
    image, polygons, _ = paths(root, 'train', FRAMES['train'][0])
    polygons.unlink()
    for number in range(4):
        shutil.copy(image, image.with_name(f'b_{number}_leftImg8bit.png'))
    with pytest.raises(InputError) as caught:
        prepare(root)
    folder = polygons.parent
    assert str(caught.value) == (
        f'no {polygons}, {folder}/b_0_gtFine_polygons.json, '
        f'{folder}/b_1_gtFine_polygons.json and 2 more: '
        f'unpack gtFine_trainvaltest.zip from cityscapes-dataset.com in {root}.'
    )
    assert not made(root)


def test_a_missing_image_is_named(root):
    image = paths(root, 'val', FRAMES['val'][0])[0]
    image.unlink()
    with pytest.raises(InputError, match=f'^no {image}: unpack leftImg8bit_trainvalt'):
        prepare(root)


@pytest.mark.parametrize('folder', ['leftImg8bit', 'gtFine', 'gtFine/test'])
def test_a_missing_folder_is_named(root, folder):
    shutil.rmtree(root / folder)
    with pytest.raises(InputError, match=f'{folder} does not exist: unpack .*zip'):
        prepare_cityscapes(root, workers=1)


def test_a_split_may_be_absent_in_a_partial_data_set(root):
    shutil.rmtree(root / 'leftImg8bit/test')
    shutil.rmtree(root / 'gtFine/test')
    assert prepare(root) == 3


def test_a_folder_without_images_is_an_error(tmp_path):
    (tmp_path / 'leftImg8bit').mkdir()
    (tmp_path / 'gtFine').mkdir()
    with pytest.raises(InputError, match='leftImg8bit holds no <split>/<city>/'):
        prepare(tmp_path)


@pytest.mark.parametrize(
    ('text', 'reason'),
    [
        (POLYGONS[:40], 'JSONDecodeError'),
        ('{}', "KeyError: 'imgWidth'"),
        (POLYGONS.replace('road', 'raod'), "Label 'raod' not known"),
    ],
)
def test_broken_json_is_named(root, capfd, text, reason):
    _, polygons, label = paths(root, 'train', FRAMES['train'][1])
    polygons.write_text(text)
    with pytest.raises(InputError, match=f'^{polygons} is not .*{reason}') as caught:
        prepare(root)
    assert '\n' not in str(caught.value)
    assert 'USAGE' not in capfd.readouterr().out
    assert not label.exists()
    assert not list(root.rglob('.*'))


@pytest.mark.slow
def test_the_command_takes_a_partial_data_set_if_told_so(root):
    command = [sys.executable, 'tools/prepare_cityscapes.py', root, '--workers', 2]
    refused = run_tool(*command)
    assert (refused.returncode, refused.stdout) == (1, '')
    assert refused.stderr.startswith(
        f'error: {root}/leftImg8bit/train holds 2 images, Cityscapes has 2975: unpack '
    )
    assert '--any-count' in refused.stderr
    assert refused.stderr.count('\n') == 1
    assert f'{READY} (4 made now)' in run_tool(*command, '--any-count').stdout
    assert len(made(root)) == 4


@pytest.mark.parametrize('how', [signal.SIGINT, signal.SIGKILL])
def test_a_stopped_call_leaves_neither_workers_nor_half_labels(root, how):
    image, polygons, _ = paths(root, 'train', FRAMES['train'][0])
    text = POLYGONS.replace('64', '2048').replace('32', '1024')
    for number in range(SLOW_FRAMES):
        image.with_name(f'b_{number}_leftImg8bit.png').touch()
        polygons.with_name(f'b_{number}_gtFine_polygons.json').write_text(text)
    tool = ROOT / 'tools/prepare_cityscapes.py'
    process = subprocess.Popen(
        [sys.executable, tool, root, '--workers', '2', '--any-count'],
        env={**os.environ, 'PYTHONPATH': str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        # A job in the background of a script inherits that Ctrl-C is ignored.
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.default_int_handler),
    )
    while not made(root):
        assert process.poll() is None
        time.sleep(0.01)
    if how == signal.SIGINT:  # a terminal sends it to the workers, too
        os.killpg(process.pid, how)
    else:
        process.kill()
    _, err = process.communicate()
    assert (process.returncode, err) == (130 if how == signal.SIGINT else -9, '')
    deadline = time.monotonic() + 5
    while session_members(process.pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not session_members(process.pid)
    if how == signal.SIGINT:
        assert not list(root.rglob('.*'))
    labels = made(root)
    assert 0 < len(labels) < SLOW_FRAMES
    for label in labels:
        Image.open(label).load()
    assert prepare(root) == SLOW_FRAMES + 4 - len(labels)


def session_members(session: int) -> list[str]:
    """The processes of a session, zombies apart (Linux)."""
    members = []
    for status in Path('/proc').glob('[0-9]*/stat'):
        try:
            fields = status.read_text().rpartition(')')[2].split()
        except OSError:
            continue
        if int(fields[3]) == session and fields[0] != 'Z':
            members.append(status.parent.name)
    return members
