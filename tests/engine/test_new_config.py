"""A config for folders that nobody has described, and what is refused."""

from __future__ import annotations

import re
import runpy
import shlex
import sys
from pathlib import Path

import numpy as np
import pytest
from mmengine.config import Config
from mmseg.registry import DATASETS
from PIL import Image

from mmseg_pointrend.datasets.preparation import own_labels
from mmseg_pointrend.datasets.preparation.own_folders import find_rules
from mmseg_pointrend.datasets.validation import check_config
from mmseg_pointrend.engine.config import load_config
from mmseg_pointrend.engine.new_config import new_config, next_commands
from mmseg_pointrend.errors import InputError
from tests.datasets.own_data import make_pairs
from tests.helpers import ROOT, run_tool


def written(
    root: Path, images: str = 'images', labels: str = 'labels', **options
) -> tuple[Config, list[str]]:
    """What is written for folders below ``root``, and what is said."""
    out = root / 'my config.py'
    folders = root / images, root / labels
    lines = [*new_config(folders, options.pop('val', None), out, **options)]
    assert len(out.read_text().splitlines()) <= 40
    return load_config(str(out)), lines


def labels_of(cfg: Config, split: str) -> list[np.ndarray]:
    """The labels of a split, as a model is given them."""
    loader = cfg[f'{split}_dataloader']
    loader.dataset.pipeline = [
        step for step in loader.dataset.pipeline if step['type'].startswith('Load')
    ]
    dataset = DATASETS.build({**loader.dataset, 'serialize_data': False})
    return [dataset[i]['gt_seg_map'] for i in range(len(dataset))]


NUMBERED = [f'class_{i}' for i in range(20)]
KINDS = {
    'ids': (dict(), {}, NUMBERED[:3], {0, 1, 2}),
    'names': (dict(), dict(names=['a', 'b c', 'd']), ['a', 'b c', 'd'], {0, 1, 2}),
    'void 255': (dict(values=(0, 1, 2, 255)), {}, NUMBERED[:3], {0, 1, 2, 255}),
    'masks': (dict(values=(0, 255)), {}, ['background', 'foreground'], {0, 1}),
    'a named mask': (
        *(dict(values=(0, 255)), dict(names=['cat']), ['background', 'cat'], {0, 1}),
    ),
    'bits': (dict(values=(0, 1), mode='1'), dict(names=['x', 'y']), ['x', 'y'], {0, 1}),
    'from one': (dict(values=(1, 2, 3)), {}, NUMBERED[1:4], {0, 1, 2}),
    'void first': (*(dict(), dict(names=['Void', 'a', 'b']), ['a', 'b'], {0, 1, 255}),),
    'void amid': (
        *(dict(), dict(names=['a', 'unlabelled', 'b']), ['a', 'b'], {0, 1, 255}),
    ),
    'void last': (
        *(dict(), dict(names=['a', 'b', 'ignore']), ['a', 'b'], {0, 1, 255}),
    ),
    'void after a gap': (dict(values=(0, 1, 2, 99)), {}, NUMBERED[:3], {0, 1, 2, 255}),
    'a rare class': (dict(values=(0, 1, 3)), {}, NUMBERED[:4], {0, 1, 3}),
    'grey levels': (
        dict(values=(0, 85, 170, 255)),
        *(dict(names=['a', 'b', 'c', 'd']), ['a', 'b', 'c', 'd'], {0, 1, 2, 3}),
    ),
    'grey levels and void': (
        dict(values=(10, 20, 255)),
        *(dict(names=['a', 'b']), ['a', 'b'], {0, 1, 255}),
    ),
    'palette': (dict(mode='P'), {}, NUMBERED[:3], {0, 1, 2}),
    '16 bits': (dict(mode='I;16'), {}, NUMBERED[:3], {0, 1, 2}),
    'endings': (
        dict(images='images/b/{}_im.png', labels='labels/b/{}_gt_labelIds.png'),
        *({}, NUMBERED[:3], {0, 1, 2}),
    ),
    'dots and spaces': (
        dict(images='images/é{}.v 2.JPG', labels='labels/é{}.v 2_mask.PNG'),
        *({}, NUMBERED[:3], {0, 1, 2}),
    ),
}


