"""Training and ``tools/check_dataset.py`` say which file is bad, and agree on it."""

from __future__ import annotations

import io
import json
import re
import shutil
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pytest
from conftest import ROOT, run_tool
from hypothesis import given, settings
from hypothesis import strategies as st
from mmengine.config import Config
from mmengine.registry import TRANSFORMS
from mmseg.registry import DATASETS
from mmseg.utils import register_all_modules
from PIL import Image

from mmseg_pointrend.datasets.files import BadFile
from mmseg_pointrend.datasets.validation import Finding, check_config
from mmseg_pointrend.errors import InputError

rng = np.random.default_rng(0)
IMAGE = cv2.GaussianBlur(rng.integers(0, 256, (24, 36, 3), np.uint8), (5, 5), 2)
LABEL = rng.integers(0, 12, (24, 36), np.uint8)


def jpeg(image: np.ndarray = IMAGE) -> bytes:
    return cv2.imencode('.jpg', image)[1].tobytes()


def png(pixels: np.ndarray) -> bytes:
    return cv2.imencode('.png', pixels)[1].tobytes()


def pillow(pixels: np.ndarray, kind: str, mode: str | None = None, **options) -> bytes:
    file = io.BytesIO()
    image = Image.fromarray(pixels)
    (image.convert(mode) if mode else image).save(file, kind, **options)
    return file.getvalue()


def flipped(content: bytes) -> bytes:
    """The same with one bit of its middle changed."""
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


def turned() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 3
    return pillow(IMAGE, 'JPEG', exif=exif)


def with_alpha(lowest: int) -> np.ndarray:
    alpha = np.full((24, 36, 1), 255, np.uint8)
    alpha[0, 0] = lowest
    return np.concatenate([IMAGE, alpha], axis=2)


palette = Image.fromarray(LABEL)
palette.putpalette(range(36))
palette_png = io.BytesIO()
palette.save(palette_png, 'PNG')

# Name of the pair, its image, its label (None for the good ones), what is wrong, and
# the sentence that follows the file's name.
ERRORS: dict[str, tuple[bytes | None, bytes | None, str, str]] = {
    'empty_image': (b'', None, 'empty file', r', it is empty \(0 bytes\): get'),
    'empty_label': (None, b'', 'empty file', r', it is empty \(0 bytes\): get'),
    'text_image': (b'hello', None, 'no image', ', it is no image: replace'),
    'text_label': (None, b'hello', 'no image', ', it is no image: replace'),
    'cut_jpeg': (
        jpeg()[:500],
        None,
        'truncated or damaged file',
        ', it is truncated or damaged: ',
    ),
    'cut_png': (
        png(IMAGE)[:900],
        None,
        'truncated or damaged file',
        ', it is truncated or damag',
    ),
    'cut_label': (
        None,
        png(LABEL)[:60],
        'truncated or damaged file',
        ', it is truncated or dama',
    ),
    'flipped_bit': (
        None,
        flipped(png(LABEL)),
        'truncated or damaged file',
        ', .*checksum in ',
    ),
    'deep_colours': (
        png(IMAGE.astype(np.uint16) * 257),
        None,
        '16-bit image',
        ' has 16 bits a channel, .*: convert it to 8 bits',
    ),
    'deep_grey': (
        png(IMAGE[..., 0].astype(np.uint16) * 16),
        None,
        '16-bit image',
        ' has 16 bits a channel',
    ),
    'transparent': (
        png(with_alpha(0)),
        None,
        'transparent image',
        r' \(mode RGBA\) is transparent in places .*: paint it on a background',
    ),
    'no_such_class': (
        None,
        png(np.full_like(LABEL, 44)),
        'label ids out of range',
        r' holds the label ids \[44\], but the 11 classes are 0 to 10 and 255 is',
    ),
    'large_ids': (
        None,
        png(np.full((24, 36), 257, np.uint16)),
        'label ids out of range',
        r' holds the value 257 \(uint16\), and MMSegmentation cuts labels to 8 bits',
    ),
    'fractions': (
        None,
        pillow(LABEL / np.float32(10), 'TIFF'),
        'label ids out of range',
        r' holds the value 0.1 \(float32\), and .*: store one whole number',
    ),
    'nan': (
        None,
        pillow(np.full((24, 36), np.nan, np.float32), 'TIFF'),
        'label ids out of range',
        r' holds the value nan \(float32\)',
    ),
    'colours': (
        None,
        png(IMAGE),
        'colour label',
        ' has shape 24x36x3, a picture in colours: convert it to one 8-bit id',
    ),
    'other_size': (
        None,
        png(LABEL[:, :20]),
        'size mismatch',
        ' has shape 24x20 but its image .*/img/other_size.jpg has 24x36: every',
    ),
    'lying_down': (
        jpeg(IMAGE.transpose(1, 0, 2).copy()),
        None,
        'size mismatch',
        ' has shape 24x36 but its image .*/img/lying_down.jpg has 36x24',
    ),
}
WARNINGS: dict[str, tuple[bytes | None, bytes | None, str, str]] = {
    'opaque': (png(with_alpha(255)), None, 'RGBA image', ' has mode RGBA, not RGB'),
    'palette': (
        pillow(IMAGE, 'PNG', 'P'),
        None,
        'palette image',
        ' has mode P, not RGB',
    ),
    'print': (pillow(IMAGE, 'JPEG', 'CMYK'), None, 'CMYK image', ' has mode CMYK, not'),
    'exif': (turned(), None, 'turned image', r' is turned .*\(EXIF orientation 3\)'),
    'wide': (None, png(LABEL.astype(np.uint16)), 'wide label', ' has mode I;16 althou'),
}
GOOD: dict[str, tuple[bytes | None, bytes | None]] = {
    'plain': (None, None),
    'grey': (jpeg(IMAGE[..., 0]), None),
    'palette_label': (None, palette_png.getvalue()),
    'one_bit': (None, pillow(LABEL > 5, 'PNG')),
    'progressive': (pillow(IMAGE, 'JPEG', progressive=True), None),
}


