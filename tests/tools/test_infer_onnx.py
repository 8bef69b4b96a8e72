"""Labels and overlays by an ONNX file, without torch, and what is refused."""

from __future__ import annotations

import json
import re
import resource
import shutil
import sys
from argparse import Namespace
from concurrent.futures import ThreadPoolExecutor
from math import inf

import cv2
import infer_onnx
import mmcv
import numpy as np
import onnx
import openvino
import pytest
from infer_onnx import InputError, Labeler
from mmcv.transforms import Resize
from onnx import TensorProto
from PIL import Image

from mmseg_pointrend.engine.export.files import write_openvino
from mmseg_pointrend.engine.prediction.inputs import find_images
from mmseg_pointrend.engine.prediction.model import Prediction
from mmseg_pointrend.engine.prediction.reading import Image as Picture
from mmseg_pointrend.engine.prediction.run import write_image
from tests.helpers import ROOT, run_tool
from tests.onnx_files import PALETTE, named_onnx, write_onnx

WITHOUT = """
import runpy, sys
others = ('torch', 'mmengine', 'mmcv', 'mmseg', 'mmseg_pointrend', 'onnx', 'rich')
for name in (*others, sys.argv[1]):
    sys.modules[name] = None  # importing it raises ImportError
del sys.argv[:2]
runpy.run_path(sys.argv[0], run_name='__main__')
"""


@pytest.fixture
def infer(tmp_path):
    """Label into ``out`` of the test's folder."""

    def call(*inputs, model=None, overwrite=False, frames=inf):
        args = Namespace(
            model=model or named_onnx(tmp_path / 'model.onnx'),
            inputs=[str(one) for one in inputs],
            out=tmp_path / 'out',
            threads=1,
            provider=None,
            overwrite=overwrite,
            frames=frames,
        )
        return infer_onnx.infer(args)

    return call


@pytest.fixture
def photos(tmp_path):
    """A folder with images of two sizes and kinds, one in a subfolder."""
    draw = np.random.default_rng(0).integers
    for name, size in (('a.png', (24, 40)), ('b/c.jpg', (31, 17)), ('d.png', (24, 40))):
        path = tmp_path / 'photos' / name
        path.parent.mkdir(exist_ok=True, parents=True)
        small = draw(0, 256, (4, 4, 3), dtype=np.uint8)
        cv2.imwrite(str(path), cv2.resize(small, size[::-1]))
    return tmp_path / 'photos'


def files_in(folder):
    return sorted(str(one.relative_to(folder)) for one in folder.rglob('*.*'))


def ids_in(path):
    image = Image.open(path)
    assert image.mode == 'P'
    return np.array(image)


def rgb(path):
    return mmcv.imread(path)[..., ::-1]


def as_openvino(model):
    """Convert a tiny ONNX file, with what it says."""
    said = onnx.load(model).metadata_props
    path = model.with_suffix('.xml')
    write_openvino(model, path, json.loads(said[0].value) if said else {})
    return path


@pytest.mark.parametrize('runtime', ['onnxruntime', 'openvino'])
def test_the_file_alone_writes_what_predict_writes_without_torch(
    photos, tmp_path, runtime
):
    script = shutil.copy(ROOT / 'tools/infer_onnx.py', tmp_path)
    model = named_onnx(tmp_path / 'model.onnx')
    other = 'openvino'
    if runtime == 'openvino':
        model, other = as_openvino(model), 'onnxruntime'
    result = run_tool(
        *(sys.executable, '-c', WITHOUT, other, script, model, photos),
        *('--out', tmp_path / 'out', '--threads', 1),
        cwd=tmp_path,
        PYTHONPATH='',
    )
    assert result.returncode == 0, result.stderr
    assert result.stderr == ''
    summary = r'3 images in [\d.]+ s \([\d.]+ s each\); the network took \d+ %\nwritten'
    assert re.match(summary, result.stdout)
    for path, name in find_images([str(photos)], tmp_path / 'out').items():
        labels = rgb(path).argmax(axis=2).astype(np.uint8)
        picture = Picture(name, mmcv.imread(path), {})
        palette = np.array(PALETTE, np.uint8)
        write_image(tmp_path / 'wanted', palette, picture, Prediction(labels))
    names = files_in(tmp_path / 'wanted')
    assert len(names) == 6
    assert files_in(tmp_path / 'out') == names
    for name in names:
        made, wanted = (tmp_path / one / name for one in ('out', 'wanted'))
        assert made.read_bytes() == wanted.read_bytes()


