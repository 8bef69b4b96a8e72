"""Street scenes: exact labels, determinism and the Cityscapes layout on disk."""

from __future__ import annotations

import json
import re
from pathlib import Path

import cv2
import numpy as np
import pytest
from cityscapesscripts.helpers.labels import id2label, name2label, trainId2label
from cityscapesscripts.preparation.json2labelImg import json2labelImg
from PIL import Image, ImageDraw

from mmseg_pointrend.studies.demo.street_scenes import (
    StreetScene,
    render_scene,
    write_dataset,
)
from mmseg_pointrend.studies.demo.street_scenes.canvas import Canvas
from mmseg_pointrend.studies.demo.street_scenes.outlines import label_outlines

STEM = 'street_{:06d}_000019'


def annotation(root: Path, split: str, index: int, kind: str) -> Path:
    suffix = 'json' if kind == 'polygons' else 'png'
    name = f'{STEM.format(index)}_gtFine_{kind}.{suffix}'
    return root / 'gtFine' / split / 'street' / name


def picture(root: Path, split: str, index: int) -> Path:
    name = f'{STEM.format(index)}_leftImg8bit.png'
    return root / 'leftImg8bit' / split / 'street' / name


def read(path: Path) -> np.ndarray:
    pixels = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    assert pixels is not None, path
    return pixels


def contents(root: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in root.rglob('*')
        if path.is_file() and path.name != 'street_scenes.json'
    }


@pytest.fixture(scope='module')
def scene() -> StreetScene:
    return render_scene(3, (128, 256))


@pytest.fixture(scope='module')
def small_scenes() -> list[StreetScene]:
    return [render_scene((0, 0, i), (64, 128)) for i in range(24)]


@pytest.fixture(scope='module')
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp('scenes') / 'street'
    write_dataset(root, num_train=3, num_val=2, num_test=1, size=(64, 128), seed=5)
    return root


def test_fields_have_the_documented_shapes_and_types(scene: StreetScene) -> None:
    assert scene.image.shape == (128, 256, 3)
    assert scene.image.dtype == np.uint8
    for field in (scene.label_ids, scene.instance_ids, scene.train_ids):
        assert field.shape == (128, 256)
    assert scene.label_ids.dtype == scene.train_ids.dtype == np.uint8
    assert scene.instance_ids.dtype == np.int32


def test_same_seed_same_scene(scene: StreetScene) -> None:
    again = render_scene(3, (128, 256))
    np.testing.assert_array_equal(scene.image, again.image)
    np.testing.assert_array_equal(scene.instance_ids, again.instance_ids)
    assert scene.polygons == again.polygons


def test_other_seed_other_scene(scene: StreetScene) -> None:
    other = render_scene(4, (128, 256))
    assert (scene.label_ids != other.label_ids).mean() > 0.1


def test_a_label_is_the_sample_at_the_pixel_centre() -> None:
    sampled = render_scene(7, (48, 96), supersampling=3)
    every_sample = render_scene(7, (144, 288), supersampling=1)
    np.testing.assert_array_equal(sampled.label_ids, every_sample.label_ids[1::3, 1::3])


def test_same_seed_is_the_same_street_at_another_size(scene: StreetScene) -> None:
    small = render_scene(3, (64, 128))
    large = cv2.resize(scene.label_ids, (128, 64), interpolation=cv2.INTER_NEAREST)
    assert (small.label_ids == large).mean() > 0.85


@pytest.mark.parametrize('supersampling', [1, 3, 5])
def test_painted_polygon_covers_the_pixel_centres_inside(supersampling: int) -> None:
    canvas = Canvas((24, 32), supersampling)
    corners = np.array([(3.2, 2.1), (28.7, 6.4), (17.3, 21.6)])
    canvas.polygon(corners * supersampling, (255, 255, 255), 26)
    y, x = np.mgrid[:24, :32] + 0.5
    signed = []
    for start, end in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        edge = end - start
        side = edge[0] * (y - start[1]) - edge[1] * (x - start[0])
        signed.append(side / np.hypot(*edge))
    depth = np.min(signed, axis=0)
    inside = canvas.centre_ids() == 26
    margin = 1.1 / supersampling
    assert inside[depth > 0].all()
    assert not inside[depth < -margin].any()


