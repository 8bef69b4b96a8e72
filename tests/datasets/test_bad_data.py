"""Training says which file is bad, and ``tools/check_dataset.py`` says the same."""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mmseg.datasets.transforms import LoadAnnotations
from mmseg.registry import DATASETS, TRANSFORMS
from mmseg.utils import register_all_modules

from mmseg_pointrend.datasets.reading import BadFile
from mmseg_pointrend.datasets.reports import Finding
from mmseg_pointrend.errors import InputError
from tests.datasets.bad_files import (
    ERRORS,
    GOOD,
    IMAGE,
    LABEL,
    WARNINGS,
    dataset_config,
    findings,
    jpeg,
    load,
    png,
    write_pair,
)
from tests.helpers import run_tool


@pytest.fixture(scope='module')
def zoo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One data set of all the pairs above."""
    root = tmp_path_factory.mktemp('zoo')
    for name, (image, label, *_) in {**ERRORS, **WARNINGS, **GOOD}.items():
        write_pair(root, name, image, label)
    return root


@pytest.fixture(scope='module')
def found(zoo: Path) -> dict[str, list[Finding]]:
    """What the checker finds in it, for each pair."""
    register_all_modules(init_default_scope=True)
    pairs: dict[str, list[Finding]] = {}
    for finding in findings(zoo):
        pairs.setdefault(Path(finding.path).stem, []).append(finding)
    return pairs


def load_pair(root: Path, name: str) -> dict:
    dataset = DATASETS.build(dataset_config(root))
    names = [
        Path(dataset.get_data_info(i)['img_path']).stem for i in range(len(dataset))
    ]
    return dataset[names.index(name)]


@pytest.mark.parametrize('name', ERRORS)
def test_training_and_the_checker_name_a_bad_file_alike(zoo, found, name):
    image, _, kind, sentence = ERRORS[name]
    file = f'img/{name}.jpg' if image and kind != 'size mismatch' else f'ann/{name}.png'
    file = f'img/{name}.jpg' if name == 'empty_image' else file
    pattern = rf'^(cannot read )?{zoo}/{file}{sentence}.*\.$'
    with pytest.raises(BadFile, match=pattern) as error:
        load_pair(zoo, name)
    expected = Finding(True, kind, f'{zoo}/{file}', str(error.value))
    assert found[name] == [expected]
    assert '\n' not in expected.sentence


@pytest.mark.parametrize('name', WARNINGS)
def test_an_odd_file_is_read_and_the_checker_warns(zoo, found, name):
    *_, kind, sentence = WARNINGS[name]
    sample = load_pair(zoo, name)
    assert sample['inputs'].shape == (3, 24, 36)
    assert_ids(sample)
    (finding,) = found[name]
    assert (finding.is_error, finding.kind) == (False, kind)
    assert re.match(rf'^{zoo}/(img|ann)/{name}\....{sentence}.*\.$', finding.sentence)


@pytest.mark.parametrize('name', GOOD)
def test_a_good_pair_passes(zoo, found, name):
    sample = load_pair(zoo, name)
    assert sample['inputs'].shape == (3, 24, 36)
    if name != 'one_bit':
        assert_ids(sample)
    assert name not in found


def assert_ids(sample: dict) -> None:
    ids = sample['data_samples'].gt_sem_seg.data[0].numpy()
    assert np.array_equal(ids, np.where(LABEL == 11, 255, LABEL))


def test_a_label_of_one_row_keeps_its_shape(tmp_path):
    root = write_pair(tmp_path, 'thin', jpeg(IMAGE[:1]), png(LABEL[:1]))
    assert load(root)['data_samples'].gt_sem_seg.data.shape == (1, 1, 36)
    assert findings(root) == []


def test_a_palette_label_read_in_colours_is_named(tmp_path):
    root = write_pair(tmp_path, 'a', label=GOOD['palette_label'][1])
    config = dataset_config(root)
    config['pipeline'][1]['imdecode_backend'] = 'cv2'
    with pytest.raises(BadFile, match=r'ann/a.png has shape 24x36x3, a picture in'):
        DATASETS.build(config)[0]


def test_ids_are_those_after_reduce_zero_label(tmp_path):
    root = write_pair(tmp_path, 'a', label=png(np.full_like(LABEL, 44)))
    with pytest.raises(BadFile, match=r'ids \[43\] after reduce_zero_label, but'):
        load(root, reduce_zero_label=True)


def test_a_pipeline_that_contradicts_its_data_set_is_named(tmp_path):
    config = dataset_config(write_pair(tmp_path, 'a'))
    config['pipeline'][1]['reduce_zero_label'] = True
    with pytest.raises(
        InputError, match=r'^reduce_zero_label is False in the data set but True in Loa'
    ):
        DATASETS.build(config)[0]


def test_a_backend_that_cannot_decode_a_file_is_named(tmp_path):
    config = dataset_config(write_pair(tmp_path, 'a'))
    config['pipeline'][0]['imdecode_backend'] = 'tifffile'
    with pytest.raises(
        BadFile,
        match=r'^cannot read .*img/a.jpg, tifffile cannot decode it \(.*\): con',
    ):
        DATASETS.build(config)[0]


@contextmanager
def opened_files() -> Iterator[list[str]]:
    """The names of the files that are opened meanwhile."""
    names: list[str] = []
    active = True

    def note(event: str, arguments: tuple) -> None:
        if active and event == 'open':
            names.append(str(arguments[0]))

    sys.addaudithook(note)  # there is no way to remove it
    try:
        yield names
    finally:
        active = False


@pytest.mark.parametrize('image', [jpeg(), png(IMAGE), WARNINGS['palette'][0]])
def test_training_reads_every_file_once(image, tmp_path):
    dataset = DATASETS.build(dataset_config(write_pair(tmp_path, 'a', image)))
    dataset[0]  # Pillow imports what it decodes with
    with opened_files() as names:
        dataset[0]
    assert sorted(names) == [f'{tmp_path}/ann/a.png', f'{tmp_path}/img/a.jpg']


@pytest.mark.parametrize('reduces', [False, True])
@pytest.mark.parametrize('label_map', [None, {0: 3, 3: 0, 7: 255, 11: 255, 254: 1}])
def test_ids_become_those_of_mmsegmentation(reduces, label_map, tmp_path):
    path = tmp_path / 'label.png'
    path.write_bytes(png(np.arange(256, dtype=np.uint8).reshape(8, 32)))
    sample = dict(seg_map_path=path, label_map=label_map, reduce_zero_label=reduces)
    ours, theirs = (
        step({**sample, 'seg_fields': []})
        for step in (TRANSFORMS.build(dict(type='LoadAnnotations')), LoadAnnotations())
    )
    assert np.array_equal(ours.pop('gt_seg_map'), theirs.pop('gt_seg_map'))
    assert ours == theirs


def test_transparency_and_depth_that_are_kept_are_no_error(tmp_path):
    for name in ('transparent', 'deep_colours'):
        root = write_pair(tmp_path, 'a', ERRORS[name][0])
        config = dataset_config(root)
        config['pipeline'][0]['color_type'] = 'unchanged'
        sample = DATASETS.build(config)[0]['inputs']
        assert sample.shape[0] == 4 or sample.float().max() > 255


def test_images_to_be_skipped_are_skipped(tmp_path):
    write_pair(tmp_path, 'a', b'')
    root = write_pair(tmp_path, 'b')
    config = dataset_config(root)
    config['pipeline'][0]['ignore_empty'] = True
    sample = DATASETS.build(config)[0]
    assert Path(sample['data_samples'].img_path).name == 'b.jpg'
    (found,) = findings(root)
    assert found.kind == 'empty file'


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_no_part_of_a_file_passes_for_the_whole(data, tmp_path_factory):
    path = tmp_path_factory.mktemp('cut') / 'image'
    content = data.draw(st.sampled_from([jpeg(), png(IMAGE), GOOD['progressive'][0]]))
    path.write_bytes(content[: data.draw(st.integers(0, len(content) - 1))])
    step = TRANSFORMS.build(dict(type='LoadImageFromFile'))
    with pytest.raises(BadFile, match=rf'^cannot read {path}, it is .*: .*\.$'):
        step(dict(img_path=str(path)))


@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_a_flipped_bit_of_a_label_is_refused_or_changes_nothing(data, tmp_path_factory):
    ids = cv2.resize(IMAGE[..., 0] // 24, (96, 64))
    content = bytearray(png(ids))
    bit = data.draw(st.integers(0, 8 * len(content) - 1))
    content[bit // 8] ^= 1 << bit % 8
    image = jpeg(cv2.resize(IMAGE, (96, 64)))
    root = write_pair(tmp_path_factory.mktemp('flipped'), 'a', image, bytes(content))
    try:
        sample = load(root)
    except BadFile:
        return
    assert np.array_equal(sample['data_samples'].gt_sem_seg.data[0], ids)


@settings(max_examples=60, deadline=None)
@given(junk=st.binary(max_size=200), start=st.sampled_from([jpeg(), png(LABEL), b'']))
def test_junk_is_refused_in_one_sentence(junk, start, tmp_path_factory):
    path = tmp_path_factory.mktemp('junk') / 'image'
    path.write_bytes(start[:20] + junk)
    step = TRANSFORMS.build(dict(type='LoadImageFromFile'))
    with pytest.raises(BadFile, match=r'^cannot read [^\n]*\.$'):
        step(dict(img_path=str(path)))


@pytest.mark.parametrize('workers', [1, pytest.param(0, marks=pytest.mark.slow)])
def test_a_training_ends_with_the_name_of_the_file(
    scenes, tiny_config, tmp_path, workers
):
    root = tmp_path / 'scenes'
    shutil.copytree(scenes, root)
    for path in root.glob('leftImg8bit/train/*/*.png'):
        path.write_bytes(path.read_bytes()[:5000])
    data = 'train_dataloader'
    result = run_tool(
        sys.executable,
        'tools/train.py',
        tiny_config,
        '--work-dir',
        tmp_path / 'work',
        '--cfg-options',
        f'{data}.dataset.data_root={root}',
        f'{data}.num_workers={workers}',
    )
    assert result.returncode == 1
    assert re.fullmatch(
        rf'error: cannot read {root}/leftImg8bit/train/street/\S+.png, it is truncated '
        r'or damaged: get it again.',
        result.stderr.splitlines()[-1],
    )
    assert 'Traceback' not in result.stderr