def write_pair(
    root: Path, name: str, image: bytes | None = None, label: bytes | None = None
) -> Path:
    """Writes an image and a label, by default good ones."""
    for kind, suffix, content in (
        ('img', 'jpg', jpeg() if image is None else image),
        ('ann', 'png', png(LABEL) if label is None else label),
    ):
        (root / kind).mkdir(exist_ok=True)
        (root / f'{kind}/{name}.{suffix}').write_bytes(content)
    return root


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    return partial(write_pair, tmp_path)


def dataset_config(root: Path, **kwargs: object) -> dict:
    return dict(
        type='CamVidDataset',
        data_root=str(root),
        serialize_data=False,
        data_prefix=dict(img_path='img', seg_map_path='ann'),
        pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='LoadAnnotations'),
            dict(type='PackSegInputs'),
        ],
        **kwargs,
    )


def load(root: Path, **kwargs: object) -> dict:
    return DATASETS.build(dataset_config(root, **kwargs))[0]


def findings(root: Path, **kwargs: object) -> list:
    cfg = Config(dict(train_dataloader=dict(dataset=dataset_config(root, **kwargs))))
    return check_config(cfg, ['train'], workers=1)['train'][1]


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


def test_a_label_of_one_row_keeps_its_shape(write):
    root = write('thin', jpeg(IMAGE[:1]), png(LABEL[:1]))
    assert load(root)['data_samples'].gt_sem_seg.data.shape == (1, 1, 36)
    assert findings(root) == []


def test_a_palette_label_read_in_colours_is_named(write):
    root = write('a', label=GOOD['palette_label'][1])
    config = dataset_config(root)
    config['pipeline'][1]['imdecode_backend'] = 'cv2'
    with pytest.raises(BadFile, match=r'ann/a.png has shape 24x36x3, a picture in'):
        DATASETS.build(config)[0]


def test_ids_are_those_after_reduce_zero_label(write):
    root = write('a', label=png(np.full_like(LABEL, 44)))
    with pytest.raises(BadFile, match=r'ids \[43\] after reduce_zero_label, but'):
        load(root, reduce_zero_label=True)


def test_transparency_and_depth_that_are_kept_are_no_error(write):
    for name in ('transparent', 'deep_colours'):
        root = write('a', ERRORS[name][0])
        config = dataset_config(root)
        config['pipeline'][0]['color_type'] = 'unchanged'
        sample = DATASETS.build(config)[0]['inputs']
        assert sample.shape[0] == 4 or sample.float().max() > 255