@pytest.mark.parametrize('kind', KINDS)
def test_each_kind_of_labels_gets_a_config_that_fits(tmp_path, kind):
    folders, options, names, ids = KINDS[kind]
    allowed = ['doubtful classes'] if kind == 'a rare class' else []
    cfg, _ = written(make_pairs(tmp_path / 'Büro 1', **folders), **options)
    assert cfg.train_dataloader.dataset.metainfo.classes == names
    assert cfg.model.decode_head.num_classes == len(names)
    found = check_config(cfg, ['train', 'val'], workers=1)
    assert [report.images for report in found.values()] == [4, 2]
    findings = [one.kind for report in found.values() for one in report.findings]
    assert {*findings} <= {'wide label', *allowed}
    for split in ('train', 'val'):
        for label in labels_of(cfg, split):
            assert {*np.unique(label).tolist()} == ids


def test_a_config_says_what_suits_images_and_machine(tmp_path, monkeypatch):
    cfg, lines = written(make_pairs(tmp_path, size=(300, 400)))
    assert cfg.crop_size == (224, 288)
    assert cfg.model.data_preprocessor.size == (224, 288)
    assert cfg.model.data_preprocessor.test_cfg.size_divisor == 16
    assert cfg.scale == (400, 300)
    assert (cfg.train_dataloader.batch_size, cfg.train_cfg.max_iters) == (4, 500)
    assert 'L, values 0, 1, 2' in lines[2]
    monkeypatch.setattr('torch.cuda.device_count', lambda: 4)
    cfg, _ = written(tmp_path, plain=True, overwrite=True)
    assert cfg.model.type == 'EncoderDecoder'
    assert 'point_head' not in cfg.model
    assert cfg.crop_size == (288, 384)
    assert cfg.train_dataloader.batch_size == 8
    assert cfg.optim_wrapper.optimizer.lr == pytest.approx(5e-4 * 8**0.5, rel=0.01)
    *_, train, _ = next_commands(cfg, plain=True)
    assert f"dist_train.sh '{cfg.filename}' 4 --work-dir" in train


def test_large_images_are_shrunk_and_small_ones_padded(tmp_path):
    cfg, _ = written(make_pairs(tmp_path / 'a', size=(60, 4096), number=2))
    assert cfg.scale == (2048, 30)
    cfg, _ = written(make_pairs(tmp_path / 'b', size=(9, 20), number=2))
    assert (cfg.scale, cfg.crop_size) == ((20, 9), (32, 32))


def test_colours_are_those_of_the_labels_as_far_as_lines_allow(tmp_path):
    root = make_pairs(tmp_path / 'a', mode='P')
    cfg, _ = written(root)
    palette = Image.open(root / 'labels/0.png').getpalette()
    assert np.ravel(cfg.palette).tolist() == palette[:9]
    names = [f'some long name {i}' for i in range(19)]
    many, _ = written(make_pairs(tmp_path / 'b', values=range(19)), names=names)
    assert list(many.classes) == names
    assert 'palette' not in many
    assert len(DATASETS.build(many.train_dataloader.dataset).metainfo['palette']) == 19


@pytest.mark.parametrize(
    ('images', 'labels', 'given'),
    [
        ('img/{}/{{}}.jpg', 'ann/{}/{{}}.png', ('img', 'ann')),
        ('img/{}/{{}}.jpg', 'ann/{}/{{}}.png', ('img/Train', 'ann/Train')),
        ('{}/img/{{}}.jpg', '{}/ann/{{}}.png', ('Train/img', 'Train/ann')),
        ('{}/{{}}.jpg', '{}/{{}}_mask.png', ('Train', 'Train')),
    ],
)
def test_folders_called_train_and_val_are_used(tmp_path, images, labels, given):
    for split, number, start in ('Train', 3, 0), ('Val', 2, 7):
        names = dict(images=images.format(split), labels=labels.format(split))
        make_pairs(tmp_path, number=number, start=start, **names)
    cfg, lines = written(tmp_path, *given)
    sizes = [len(labels_of(cfg, split)) for split in ('train', 'val')]
    assert sizes == [3, 2]
    assert 'every fifth' not in ''.join(lines)


def test_every_fifth_image_is_held_out_and_lists_stay_beside_the_config(tmp_path):
    cfg, lines = written(make_pairs(tmp_path, number=11))
    assert (tmp_path / 'my config_val.txt').read_text().split() == ['0', '4', '9']
    assert len((tmp_path / 'my config_train.txt').read_text().split()) == 8
    assert '3 pairs to validate, every fifth' in lines[1]
    assert cfg.val_dataloader.dataset.ann_file == str(tmp_path / 'my config_val.txt')


