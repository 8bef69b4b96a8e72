"""The Cityscapes preparation, run as a user runs it."""

from __future__ import annotations

import json
import multiprocessing
import os
import runpy
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mmseg_pointrend.datasets.preparation import prepare_cityscapes as module
from mmseg_pointrend.datasets.preparation.prepare_cityscapes import prepare_cityscapes
from mmseg_pointrend.datasets.preparation.workers import run_in_workers
from mmseg_pointrend.errors import InputError

REPO = Path(__file__).resolve().parents[2]
TOOLS = REPO / 'tools'
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


def expected_label() -> np.ndarray:
    """Draws ``OBJECTS`` by hand, borders included as PIL draws them."""
    label = np.full((32, 64), 255, np.uint8)
    label[16:] = 0
    label[18:24, 8:16] = 13
    label[28:] = 255
    # The id of a license plate is -1: it is not drawn.
    return label


def paths(root: Path, split: str, key: str) -> tuple[Path, Path, Path]:
    """Returns image, polygons and label of a frame."""
    stem = root / 'gtFine' / split / key
    return (
        root / 'leftImg8bit' / split / f'{key}_leftImg8bit.png',
        Path(f'{stem}_gtFine_polygons.json'),
        Path(f'{stem}_gtFine_labelTrainIds.png'),
    )


def polygon_text() -> str:
    objects = [{'label': name, 'polygon': points} for name, points in OBJECTS]
    return json.dumps({'imgWidth': 64, 'imgHeight': 32, 'objects': objects})


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / 'cityscapes'
    for split, keys in FRAMES.items():
        for key in keys:
            image, polygons, _ = paths(folder, split, key)
            image.parent.mkdir(parents=True)
            polygons.parent.mkdir(parents=True)
            Image.new('RGB', (64, 32)).save(image)
            polygons.write_text(polygon_text())
    return folder


def all_labels(root: Path) -> list[Path]:
    return [paths(root, split, key)[2] for split in FRAMES for key in FRAMES[split]]


def prepare(root: Path) -> int:
    return prepare_cityscapes(root, workers=2, check_counts=False)


def start(
    *arguments: str | Path, start_new_session: bool = False
) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, TOOLS / 'prepare_cityscapes.py', *arguments],
        env={**os.environ, 'PYTHONPATH': str(REPO)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=start_new_session,
        # A job in the background of a script inherits that Ctrl-C is ignored.
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.default_int_handler),
    )


def test_labels_hold_train_ids(root):
    assert prepare(root) == 4
    for label in all_labels(root):
        np.testing.assert_array_equal(np.asarray(Image.open(label)), expected_label())
    assert not list(root.rglob('.*.tmp.png'))


def test_prepared_folder_is_left_alone(root, capsys, monkeypatch):
    prepare(root)
    before = [label.stat().st_mtime_ns for label in all_labels(root)]
    capsys.readouterr()
    monkeypatch.setattr(module, 'run_in_workers', None)
    assert prepare(root) == 0
    assert [label.stat().st_mtime_ns for label in all_labels(root)] == before
    assert capsys.readouterr().out == (
        f'{root} is ready: 2 train, 1 val, 1 test images, each with its label map '
        '(all made before).\n'
    )


def test_resumes_after_a_kill(root):
    prepare(root)
    lost, *kept = all_labels(root)
    lost.unlink()
    lost.with_name(f'.{lost.stem}.7.tmp.png').write_bytes(b'\x89PNG half a file')
    before = [label.stat().st_mtime_ns for label in kept]
    assert prepare(root) == 1
    np.testing.assert_array_equal(np.asarray(Image.open(lost)), expected_label())
    assert [label.stat().st_mtime_ns for label in kept] == before


def test_labels_without_polygons_are_enough(root):
    prepare(root)
    for polygons in root.rglob('*.json'):
        polygons.unlink()
    assert prepare(root) == 0


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
    assert not any(label.exists() for label in all_labels(root))


def test_missing_image_is_named(root):
    image = paths(root, 'val', FRAMES['val'][0])[0]
    image.unlink()
    with pytest.raises(InputError) as caught:
        prepare(root)
    assert str(caught.value) == (
        f'no {image}: unpack leftImg8bit_trainvaltest.zip from '
        f'cityscapes-dataset.com in {root}.'
    )


@pytest.mark.parametrize('folder', ['leftImg8bit', 'gtFine', 'gtFine/test'])
def test_missing_folder_is_named(root, folder):
    shutil.rmtree(root / folder)
    with pytest.raises(InputError, match=f'{folder} does not exist: unpack .*zip'):
        prepare_cityscapes(root, workers=1)


def test_split_may_be_absent_in_a_partial_data_set(root):
    shutil.rmtree(root / 'leftImg8bit/test')
    shutil.rmtree(root / 'gtFine/test')
    assert prepare(root) == 3


def test_folder_without_images_is_an_error(tmp_path):
    (tmp_path / 'leftImg8bit').mkdir()
    (tmp_path / 'gtFine').mkdir()
    with pytest.raises(InputError, match='leftImg8bit holds no <split>/<city>/'):
        prepare(tmp_path)