def test_image_is_antialiased_and_labels_are_not() -> None:
    canvas = Canvas((20, 20), 3)
    canvas.polygon(np.array([(0, 0), (60, 0), (0, 60)]), (240, 240, 240), 23)
    levels = np.unique(canvas.image()[..., 0])
    assert levels.min() == 0
    assert levels.max() == 240
    assert ((levels > 20) & (levels < 220)).any()
    assert np.unique(canvas.centre_ids()).tolist() == [0, 23]


def test_even_odd_outlines_leave_a_hole() -> None:
    canvas = Canvas((20, 20), 3)
    outer = np.array([(6, 6), (54, 6), (54, 54), (6, 54)])
    canvas.polygon([outer, outer * 0.4 + 18], (9, 9, 9), 33)
    ids = canvas.centre_ids()
    assert ids[4, 4] == 33
    assert ids[10, 10] == 0


def test_instances_agree_with_labels(small_scenes: list[StreetScene]) -> None:
    for scene in small_scenes:
        things = scene.instance_ids >= 1000
        np.testing.assert_array_equal(
            scene.instance_ids[things] // 1000, scene.label_ids[things]
        )
        np.testing.assert_array_equal(
            scene.instance_ids[~things], scene.label_ids[~things]
        )
        for value in np.unique(scene.label_ids):
            assert (
                id2label[value].hasInstances == things[scene.label_ids == value].all()
            )


