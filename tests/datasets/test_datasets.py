"""What the data sets list, and how they say what is missing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from mmseg.registry import DATASETS

from mmseg_pointrend.errors import InputError
from tests.datasets.bad_files import IMAGE, LABEL, dataset_config, load, png, write_pair


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Three pairs with labels of all CamVid ids."""
    for name in 'abc':
        write_pair(tmp_path, name)
    return tmp_path


def camvid(root: Path, **kwargs: object):
    return DATASETS.build(dataset_config(root, **kwargs))


def test_a_subset_of_classes_is_renumbered_and_void_ignored(root):
    dataset = camvid(root, metainfo=dict(classes=('road', 'car')))
    label = dataset[0]['data_samples'].gt_sem_seg.data[0].numpy()
    wanted = np.select([LABEL == 3, LABEL == 8], [0, 1], 255)
    assert np.array_equal(label, wanted)
    assert dataset.metainfo['palette'] == [[128, 64, 128], [64, 0, 128]]


def test_a_missing_or_empty_folder_is_named(root, tmp_path_factory):
    with pytest.raises(InputError, match=r'data folder .*img \(img_path\) does not'):
        camvid(tmp_path_factory.mktemp('nothing'))
    with pytest.raises(InputError, match=r'no \*.jpeg in .*img'):
        camvid(root, img_suffix='.jpeg')


def test_png_or_jpeg_images_are_found(root):
    for name in 'abc':
        (root / f'img/{name}.png').write_bytes(png(IMAGE))
    with pytest.raises(InputError, match=r'img holds both \*.png and \*.jpg: remove'):
        camvid(root)
    assert camvid(root, img_suffix='.jpg')[0]['inputs'].shape == (3, 24, 36)
    for path in (root / 'img').glob('*.jpg'):
        path.unlink()
    (root / 'img/.a.7.tmp.jpg').touch()  # of a conversion that was killed
    dataset = camvid(root)
    names = [Path(dataset[i]['data_samples'].img_path).name for i in range(3)]
    assert names == ['a.png', 'b.png', 'c.png']
    for path in (root / 'img').iterdir():
        path.unlink()
    with pytest.raises(InputError, match=r'no \*\{.png,.jpg\} in .*img: check'):
        camvid(root)


def test_images_without_labels_are_named_where_labels_are_read(root):
    (root / 'ann/b.png').unlink()
    with pytest.raises(InputError, match=r'1 of 3 images have no label: .*ann/b.png'):
        camvid(root)
    assert len(camvid(root, pipeline=[dict(type='LoadImageFromFile')])) == 3


def test_labels_are_checked_inside_test_time_augmentation(root):
    branches = [[dict(type='LoadAnnotations')], [dict(type='PackSegInputs')]]
    tta = [
        dict(type='LoadImageFromFile'),
        dict(type='TestTimeAug', transforms=branches),
    ]
    write_pair(root, 'a', label=png(np.full_like(LABEL, 44)))
    dataset = camvid(root, pipeline=tta, test_mode=True)
    assert len(dataset[1]['inputs']) == 1
    with pytest.raises(InputError, match=r'ann/a.png holds the label ids \[44\]'):
        dataset[0]
    (root / 'ann/b.png').unlink()
    with pytest.raises(InputError, match=r'1 of 3 images have no label'):
        camvid(root, pipeline=tta)


def test_cityscapes_labels_pass_the_checks(scenes):
    sample = load(
        scenes,
        type='CheckedCityscapesDataset',
        data_prefix=dict(img_path='leftImg8bit/val', seg_map_path='gtFine/val'),
    )
    assert sample['data_samples'].gt_sem_seg.data.shape == (1, 72, 136)