def test_given_folders_validate_and_images_without_label_are_left_out(tmp_path):
    make_pairs(tmp_path)
    other = make_pairs(tmp_path / 'other', number=3)
    (tmp_path / 'labels/4.png').unlink()
    (tmp_path / 'images/.hidden.jpg').write_bytes(b'')
    cfg, lines = written(tmp_path, val=(other / 'images', other / 'labels'))
    assert '1 images without label are left out: 4.jpg' in lines
    assert [len(labels_of(cfg, split)) for split in ('train', 'val')] == [5, 3]
    assert 'ann_file' not in cfg.val_dataloader.dataset


def test_what_validates_is_not_trained_on(tmp_path):
    make_pairs(tmp_path)
    inside = dict(images='images/late/{}.jpg', labels='labels/late/{}.png')
    make_pairs(tmp_path, number=2, **inside)
    late = tmp_path / 'images/late', tmp_path / 'labels/late'
    cfg, _ = written(tmp_path, val=late)
    assert [len(labels_of(cfg, split)) for split in ('train', 'val')] == [6, 2]
    assert not any('late' in name for name in labels_of(cfg, 'train'))
    both = tmp_path / 'images', tmp_path / 'labels'
    with pytest.raises(InputError, match='images are among those to validate: give'):
        written(tmp_path, val=both, overwrite=True)


@pytest.mark.parametrize('label', ['{}_mask.png', '{}.png'])
def test_one_folder_may_hold_both(tmp_path, label):
    image = '{}.png' if 'mask' in label else '{}.jpeg'
    make_pairs(tmp_path, images=f'both/{image}', labels=f'both/{label}')
    cfg, lines = written(tmp_path, 'both', 'both')
    assert [len(labels_of(cfg, split)) for split in ('train', 'val')] == [4, 2]
    assert not [line for line in lines if 'left out' in line]


def test_several_labels_of_an_image_are_told_apart_by_their_ending(tmp_path):
    for name in ('gt_ids', 'gt_color'):
        make_pairs(
            tmp_path, images='images/{}_im.png', labels=f'labels/{{}}_{name}.png'
        )
    with pytest.raises(InputError, match=r'--label-suffix=_gt_(ids|color).png'):
        written(tmp_path)
    cfg, _ = written(tmp_path, label_suffix='_ids.png')
    assert cfg.data.seg_map_suffix == '_gt_ids.png'


def test_names_of_thousands_of_files_are_compared_at_once():
    names = [f'frame_{i:06}' for i in range(0, 30000, 3)]
    images = [f'{name}.jpg' for name in names]
    labels = [f'{name}_gt.png' for name in names[::2]]
    assert find_rules(images, labels)[0] == ('.jpg', '_gt.png')


def turn(root: Path) -> None:
    for path in root.glob('labels/*'):
        Image.open(path).rotate(90, expand=True).save(path)


def blur(root: Path) -> None:
    for path in root.glob('labels/*'):
        noise = np.random.default_rng(0).integers(0, 256, (40, 72))
        label = np.array(Image.open(path))
        label[:, 35:38] = noise[:, 35:38]
        Image.fromarray(label).save(path)


def mix(root: Path) -> None:
    for i in (0, 1):
        (root / f'images/{i}.jpg').rename(root / f'images/{i}.JPG')


def cut(root: Path) -> None:
    path = next(root.glob('labels/*'))
    path.write_bytes(path.read_bytes()[:-20])


REFUSED = [
    (dict(mode='RGB'), {}, None, r'labels/\d.png is a picture in colours .mode RGB'),
    (
        dict(values=(0, 300), mode='I;16'),
        {},
        None,
        r'holds values up to 300: write one',
    ),
    (dict(values=(0, 0)), {}, None, r'have the values 0, which is one class or none'),
    (dict(values=(255, 255)), {}, None, r'values 255, which is one class or none'),
    (dict(values=(1, 255)), {}, None, r'values 1, 255, which is one class or none'),
    (
        dict(values=(0, 40, 80, 90)),
        {},
        None,
        r'0, 40, 80 and 1 more, .* give --classes',
    ),
    (dict(values=(7, 8)), {}, None, r'7, 8, which are not the ids 0, 1, 2'),
    (dict(values=(0, 1, 2, 3)), dict(names=['a', 'b', 'c']), None, r'id from 0 to 3'),
    (dict(), dict(names=['a', 'b', 'b']), None, r'a b b: give each name once'),
    (
        dict(),
        dict(names=['a', 'void']),
        None,
        r'--classes names a, void: give a name',
    ),
    (dict(values=(0, 255)), {}, blur, r'most labels are 0 or 255, but \d+ values'),
    (dict(labels='labels/x{}.png'), {}, None, r'no label in .*labels \(6, x0.png, x1'),
    (dict(), dict(label_suffix='_x.png'), None, r'no label in .*labels \(0, \)'),
    (dict(number=1), {}, None, r'has one image with a label: give two'),
    (dict(), dict(labels='nowhere'), None, r'the folder .*nowhere does not exist'),
    (dict(), {}, turn, r'has 72x40 pixels but its image .* has 40x72: give each'),
    (dict(), {}, mix, r'images in .* end with .jpg and with .JPG, and MMSeg'),
    (dict(), {}, cut, r'cannot read .*labels/\d.png, it is truncated'),
]