def test_names_are_those_of_predict(photos, tmp_path):
    for name in ('a.jpg', '.hidden.png', '.cache/x.png', 'out/labels/a.png', 'b/a.txt'):
        (photos / name).parent.mkdir(exist_ok=True, parents=True)
        (photos / name).touch()
    (photos / 'folder.png').mkdir()
    out = photos / 'out'
    for inputs in ([photos], [photos / 'b', photos / 'a.png'], [photos, photos / 'b']):
        sources = [str(one) for one in inputs]
        wanted = {
            one.resolve(): name for one, name in find_images(sources, out).items()
        }
        assert infer_onnx.find_images(sources, out) == wanted
    (photos / 'b/a.png').touch()
    with pytest.raises(InputError, match=r'2 images would be written to a.png'):
        infer_onnx.find_images([str(photos / 'a.png'), str(photos / 'b')], out)
    with pytest.raises(InputError, match='labels holds no images to label'):
        infer_onnx.find_images([str(out / 'labels')], out)
    with pytest.raises(InputError, match='gone does not exist'):
        infer_onnx.find_images(['gone'], out)


def test_every_kind_of_image_is_read_as_mmcv_reads_it(infer, tmp_path):
    folder = tmp_path / 'kinds'
    folder.mkdir()
    pixels = np.random.default_rng(0).integers(0, 256, (20, 30, 4), dtype=np.uint8)
    exif = Image.Exif()
    exif[0x0112] = 6  # lies on its side
    Image.fromarray(pixels[..., :3]).save(folder / 'turned.jpg', exif=exif)
    Image.fromarray(pixels).save(folder / 'rgba.png')
    Image.fromarray(pixels[..., 0]).save(folder / 'grey.png')
    cv2.imwrite(str(folder / 'deep.png'), pixels[..., :3].astype(np.uint16) * 257)
    assert infer(folder)
    for path in folder.iterdir():
        labels = ids_in(tmp_path / f'out/labels/{path.stem}.png')
        assert np.array_equal(labels, rgb(path).argmax(axis=2))
    assert ids_in(tmp_path / 'out/labels/turned.png').shape == (30, 20)


@pytest.mark.parametrize('keep_ratio', [True, False])
@pytest.mark.parametrize('size', [(31, 57), (57, 31), (100, 20), (48, 96)])
def test_images_are_resized_as_mmcv_does_and_labels_brought_back(
    tmp_path, keep_ratio, size
):
    small = np.random.default_rng(0).integers(0, 256, (5, 5, 3), dtype=np.uint8)
    image = cv2.resize(small, size[::-1])
    step = Resize(scale=(64, 48), keep_ratio=keep_ratio)
    resized = step(dict(img=image))['img'].argmax(axis=2)
    rows, columns = (
        ((np.arange(n) + 0.5) * m / n).astype(int)
        for n, m in zip(size, resized.shape, strict=True)
    )
    keys = dict(resize=dict(scale=[64, 48], keep_ratio=keep_ratio))
    labels = Labeler(named_onnx(tmp_path / 'model.onnx', **keys))(image)
    assert labels.shape == size
    assert labels.dtype == np.uint8
    assert (labels == resized[rows][:, columns]).mean() > 0.99


def test_a_file_of_fixed_size_names_images_of_another(infer, photos, tmp_path, capsys):
    model = named_onnx(tmp_path / 'fixed.onnx', shape=(1, 24, 40, 3))
    assert not infer(photos, model=model)
    captured = capsys.readouterr()
    assert captured.err == (
        f'error: {photos}/b/c.jpg: 17x31 pixels, and fixed.onnx takes 40x24 alone: '
        'resize the image, or export the model with --dynamic.\n'
    )
    assert '2 images in' in captured.out
    assert files_in(tmp_path / 'out/labels') == ['a.png', 'd.png']
    keys = dict(resize=dict(scale=[40, 24], keep_ratio=False), shape=(1, 24, 40, 3))
    model = named_onnx(tmp_path / 'resizing.onnx', **keys)
    assert infer(photos, model=model, overwrite=True)
    assert ids_in(tmp_path / 'out/labels/b/c.png').shape == (31, 17)


