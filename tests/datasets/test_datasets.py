"""Every fault of the data names its file."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from mmseg.registry import DATASETS

from mmseg_pointrend.errors import InputError

PIPELINE = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    dict(type='PackSegInputs'),
]


@pytest.fixture
def root(tmp_path):
    """Three images of 8x12 pixels with labels of all CamVid ids."""
    for kind in ('img', 'ann'):
        (tmp_path / kind).mkdir()
    label = np.arange(96, dtype=np.uint8).reshape(8, 12) % 12
    for name in 'abc':
        image = np.random.default_rng(0).integers(0, 256, (8, 12, 3), np.uint8)
        cv2.imwrite(str(tmp_path / f'img/{name}.jpg'), image)
        cv2.imwrite(str(tmp_path / f'ann/{name}.png'), label)
    return tmp_path


def camvid(root, pipeline=PIPELINE, **kwargs):
    prefix = dict(img_path='img', seg_map_path='ann')
    return DATASETS.build(
        dict(
            type='CamVidDataset',
            data_root=str(root),
            data_prefix=prefix,
            pipeline=pipeline,
            **kwargs,
        )
    )


def test_void_becomes_255_on_loading(root):
    dataset = camvid(root)
    assert len(dataset) == 3
    label = dataset[0]['data_samples'].gt_sem_seg.data
    assert set(label.unique().tolist()) == {*range(11), 255}


def test_a_subset_of_classes_is_renumbered(root):
    dataset = camvid(root, metainfo=dict(classes=('road', 'car')))
    label = dataset[0]['data_samples'].gt_sem_seg.data
    assert set(label.unique().tolist()) == {0, 1, 255}
    assert dataset.metainfo['palette'] == [[128, 64, 128], [64, 0, 128]]


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(InputError, match=r'data folder .*img \(img_path\) does not'):
        camvid(tmp_path)


def test_an_empty_folder_is_named(root):
    with pytest.raises(InputError, match=r'no \*.jpeg in .*img'):
        camvid(root, img_suffix='.jpeg')


def test_png_images_are_found(root):
    for path in (root / 'img').iterdir():
        cv2.imwrite(str(path.with_suffix('.png')), cv2.imread(str(path)))
    with pytest.raises(InputError, match=r'img holds both \*.png and \*.jpg: remove'):
        camvid(root)
    assert camvid(root, img_suffix='.jpg')[0]['inputs'].shape == (3, 8, 12)
    for path in (root / 'img').glob('*.jpg'):
        path.unlink()
    dataset = camvid(root)
    assert [Path(dataset[i]['data_samples'].img_path).name for i in range(3)] == [
        'a.png',
        'b.png',
        'c.png',
    ]
    for path in (root / 'img').iterdir():
        path.unlink()
    with pytest.raises(InputError, match=r'no \*\{.png,.jpg\} in .*img: check'):
        camvid(root)


def test_images_without_labels_are_named(root):
    (root / 'ann/b.png').unlink()
    with pytest.raises(InputError, match=r'1 of 3 images have no label: .*ann/b.png'):
        camvid(root)
    assert len(camvid(root, pipeline=PIPELINE[:1])) == 3


@pytest.fixture
def tta():
    branches = [[dict(type='LoadAnnotations')], [dict(type='PackSegInputs')]]
    return [
        dict(type='LoadImageFromFile'),
        dict(type='TestTimeAug', transforms=branches),
    ]


def test_labels_are_checked_inside_test_time_augmentation(root, tta):
    cv2.imwrite(str(root / 'ann/a.png'), np.full((8, 12), 44, np.uint8))
    dataset = camvid(root, pipeline=tta, test_mode=True)
    assert len(dataset[1]['inputs']) == 1
    with pytest.raises(InputError, match=r'ann/a.png holds the label ids \[44\]'):
        dataset[0]
    (root / 'ann/b.png').unlink()
    with pytest.raises(InputError, match=r'1 of 3 images have no label'):
        camvid(root, pipeline=tta)


def test_cityscapes_labels_pass_the_checks(scenes):
    dataset = DATASETS.build(
        dict(
            type='CheckedCityscapesDataset',
            data_root=str(scenes),
            data_prefix=dict(img_path='leftImg8bit/val', seg_map_path='gtFine/val'),
            pipeline=PIPELINE,
        )
    )
    assert len(dataset) == 3
    assert dataset[2]['data_samples'].gt_sem_seg.data.shape == (1, 72, 136)
