"""``tools/check_dataset.py`` finds what is wrong before a training does."""

from __future__ import annotations

import json
import re
import runpy
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from mmengine.config import Config
from mmseg.registry import DATASETS

from mmseg_pointrend.datasets.reading import BadFile
from mmseg_pointrend.datasets.validation import check_config
from mmseg_pointrend.errors import InputError
from tests.datasets.bad_files import (
    LABEL,
    dataset_config,
    findings,
    jpeg,
    load,
    png,
    with_alpha,
    write_pair,
)
from tests.helpers import ROOT, run_tool


def test_a_list_that_does_not_exist_is_named(tmp_path):
    root = write_pair(tmp_path, 'a')
    with pytest.raises(InputError, match=r'list of images .*train.txt \(ann_file\) do'):
        load(root, ann_file='train.txt')
    (found,) = findings(root, ann_file='train.txt')
    assert found.kind == 'missing data'


def test_a_folder_without_images_is_named(tmp_path):
    for folder in ('img', 'ann'):
        (tmp_path / folder).mkdir()
    dataset = dataset_config(tmp_path, metainfo=dict(classes=('a', 'b')))
    dataset['type'] = 'BaseSegDataset'
    cfg = Config(dict(train_dataloader=dict(dataset=dataset)))
    report = check_config(cfg, ['train'], workers=1)['train']
    (found,) = report.findings
    assert (report.images, found.kind) == (0, 'missing data')
    assert found.sentence.startswith(f'no *.jpg in {tmp_path}/img: check data_prefix')


def test_other_data_sets_are_checked_too(scenes, tmp_path):
    root = tmp_path / 'scenes'
    shutil.copytree(scenes, root)
    image = sorted(root.glob('leftImg8bit/val/*/*.png'))[0]
    image.write_bytes(image.read_bytes()[:3000])
    label = sorted(root.glob('gtFine/val/*/*labelTrainIds.png'))[1]
    label.unlink()
    cfg = Config.fromfile(ROOT / 'configs/_base_/datasets/street_scenes_256x512.py')
    cfg.val_dataloader.dataset.update(type='CityscapesDataset', data_root=str(root))
    report = check_config(cfg, ['val'], workers=1)['val']
    assert report.images == 3
    assert [one.path for one in report.findings if one.is_error] == [
        *(str(image), str(label))
    ]
    with pytest.raises(BadFile, match=f'cannot read {image}'):
        DATASETS.build(cfg.val_dataloader.dataset)[0]


@pytest.mark.parametrize(
    ('change', 'sentence'),
    [
        (
            dict(type='NoDataset'),
            r'train_dataloader.dataset names no data set of MMSeg',
        ),
        (
            dict(colour=1),
            r"train cannot be built \(.*'colour'.*\): mend train_dataload",
        ),
        (
            dict(pipeline=[]),
            r'train_dataloader.dataset.pipeline has no LoadImageFromFi',
        ),
        (
            dict(data_prefix=dict(img_path='img')),
            r'but data_prefix has no seg_map_path',
        ),
        (dict(type='BaseSegDataset'), r'train_dataloader.dataset has no classes: set'),
        (
            dict(
                pipeline=[
                    dict(type='LoadImageFromFile'),
                    dict(type='LoadAnnotations', reduce_zero_label=True),
                ]
            ),
            r'reduce_zero_label is False in the data set but True in LoadAnnotations ',
        ),
    ],
)
def test_a_config_that_does_not_say_what_to_read_is_refused(tmp_path, change, sentence):
    dataset = {**dataset_config(write_pair(tmp_path, 'a')), **change}
    cfg = Config(dict(train_dataloader=dict(dataset=dataset)))
    with pytest.raises(InputError, match=sentence):
        check_config(cfg, [], workers=1)
    with pytest.raises(
        InputError, match=r'val_dataloader.dataset names no .* leave out --split val'
    ):
        check_config(cfg, ['val'], workers=1)


@pytest.mark.parametrize('loader', [{}, dict(train_dataloader=None)])
def test_a_config_without_data_does_not_pass(loader):
    with pytest.raises(InputError, match='the config has no train_, val_ or test_data'):
        check_config(Config(loader), [], workers=1)


def test_lone_files_are_found(tmp_path):
    root = write_pair(tmp_path, 'a')
    for name in ('no_label', 'no_image'):
        write_pair(tmp_path, name)
    (root / 'ann/no_label.png').unlink()
    (root / 'img/no_image.jpg').unlink()
    found = {finding.kind: finding.sentence for finding in findings(root)}
    assert set(found) == {'missing file', 'label without image'}
    assert f'{root}/ann/no_label.png, it does not exist: add' in found['missing file']
    assert f'{root}/ann/no_image.png has no' in found['label without image']