def test_wrong_count_is_named(root):
    with pytest.raises(InputError) as caught:
        prepare_cityscapes(root, workers=1)
    assert 'train holds 2 images, Cityscapes has 2975' in str(caught.value)
    assert '--any-count' in str(caught.value)


def test_workers_below_one_are_refused():
    with pytest.raises(InputError, match='workers is 0: give 1'):
        run_in_workers(int, ['1'], workers=0, description='numbers')


@pytest.mark.parametrize(
    ('text', 'reason'),
    [
        (polygon_text()[:40], 'JSONDecodeError'),
        ('{}', "KeyError: 'imgWidth'"),
        (polygon_text().replace('road', 'raod'), "Label 'raod' not known"),
    ],
)
def test_broken_json_is_named(root, capfd, text, reason):
    _, polygons, label = paths(root, 'train', FRAMES['train'][1])
    polygons.write_text(text)
    with pytest.raises(InputError) as caught:
        prepare(root)
    assert str(polygons) in str(caught.value)
    assert reason in str(caught.value)
    assert '\n' not in str(caught.value)
    assert 'USAGE' not in capfd.readouterr().out
    assert not label.exists()
    assert not list(root.rglob('.*.tmp.png'))


def test_command_line_prepares_a_partial_data_set(root, monkeypatch, capsys):
    script = str(TOOLS / 'prepare_cityscapes.py')
    monkeypatch.setattr(
        sys, 'argv', [script, str(root), '--workers', '2', '--any-count']
    )
    runpy.run_path(script, run_name='__main__')
    assert 'is ready: 2 train, 1 val, 1 test images' in capsys.readouterr().out
    assert all(label.exists() for label in all_labels(root))


def test_command_line_prints_one_sentence(root):
    process = start(root)
    out, err = process.communicate()
    assert (process.returncode, out) == (1, '')
    assert err.startswith(f'error: {root}/leftImg8bit/train holds 2 images')
    assert err.count('\n') == 1


def test_a_failure_leaves_no_thread_behind():
    before = threading.enumerate()
    with pytest.raises(ValueError, match='invalid literal') as caught:
        run_in_workers(int, ['1', 'x'], workers=1, description='numbers')
    # The traceback keeps the frames alive, and with them what they did not end.
    assert caught.tb is not None
    assert threading.enumerate() == before


@pytest.fixture
def slow_root(root: Path) -> Path:
    """Adds ``SLOW_FRAMES`` annotations that take some seconds to draw."""
    image, polygons, _ = paths(root, 'train', FRAMES['train'][0])
    text = polygon_text().replace('64', '2048').replace('32', '1024')
    for number in range(SLOW_FRAMES):
        image.with_name(f'b_{number}_leftImg8bit.png').touch()
        polygons.with_name(f'b_{number}_gtFine_polygons.json').write_text(text)
    return root


def test_ctrl_c_ends_quietly(slow_root):
    process = start(slow_root, '--workers', '2', '--any-count', start_new_session=True)
    wait_for_label(slow_root, lambda: process.poll() is None)
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate()
    assert (process.returncode, err) == (130, '')
    assert not list(slow_root.rglob('.*.tmp.png'))
    check_interrupted(slow_root, process.pid)


def test_kill_leaves_neither_workers_nor_half_labels(slow_root):
    process = multiprocessing.get_context('fork').Process(
        target=prepare_in_new_session, args=(slow_root,)
    )
    process.start()
    assert process.pid is not None
    wait_for_label(slow_root, process.is_alive)
    process.kill()
    process.join()
    check_interrupted(slow_root, process.pid)


def prepare_in_new_session(root: Path) -> None:
    os.setsid()
    prepare(root)


def made_labels(root: Path) -> list[Path]:
    return list((root / 'gtFine').glob('*/*/*_labelTrainIds.png'))


def wait_for_label(root: Path, is_running: Callable[[], bool]) -> None:
    while not made_labels(root):
        assert is_running()
        time.sleep(0.01)


def check_interrupted(root: Path, session: int) -> None:
    """Asserts that the session ends, its labels are whole, and the rest is made."""
    deadline = time.monotonic() + 5
    while session_members(session) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not session_members(session)
    labels = made_labels(root)
    assert 0 < len(labels) < SLOW_FRAMES
    for label in labels:
        Image.open(label).load()
    assert prepare(root) == SLOW_FRAMES + 4 - len(labels)


def session_members(session: int) -> list[str]:
    """Lists the processes of a session, zombies apart (Linux)."""
    members = []
    for status in Path('/proc').glob('[0-9]*/stat'):
        try:
            fields = status.read_text().rpartition(')')[2].split()
        except OSError:
            continue
        if int(fields[3]) == session and fields[0] != 'Z':
            members.append(status.parent.name)
    return members


def test_polygons_of_street_scenes_give_back_their_labels(scenes, tmp_path):
    root = tmp_path / 'scenes'
    shutil.copytree(scenes, root)
    written = {}
    for label in root.glob('gtFine/*/*/*_labelTrainIds.png'):
        written[label] = np.array(Image.open(label))
        label.unlink()
    assert prepare_cityscapes(root, workers=1, check_counts=False) == len(written)
    for label, wanted in written.items():
        assert (np.array(Image.open(label)) == wanted).mean() > 0.97
