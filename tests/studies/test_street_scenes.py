"""Street scenes: exact labels, determinism and the Cityscapes layout on disk."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from cityscapesscripts.helpers.labels import id2label, name2label, trainId2label
from cityscapesscripts.preparation.json2labelImg import json2labelImg
from PIL import Image, ImageDraw

from mmseg_pointrend.errors import InputError
from mmseg_pointrend.studies.demo.street_scenes import (
    StreetScene,
    render_scene,
    write_dataset,
    writer,
)
from mmseg_pointrend.studies.demo.street_scenes.canvas import Canvas
from mmseg_pointrend.studies.demo.street_scenes.writer import (
    label_outlines,
    scene_files,
)


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
def small_scenes() -> list[StreetScene]:
    return [render_scene((0, 0, i), (64, 128)) for i in range(24)]


@pytest.fixture(scope='module')
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp('scenes') / 'street'
    write_dataset(root, num_train=3, num_val=2, num_test=1, size=(64, 128), seed=5)
    return root


@pytest.mark.parametrize('size', [(32, 64), (97, 201), (128, 64)])
def test_a_scene_has_the_size_and_types_that_are_asked_for(
    size: tuple[int, int],
) -> None:
    scene = render_scene(1, size)
    assert scene.image.shape == (*size, 3)
    assert scene.image.dtype == np.uint8
    assert scene.label_ids.shape == scene.train_ids.shape == size
    assert scene.label_ids.dtype == scene.train_ids.dtype == np.uint8
    assert len(np.unique(scene.label_ids)) > 4


def test_a_seed_is_a_scene() -> None:
    scene, again, other = (render_scene(seed, (64, 128)) for seed in (3, 3, 4))
    np.testing.assert_array_equal(scene.image, again.image)
    np.testing.assert_array_equal(scene.instance_ids, again.instance_ids)
    assert (scene.label_ids != other.label_ids).mean() > 0.1


def test_a_seed_is_the_same_street_at_another_size() -> None:
    small, large = (render_scene(3, size).label_ids for size in ((64, 128), (128, 256)))
    smaller = cv2.resize(large, (128, 64), interpolation=cv2.INTER_NEAREST)
    assert (small == smaller).mean() > 0.85


def test_a_label_is_the_sample_at_the_pixel_centre() -> None:
    sampled = render_scene(7, (48, 96), supersampling=3)
    every_sample = render_scene(7, (144, 288), supersampling=1)
    np.testing.assert_array_equal(sampled.label_ids, every_sample.label_ids[1::3, 1::3])


@pytest.mark.parametrize('supersampling', [1, 3, 5])
def test_a_polygon_covers_the_pixel_centres_inside(supersampling: int) -> None:
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
    assert inside[depth > 0].all()
    assert not inside[depth < -1.1 / supersampling].any()


def test_the_image_is_antialiased_and_the_labels_are_not() -> None:
    canvas = Canvas((20, 20), 3)
    canvas.polygon(np.array([(0, 0), (60, 0), (0, 60)]), (240, 240, 240), 23)
    levels = np.unique(canvas.image()[..., 0])
    assert levels.min() == 0
    assert levels.max() == 240
    assert ((levels > 20) & (levels < 220)).any()
    assert np.unique(canvas.centre_ids()).tolist() == [0, 23]


def test_outlines_inside_others_are_holes() -> None:
    canvas = Canvas((20, 20), 3)
    outer = np.array([(6, 6), (54, 6), (54, 54), (6, 54)])
    canvas.polygon(np.stack([outer, outer * 0.4 + 18]), (9, 9, 9), 33)
    ids = canvas.centre_ids()
    assert ids[4, 4] == 33
    assert ids[10, 10] == 0


def test_instances_are_counted_from_zero_in_the_classes_that_have_them(
    small_scenes: list[StreetScene],
) -> None:
    for scene in small_scenes:
        for value in np.unique(scene.label_ids).tolist():
            ids = np.unique(scene.instance_ids[scene.label_ids == value])
            wanted = [value]
            if id2label[value].hasInstances:
                wanted = [1000 * value + number for number in range(len(ids))]
            assert ids.tolist() == wanted


def test_train_ids_follow_the_cityscapes_table(
    small_scenes: list[StreetScene],
) -> None:
    for scene in small_scenes:
        for value in np.unique(scene.label_ids):
            mapped = np.unique(scene.train_ids[scene.label_ids == value])
            assert mapped.tolist() == [id2label[value].trainId]


def test_every_class_occurs_often_enough_to_be_learned(
    small_scenes: list[StreetScene],
) -> None:
    frames = np.zeros(256, int)
    for scene in small_scenes:
        frames[np.unique(scene.train_ids)] += 1
    rare = [trainId2label[i].name for i in range(19) if frames[i] < 5]
    assert not rare
    assert frames[255] > 0


def test_wheels_are_see_through() -> None:
    bicycle = name2label['bicycle'].id
    holes = 0
    for index in range(4):
        mask = render_scene((1, index), (160, 320)).label_ids == bicycle
        _, tree = cv2.findContours(
            mask.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE
        )
        holes += 0 if tree is None else int((tree[0][:, 3] >= 0).sum())
    assert holes > 8


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


def test_json2labelimg_restores_the_labels(tmp_path: Path) -> None:
    write_dataset(tmp_path / 'street', num_train=0, num_val=1, size=(256, 512))
    _, _, train_ids, _, polygons = scene_files(tmp_path / 'street', 'val', 0)
    json2labelImg(str(polygons), str(tmp_path / 'restored.png'), 'trainIds')
    assert np.mean(read(tmp_path / 'restored.png') == read(train_ids)) >= 0.97


def test_the_files_hold_the_scene(dataset: Path) -> None:
    scene = render_scene((5, 1, 1), (64, 128))
    image, label_ids, train_ids, instance_ids, polygons = scene_files(dataset, 'val', 1)
    stem = 'street/street_000001_000019'
    assert image == dataset / f'leftImg8bit/val/{stem}_leftImg8bit.png'
    assert polygons == dataset / f'gtFine/val/{stem}_gtFine_polygons.json'
    np.testing.assert_array_equal(read(image)[..., ::-1], scene.image)
    np.testing.assert_array_equal(read(label_ids), scene.label_ids)
    np.testing.assert_array_equal(read(train_ids), scene.train_ids)
    np.testing.assert_array_equal(read(instance_ids), scene.instance_ids)
    assert read(instance_ids).dtype == np.uint16
    record = json.loads(polygons.read_text())
    assert (record['imgHeight'], record['imgWidth']) == (64, 128)
    assert {item['label'] for item in record['objects']} <= set(name2label)
    assert len(contents(dataset)) == 6 * 5


def test_workers_and_counts_do_not_change_a_scene(
    dataset: Path, tmp_path: Path
) -> None:
    write_dataset(tmp_path, num_train=2, num_val=2, size=(64, 128), seed=5, workers=2)
    other, reference = contents(tmp_path), contents(dataset)
    assert len(other) == 4 * 5
    for name, content in other.items():
        assert content == reference[name], name


def test_the_same_arguments_complete_what_was_interrupted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, parts = tmp_path / 'whole', tmp_path / 'parts'
    write_dataset(whole, num_train=2, num_val=0, size=(32, 64))
    with monkeypatch.context() as patch:
        patch.setattr(writer, 'label_outlines', lambda ids: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            write_dataset(parts, num_train=2, num_val=0, size=(32, 64))
    write_dataset(parts, num_train=2, num_val=0, size=(32, 64))
    assert contents(parts) == contents(whole)
    _, lost, *_ = scene_files(parts, 'train', 1)
    lost.unlink()
    before = scene_files(parts, 'train', 0)[0].stat().st_mtime_ns
    write_dataset(parts, num_train=2, num_val=0, size=(32, 64))
    assert contents(parts) == contents(whole)
    assert scene_files(parts, 'train', 0)[0].stat().st_mtime_ns == before


def test_other_data_is_not_mixed_with_the_scenes(tmp_path: Path) -> None:
    write_dataset(tmp_path / 'scenes', num_train=0, num_val=0)
    (tmp_path / 'photos/gtFine').mkdir(parents=True)
    for folder in ('scenes', 'photos'):
        with pytest.raises(InputError, match=f'{folder} holds other data: choose'):
            write_dataset(tmp_path / folder, num_train=1, num_val=0)


@pytest.mark.parametrize(
    ('arguments', 'sentence'),
    [
        ({'size': (31, 64)}, r'size=\(31, 64\): give at least 32 rows'),
        ({'size': (32, 63)}, r'size=\(32, 63\): give'),
        ({'num_train': -1}, 'num_train=-1: give 0 or more'),
        ({'num_test': -3}, 'num_test=-3: give 0 or more'),
        ({'supersampling': 2}, 'supersampling=2: give 1, 3 or 5'),
        ({'seed': -1}, 'seed=-1: give 0 or more'),
        ({'workers': 0}, 'workers=0: give 1 or more'),
    ],
)
def test_bad_arguments_are_named(
    tmp_path: Path, arguments: dict[str, object], sentence: str
) -> None:
    good = {'num_train': 1, 'num_val': 0, 'size': (32, 64)}
    with pytest.raises(InputError, match=sentence):
        write_dataset(tmp_path / 'street', **{**good, **arguments})  # type: ignore[arg-type]
    assert not (tmp_path / 'street').exists()


def test_even_supersampling_is_refused() -> None:
    with pytest.raises(InputError, match='supersampling=4'):
        render_scene(0, (32, 64), supersampling=4)