def test_a_file_cannot_be_read_and_others_go_on(infer, photos, tmp_path, capfd):
    for name in ('a.png', 'b/c.jpg'):
        content = (photos / name).read_bytes()
        (photos / name).write_bytes(content[: len(content) * 3 // 4])
    (photos / 'empty.png').touch()
    (photos / 'text.png').write_text('text')
    assert not infer(photos)
    errors = [one for one in capfd.readouterr().err.splitlines() if 'error: /' in one]
    wanted = 'it is truncated, huge or no image: get or convert it again.'
    names = ('a.png', 'b/c.jpg', 'empty.png', 'text.png')
    assert sorted(errors) == [f'error: {photos}/{name}: {wanted}' for name in names]
    assert files_in(tmp_path / 'out') == ['labels/d.png', 'overlays/d.png']


def test_a_folder_with_files_is_not_touched_unless_asked(infer, photos, tmp_path):
    old = tmp_path / 'out/labels/a.png'
    old.parent.mkdir(parents=True)
    old.write_bytes(b'old')
    with pytest.raises(InputError, match='out is not empty: give another folder, or'):
        infer(photos)
    assert old.read_bytes() == b'old'
    assert infer(photos, overwrite=True)
    assert ids_in(old).shape == (24, 40)


def test_a_full_disk_is_a_sentence_and_leaves_nothing_half_written(
    infer, photos, tmp_path, monkeypatch, capsys
):
    def fill_disk(*args):
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr('os.fsync', fill_disk)
    with pytest.raises(InputError, match=r'cannot write .* \(No space left on device'):
        infer(photos)
    assert files_in(tmp_path / 'out') == []
    assert 'images in' not in capsys.readouterr().out


def test_a_file_without_metadata_has_numbers_and_colours(infer, photos, tmp_path):
    model = write_onnx(tmp_path / 'bare.onnx')
    labeler = Labeler(model)
    assert labeler.classes == [str(i) for i in range(256)]
    assert labeler.palette.shape == (256, 3)
    assert infer(photos, model=model)
    labels = ids_in(tmp_path / 'out/labels/a.png')
    assert np.array_equal(labels, rgb(photos / 'a.png').argmax(axis=2))


def test_more_classes_than_8_bits_hold_are_written_with_16(infer, photos, tmp_path):
    weights = np.random.default_rng(0).normal(size=(3, 300)).astype(np.float32)
    weights[:, 260:] *= 5
    assert infer(photos, model=write_onnx(tmp_path / 'many.onnx', weights=weights))
    labels = np.array(Image.open(tmp_path / 'out/labels/a.png'))
    assert labels.max() > 255
    wanted = (rgb(photos / 'a.png').astype(np.float32) @ weights).argmax(axis=2)
    assert (labels == wanted).mean() > 0.99


@pytest.mark.parametrize(
    ('keys', 'said'),
    [
        (
            dict(kind=TensorProto.FLOAT),
            r"takes \[\('float', .*make it with too",
        ),
        (dict(shape=('N', 3, 'H', 'W')), r"\['N', 3, 'H', 'W'\]\)\] and gives labels"),
        (dict(shape=(4, 24, 40, 3)), r'\[4, 24, 40, 3\]\)\] and .*not one uint8 image'),
    ],
)
def test_a_file_of_another_interface_is_refused(tmp_path, keys, said):
    model = write_onnx(tmp_path / 'm.onnx', **keys)
    with pytest.raises(InputError, match=said):
        Labeler(model)
    with pytest.raises(InputError, match=r'takes .* and gives labels .*: make it with'):
        Labeler(as_openvino(model))


def test_openvino_keeps_float32_and_names_its_devices(tmp_path, monkeypatch):
    model, asked = as_openvino(named_onnx(tmp_path / 'model.onnx')), []
    compile_model = openvino.Core.compile_model
    monkeypatch.setattr(
        openvino.Core,
        'compile_model',
        lambda *args: asked.append(args[3]) or compile_model(*args),
    )
    label = Labeler(model, threads=1)
    assert asked[0]['INFERENCE_PRECISION_HINT'] == 'f32'
    assert label.classes == ['red', 'green', 'blue', 'never']
    images = np.random.default_rng(0).integers(0, 256, (8, 24, 40, 3), dtype=np.uint8)
    with ThreadPoolExecutor(8) as pool:
        for image, labels in zip(images, pool.map(label, images), strict=True):
            assert np.array_equal(labels, image.argmax(axis=2))
    with pytest.raises(InputError, match='NPU7 does not start: give a device, of CPU'):
        Labeler(model, provider='NPU7')
    model.write_text(model.read_text()[:500])
    with pytest.raises(InputError, match=r'model.xml cannot be loaded \(.*truncated'):
        Labeler(model)
    model.with_suffix('.bin').unlink()
    with pytest.raises(InputError, match=r'model.bin, which is missing: copy it, too'):
        Labeler(model)
    monkeypatch.setitem(sys.modules, 'openvino', None)
    with pytest.raises(
        InputError, match=r'needs openvino \(.*\): pip install openvino'
    ):
        Labeler(model)


def test_what_is_no_model_or_image_is_one_sentence(photos, tmp_path):
    model = named_onnx(tmp_path / 'model.onnx')
    cut = tmp_path / 'cut.onnx'
    for part in (0, 0.3, 0.9):
        content = model.read_bytes()
        cut.write_bytes(content[: int(len(content) * part)])
        result = run_tool(
            *(sys.executable, 'tools/infer_onnx.py', cut, photos),
            *('--out', tmp_path / 'out'),
        )
        assert result.returncode == 1
        assert re.fullmatch(
            rf'error: {cut} cannot be loaded \(.+\): it is truncated.*\n', result.stderr
        )
    assert not (tmp_path / 'out').exists()
    with pytest.raises(InputError, match='gone does not exist'):
        Labeler('gone')
    with (
        pytest.warns(UserWarning, match='TensorrtExecutionProvider'),
        pytest.raises(
            InputError, match=r'Tensorrt.* does not start: give one of .*CPU'
        ),
    ):
        Labeler(model, provider='TensorrtExecutionProvider')
    label = Labeler(model)
    with pytest.raises(InputError, match=r'the image is float32 \(4, 4, 3\): give RGB'):
        label(np.zeros((4, 4, 3), np.float32))
    with pytest.raises(InputError, match=r'the image is uint8 \(4, 4\): give RGB'):
        label(np.zeros((4, 4), np.uint8))


@pytest.fixture
def video(tmp_path):
    """A video of 12 frames, 72x136."""
    path = tmp_path / 'drive.avi'
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*'MJPG'), 10, (136, 72))
    small = np.random.default_rng(0).integers(0, 256, (3, 5, 3), dtype=np.uint8)
    image = cv2.resize(small, (136, 72))
    for i in range(12):
        writer.write(np.roll(image, 5 * i, axis=1))
    writer.release()
    return path