@pytest.mark.parametrize(('folders', 'options', 'spoil', 'sentence'), REFUSED)
def test_what_cannot_be_guessed_is_refused(tmp_path, folders, options, spoil, sentence):
    make_pairs(tmp_path, **folders)
    if spoil:
        spoil(tmp_path)
    with pytest.raises(InputError, match=sentence):
        written(tmp_path, **options)
    assert not [*tmp_path.glob('*.*')]


def test_nothing_is_overwritten_unless_asked(tmp_path, monkeypatch):
    def fill_disk(*args):
        raise OSError(28, 'No space left on device')

    make_pairs(tmp_path)
    written(tmp_path)
    (tmp_path / 'my config.py').write_text('mine')
    with pytest.raises(InputError, match=r'my config.py, .*_train.txt, .*--overwrite'):
        written(tmp_path)
    assert (tmp_path / 'my config.py').read_text() == 'mine'
    other = make_pairs(tmp_path / 'other')
    val = other / 'images', other / 'labels'
    with monkeypatch.context() as patch:
        patch.setattr('os.fsync', fill_disk)
        with pytest.raises(InputError):
            written(tmp_path, val=val, overwrite=True)
    assert (tmp_path / 'my config_val.txt').exists()
    written(tmp_path, val=val, overwrite=True)
    assert not (tmp_path / 'my config_val.txt').exists()
    written(tmp_path, overwrite=True)
    with pytest.raises(InputError, match=r'--out .*/x.yaml: give a name that ends'):
        [*new_config((tmp_path, tmp_path), None, tmp_path / 'x.yaml')]


def test_the_printed_commands_work_when_pasted(tmp_path):
    """The first trains; the second is that of another tool."""
    root = make_pairs(tmp_path / "Büro d'été", values=(0, 255))
    command = [sys.executable, ROOT / 'tools/new_config.py']
    folders = ['--images', 'images', '--labels', 'labels']
    out = ['--out', 'mein Hund.py']
    env = {'PYTHONPATH': str(ROOT)}
    result = run_tool(*command, *folders, *out, cwd=root, **env)
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines()[-5:-2] == [
        'train: images 4, errors 0, warnings 0',
        'val: images 2, errors 0, warnings 0',
        'Next:',
    ]
    train, predict = result.stdout.splitlines()[-2:]
    assert shlex.split(predict)[1:4] == [
        str(ROOT / 'tools/predict.py'),
        *('mein Hund.py', 'work_dirs/mein Hund/iter_500.pth'),
    ]
    few = 'train_cfg.max_iters=2 train_cfg.val_interval=2'
    trained = run_tool('bash', '-c', f'{train} --cfg-options {few}', cwd=root, **env)
    assert trained.returncode == 0, trained.stderr
    assert (root / 'work_dirs/mein Hund/iter_2.pth').is_file()
    assert re.search(r'\| foreground \|', trained.stdout)


def test_files_that_the_sample_missed_end_in_findings(tmp_path, monkeypatch, capsys):
    root = make_pairs(tmp_path)
    monkeypatch.setattr(own_labels, 'SAMPLE', 1)
    Image.fromarray(np.full((40, 72), 9, np.uint8)).save(root / 'labels/5.png')
    tool = ROOT / 'tools/new_config.py'
    folders = ['--images', str(root / 'images'), '--labels', str(root / 'labels')]
    out = ['--out', str(root / 'x.py')]
    monkeypatch.setattr('sys.argv', [str(tool), *folders, *out])
    with pytest.raises(SystemExit, match='1'):
        runpy.run_path(str(tool), run_name='__main__')
    said = capsys.readouterr().out
    assert 'holds the label ids [9]' in said
    assert 'Next:' not in said