def test_a_list_of_images_makes_no_label_lone(tmp_path):
    write_pair(tmp_path, 'a')
    root = write_pair(tmp_path, 'b')
    (root / 'train.txt').write_text('a\nc\n')
    missing = [(one.kind, one.path) for one in findings(root, ann_file='train.txt')]
    assert missing == [
        ('missing file', f'{root}/img/c.jpg'),
        ('missing file', f'{root}/ann/c.png'),
    ]


def test_a_blank_line_of_a_list_is_named(tmp_path):
    root = write_pair(tmp_path, 'a')
    (root / 'train.txt').write_text('a\n\n')
    with pytest.raises(InputError, match=r'list .*/train.txt \(ann_file\) has a blank'):
        load(root, ann_file='train.txt')
    (found,) = findings(root, ann_file='train.txt')
    assert 'train.txt (ann_file) has a blank line: remove it.' in found.sentence


@pytest.mark.parametrize('indices', [1, [0]])
def test_only_the_images_of_indices_are_checked(tmp_path, indices):
    write_pair(tmp_path, 'a')
    root = write_pair(tmp_path, 'b', b'')
    assert findings(root, indices=indices) == []
    assert len(findings(root, indices=[1])) == 1


def test_a_jpeg_label_is_found_and_trains(tmp_path):
    label = jpeg(np.full_like(LABEL, 3))
    root = write_pair(tmp_path, 'a', label=label)
    load(root)
    found, _ = findings(root)
    assert (found.is_error, found.kind) == (False, 'lossy label')
    assert f'{root}/ann/a.png is a JPEG, which mixes' in found.sentence


def test_a_label_without_classes_is_found_and_trains(tmp_path):
    root = write_pair(tmp_path, 'void', label=png(np.full_like(LABEL, 11)))
    load(root)
    found, _ = findings(root)
    assert (found.is_error, found.kind) == (True, 'label without classes')
    assert 'ann/void.png has no pixel of any class' in found.sentence


@pytest.fixture
def config(tmp_path):
    """A config file with MMSegmentation's own ``BaseSegDataset`` inside a wrapper."""
    path = tmp_path / 'config.py'
    dataset = dataset_config(tmp_path, metainfo=dict(classes=('a', 'b')))
    dataset.update(type='BaseSegDataset', ignore_index=11)
    path.write_text(
        f"""
train_dataloader = dict(
    dataset=dict(type='RepeatDataset', times=2, dataset={dataset}))
val_dataloader = dict(dataset={dataset})
test_dataloader = val_dataloader
"""
    )
    return path


def test_the_command_reports_all_splits_and_fails(tmp_path, config):
    for i in range(5):
        write_pair(tmp_path, f'cut{i}', jpeg()[:400], png(LABEL % 2))
    write_pair(tmp_path, 'good', label=png(LABEL % 2))
    write_pair(tmp_path, 'opaque', png(with_alpha(255)), png(LABEL % 2))
    out = tmp_path / 'found.json'
    args = [sys.executable, 'tools/check_dataset.py', config, '--workers', 2]
    result = run_tool(*args, '--split', 'train', 'test', '--json', out)
    assert result.returncode == 1, result.stderr
    lines = result.stdout.splitlines()
    start = lines.index('error: truncated or damaged file (5)')
    assert lines[start + 1] == (
        f'  cannot read {tmp_path}/img/cut0.jpg, it is truncated or damaged: get it '
        'again.'
    )
    assert lines[start + 4] == '  and 2 more, --json FILE has them all'
    assert 'warning: RGBA image (1)' in lines
    assert lines[-1] == 'train: images 7, errors 5, warnings 1'
    assert 'Traceback' not in result.stderr
    content = json.loads(out.read_text())['train']
    assert content['images'] == 7
    paths = [Path(one['path']).name for one in content['findings'] if one['is_error']]
    assert paths == [f'cut{i}.jpg' for i in range(5)]


def test_the_command_passes_good_data(tmp_path, config):
    write_pair(tmp_path, 'good', label=png(LABEL % 2))
    result = run_tool(sys.executable, 'tools/check_dataset.py', config)
    assert result.returncode == 0, result.stderr
    assert 'val is the data of train.' in result.stdout.splitlines()
    assert result.stdout.splitlines()[-1] == 'train: images 1, errors 0, warnings 0'


def test_what_is_found_is_printed_although_it_cannot_be_written(
    tmp_path, config, monkeypatch, capsys
):
    write_pair(tmp_path, 'good', label=png(LABEL % 2))
    out = config / 'found.json'
    argv = ['check_dataset.py', str(config), '--workers', '1', '--json', str(out)]
    monkeypatch.setattr(sys, 'argv', argv)
    with pytest.raises(SystemExit, match='1'):
        runpy.run_path(str(ROOT / 'tools/check_dataset.py'), run_name='__main__')
    printed = capsys.readouterr()
    assert printed.out.splitlines()[-1] == 'train: images 1, errors 0, warnings 0'
    (sentence,) = printed.err.splitlines()
    assert re.match(rf'error: cannot write .*{out} \(.+\): ', sentence)