@pytest.mark.parametrize(('frames', 'count'), [(inf, 12), (5, 5)])
def test_a_video_becomes_labels_of_each_frame_and_an_overlay(
    infer, video, tmp_path, capsys, frames, count
):
    assert infer(video, frames=frames)
    assert f'{count} frames in' in capsys.readouterr().out
    out = tmp_path / 'out'
    assert files_in(out / 'overlays') == ['drive.mp4']
    names = [f'drive/{i:06d}.png' for i in range(count)]
    assert files_in(out / 'labels') == names
    made, source = (
        cv2.VideoCapture(str(one)) for one in (out / 'overlays/drive.mp4', video)
    )
    assert made.get(cv2.CAP_PROP_FRAME_COUNT) == count
    assert made.get(cv2.CAP_PROP_FPS) == 10
    for name in names:
        frame = source.read()[1]
        labels = ids_in(out / 'labels' / name)
        assert np.array_equal(labels, frame[..., ::-1].argmax(axis=2))
        blend = (frame.astype(float) + np.array(PALETTE)[labels][..., ::-1]) / 2
        assert np.median(np.abs(made.read()[1] - blend)) < 12


def test_of_a_video_that_ends_early_what_came_is_kept(infer, video, tmp_path, capsys):
    content = video.read_bytes()
    video.write_bytes(content[: len(content) // 2])
    assert not infer(video)
    said = r'error: .*drive.avi ended after \d of 12 frames, which are written'
    assert re.match(said, capsys.readouterr().err)
    assert 3 < len(files_in(tmp_path / 'out/labels')) < 9
    video.write_bytes(b'no video')
    with pytest.raises(InputError, match='no frame comes out of'):
        infer(video, overwrite=True)
    with pytest.raises(InputError, match=r'drive.avi is a video: give it alone'):
        infer(video, tmp_path, overwrite=True)
    with pytest.raises(InputError, match='--frames is for a video'):
        infer(tmp_path, frames=3, overwrite=True)


def test_a_disk_that_fills_up_leaves_no_half_video(infer, video, tmp_path):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    model = named_onnx(tmp_path / 'model.onnx')
    resource.setrlimit(resource.RLIMIT_FSIZE, (4_000, limits[1]))
    try:
        with pytest.raises(
            InputError, match=r'cannot write .*drive.mp4 \(the video is'
        ):
            infer(video, model=model)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert files_in(tmp_path / 'out/overlays') == []