def test_instances_are_counted_from_zero(small_scenes: list[StreetScene]) -> None:
    for scene in small_scenes:
        values = np.unique(scene.instance_ids[scene.instance_ids >= 1000])
        for label in np.unique(values // 1000):
            numbers = values[values // 1000 == label] % 1000
            np.testing.assert_array_equal(numbers, np.arange(len(numbers)))


def test_train_ids_follow_the_cityscapes_table(
    small_scenes: list[StreetScene],
) -> None:
    for scene in small_scenes:
        for value in np.unique(scene.label_ids):
            mapped = np.unique(scene.train_ids[scene.label_ids == value])
            assert mapped.tolist() == [id2label[value].trainId]


def test_every_class_occurs(small_scenes: list[StreetScene]) -> None:
    frames = np.zeros(256, int)
    for scene in small_scenes:
        frames[np.unique(scene.train_ids)] += 1
    missing = [trainId2label[i].name for i in range(19) if frames[i] < 1]
    assert not missing
    assert frames[255] > 0


def test_thin_classes_occur_often(small_scenes: list[StreetScene]) -> None:
    for name in ('pole', 'traffic sign', 'person', 'bicycle'):
        frames = [
            (scene.label_ids == name2label[name].id).any() for scene in small_scenes
        ]
        assert np.mean(frames) > 0.4, name


def test_bicycle_wheels_are_see_through(small_scenes: list[StreetScene]) -> None:
    bicycle = name2label['bicycle'].id
    holes = 0
    for index in range(4):
        mask = render_scene((1, index), (160, 320)).label_ids == bicycle
        _, tree = cv2.findContours(
            mask.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE
        )
        holes += 0 if tree is None else int((tree[0][:, 3] >= 0).sum())
    assert holes > 8


@pytest.mark.parametrize('size', [(32, 64), (97, 201), (128, 64)])
def test_any_size_works(size: tuple[int, int]) -> None:
    scene = render_scene(1, size)
    assert scene.image.shape == (*size, 3)
    assert scene.label_ids.shape == size
    assert len(np.unique(scene.label_ids)) > 4


def test_outlines_restore_an_island_within_a_hole() -> None:
    ids = np.full((20, 30), 7, np.int32)
    ids[3:17, 4:26] = 21
    ids[5:14, 6:20] = 23
    ids[7:11, 9:15] = 21
    ids[8, 10] = 26000
    canvas = Image.new('L', (30, 20))
    drawer = ImageDraw.Draw(canvas)
    for outline in label_outlines(ids):
        points = [tuple(point) for point in outline['polygon']]
        drawer.polygon(points, fill=name2label[outline['label']].id)
    expected = np.where(ids >= 1000, ids // 1000, ids)
    np.testing.assert_array_equal(np.array(canvas), expected)


def test_json2labelimg_restores_the_label_map(tmp_path: Path) -> None:
    root = tmp_path / 'street'
    write_dataset(root, num_train=0, num_val=3, size=(256, 512))
    agreement = []
    for index in range(3):
        restored = tmp_path / 'restored.png'
        polygons = annotation(root, 'val', index, 'polygons')
        json2labelImg(str(polygons), str(restored), 'trainIds')
        stored = read(annotation(root, 'val', index, 'labelTrainIds'))
        drawn = read(restored)
        agreement.append(np.mean(drawn == stored))
    assert np.mean(agreement) >= 0.97


def test_all_files_are_written_with_their_types(dataset: Path) -> None:
    for split, count in (('train', 3), ('val', 2), ('test', 1)):
        for index in range(count):
            image = read(picture(dataset, split, index))
            assert image.shape == (64, 128, 3)
            maps = {
                kind: read(annotation(dataset, split, index, kind))
                for kind in ('labelIds', 'labelTrainIds', 'instanceIds')
            }
            assert maps['labelIds'].dtype == maps['labelTrainIds'].dtype == np.uint8
            assert maps['instanceIds'].dtype == np.uint16
            record = json.loads(
                annotation(dataset, split, index, 'polygons').read_text()
            )
            assert (record['imgHeight'], record['imgWidth']) == (64, 128)
            assert {item['label'] for item in record['objects']} <= set(name2label)
    assert len(contents(dataset)) == 6 * 5
    assert not list(dataset.rglob('*.part'))


def test_files_hold_the_rendered_scene(dataset: Path) -> None:
    scene = render_scene((5, 1, 1), (64, 128))
    image = read(picture(dataset, 'val', 1))[..., ::-1]
    np.testing.assert_array_equal(image, scene.image)
    ids = read(annotation(dataset, 'val', 1, 'instanceIds'))
    np.testing.assert_array_equal(ids, scene.instance_ids)


def test_workers_and_counts_do_not_change_a_scene(
    dataset: Path, tmp_path: Path
) -> None:
    root = tmp_path / 'other'
    write_dataset(root, num_train=2, num_val=2, size=(64, 128), seed=5, workers=2)
    other, reference = contents(root), contents(dataset)
    assert len(other) == 4 * 5
    for name, content in other.items():
        assert content == reference[name], name


def test_same_arguments_complete_a_folder(tmp_path: Path) -> None:
    root = tmp_path / 'street'
    write_dataset(root, num_train=2, num_val=0, size=(32, 64))
    whole = contents(root)
    lost = annotation(root, 'train', 1, 'labelIds')
    lost.unlink()
    kept = picture(root, 'train', 0)
    before = kept.stat().st_mtime_ns
    write_dataset(root, num_train=2, num_val=0, size=(32, 64))
    assert contents(root) == whole
    assert kept.stat().st_mtime_ns == before


def test_other_arguments_are_refused(tmp_path: Path) -> None:
    root = tmp_path / 'street'
    write_dataset(root, num_train=1, num_val=0, size=(32, 64))
    with pytest.raises(ValueError, match='choose another folder or delete') as caught:
        write_dataset(root, num_train=1, num_val=0, size=(32, 64), seed=1)
    assert str(root) in str(caught.value)


def test_foreign_data_is_not_mixed_with_scenes(tmp_path: Path) -> None:
    (tmp_path / 'gtFine').mkdir()
    with pytest.raises(ValueError, match=re.escape(str(tmp_path))):
        write_dataset(tmp_path, num_train=1, num_val=0, size=(32, 64))


@pytest.mark.parametrize(
    ('arguments', 'sentence'),
    [
        ({'size': (31, 64)}, r'size is \(31, 64\).*pass size='),
        ({'size': (32, 63)}, r'size is \(32, 63\).*pass size='),
        ({'num_train': -1}, r'num_train is -1; pass 0 or more'),
        ({'num_val': -2}, r'num_val is -2; pass 0 or more'),
        ({'num_test': -3}, r'num_test is -3; pass 0 or more'),
        ({'supersampling': 2}, r'supersampling is 2.*pass 1, 3 or 5'),
        ({'seed': -1}, r'seed is -1; pass 0'),
        ({'workers': 0}, r'workers is 0; pass 1'),
    ],
)
def test_bad_arguments_are_named(
    tmp_path: Path, arguments: dict[str, object], sentence: str
) -> None:
    good = {'num_train': 1, 'num_val': 0, 'size': (32, 64)}
    with pytest.raises(ValueError, match=sentence):
        write_dataset(tmp_path / 'street', **{**good, **arguments})  # type: ignore[arg-type]
    assert not (tmp_path / 'street').exists()


def test_even_supersampling_is_refused() -> None:
    with pytest.raises(ValueError, match='supersampling is 4'):
        render_scene(0, (32, 64), supersampling=4)