def test_images_to_be_skipped_are_skipped(write):
    write('a', b'')
    root = write('b')
    config = dataset_config(root)
    config['pipeline'][0]['ignore_empty'] = True
    sample = DATASETS.build(config)[0]
    assert Path(sample['data_samples'].img_path).name == 'b.jpg'
    (found,) = findings(root)
    assert found.kind == 'empty file'


def test_a_list_that_does_not_exist_is_named(write):
    root = write('a')
    with pytest.raises(InputError, match=r'list of images .*train.txt \(ann_file\) do'):
        load(root, ann_file='train.txt')
    (found,) = findings(root, ann_file='train.txt')
    assert found.kind == 'missing data'


def test_other_data_sets_are_checked_too(scenes, tmp_path):
    root = tmp_path / 'scenes'
    shutil.copytree(scenes, root)
    image = sorted(root.glob('leftImg8bit/val/*/*.png'))[0]
    image.write_bytes(image.read_bytes()[:3000])
    label = sorted(root.glob('gtFine/val/*/*labelTrainIds.png'))[1]
    label.unlink()
    cfg = Config.fromfile(ROOT / 'configs/_base_/datasets/street_scenes_256x512.py')
    cfg.val_dataloader.dataset.update(type='CityscapesDataset', data_root=str(root))
    count, found = check_config(cfg, ['val'], workers=1)['val']
    assert count == 3
    assert [finding.path for finding in found] == [str(image), str(label)]
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
    ],
)
def test_a_config_that_does_not_say_what_to_read_is_refused(write, change, sentence):
    dataset = {**dataset_config(write('a')), **change}
    cfg = Config(dict(train_dataloader=dict(dataset=dataset)))
    with pytest.raises(InputError, match=sentence):
        check_config(cfg, [], workers=1)
    with pytest.raises(
        InputError, match=r'the config has no val_dataloader.dataset: l'
    ):
        check_config(cfg, ['val'], workers=1)


def test_lone_files_are_found(write):
    root = write('a')
    for name in ('no_label', 'no_image'):
        write(name)
    (root / 'ann/no_label.png').unlink()
    (root / 'img/no_image.jpg').unlink()
    found = {finding.kind: finding.sentence for finding in findings(root)}
    assert set(found) == {'missing file', 'label without image'}
    assert f'{root}/ann/no_label.png, it does not exist: add' in found['missing file']
    assert f'{root}/ann/no_image.png has no' in found['label without image']


def test_a_list_of_images_makes_no_label_lone(write):
    write('a')
    root = write('b')
    (root / 'train.txt').write_text('a\nc\n')
    missing = [(one.kind, one.path) for one in findings(root, ann_file='train.txt')]
    assert missing == [
        ('missing file', f'{root}/img/c.jpg'),
        ('missing file', f'{root}/ann/c.png'),
    ]


def test_a_label_without_classes_is_found_and_trains(write):
    root = write('void', label=png(np.full_like(LABEL, 11)))
    load(root)
    (found,) = findings(root)
    assert (found.is_error, found.kind) == (True, 'label without classes')
    assert 'ann/void.png has no pixel of any class' in found.sentence


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


@pytest.fixture
def config(write, tmp_path):
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


def test_the_command_reports_all_splits_and_fails(write, config, tmp_path):
    for i in range(5):
        write(f'cut{i}', jpeg()[:400], png(LABEL % 2))
    write('good', label=png(LABEL % 2))
    write('opaque', png(with_alpha(255)), png(LABEL % 2))
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
        r'or damaged \(Truncated File Read\): get it again.',
        result.stderr.splitlines()[-1],
    )
    assert 'Traceback' not in result.stderr


def test_the_command_passes_good_data(write, config):
    write('good', label=png(LABEL % 2))
    result = run_tool(sys.executable, 'tools/check_dataset.py', config)
    assert result.returncode == 0, result.stderr
    assert 'val is the data of train.' in result.stdout.splitlines()
    assert result.stdout.splitlines()[-1] == 'train: images 1, errors 0, warnings 0'
