"""Labels, overlays and the rest of images, videos and cameras, and what is refused."""

from __future__ import annotations

import re
import resource
import sys

import cv2
import numpy as np
import pytest
from mmseg.apis import inference_model, init_model
from mmseg.registry import MODELS
from PIL import Image

from mmseg_pointrend.engine.config import load_config
from mmseg_pointrend.engine.prediction import run
from mmseg_pointrend.engine.prediction.inputs import find_images, find_video
from mmseg_pointrend.engine.prediction.model import Prediction, meta_of
from mmseg_pointrend.engine.prediction.run import predict_files
from mmseg_pointrend.engine.prediction.writing import film, overlay, write_files
from mmseg_pointrend.errors import InputError
from tests.helpers import run_tool

PALETTE = np.arange(57, dtype=np.uint8).reshape(19, 3)


@pytest.fixture
def predict(tiny_config, trained, tmp_path):
    """Predict into ``out`` of the test's folder."""

    def call(*inputs, config='tiny.py', options=None, **kwargs):
        cfg = load_config(str(tiny_config.with_name(config)), options)
        sources = [str(one) for one in inputs]
        checkpoint = str(trained / 'iter_4.pth')
        return predict_files(
            cfg, checkpoint, sources, tmp_path / 'out', device='cpu', **kwargs
        )

    return call


@pytest.fixture
def video(scenes, tmp_path):
    """A video of 12 frames, 72x136, and its frames as they are decoded."""
    path = tmp_path / 'drive.avi'
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*'MJPG'), 10, (136, 72))
    image = cv2.imread(str(next(scenes.glob('leftImg8bit/val/*/*.png'))))
    for i in range(12):
        writer.write(np.roll(image, 5 * i, axis=1))
    writer.release()
    return path


def files_in(folder):
    return sorted(str(one.relative_to(folder)) for one in folder.rglob('*.*'))


def ids_in(path):
    image = Image.open(path)
    assert image.mode == 'P'
    return np.array(image)


def test_a_folder_keeps_its_structure_and_labels_are_those_of_the_model(
    trained, tiny_config, scenes, tmp_path
):
    result = run_tool(
        *(sys.executable, 'tools/predict.py', tiny_config, trained / 'iter_4.pth'),
        *(scenes / 'leftImg8bit', '--out', tmp_path, '--points', '--probabilities'),
    )
    assert result.returncode == 0, result.stderr
    summary = r'10 images in [\d.]+ s \([\d.]+ s each\); the network took \d+ %'
    assert re.search(summary, result.stdout)
    images = sorted(scenes.glob('leftImg8bit/*/*/*.png'))
    names = [str(one.relative_to(scenes / 'leftImg8bit')) for one in images]
    for folder in ('labels', 'overlays', 'points'):
        assert files_in(tmp_path / folder) == names
    model = init_model(str(tiny_config), str(trained / 'iter_4.pth'), device='cpu')
    palette = np.array(model.dataset_meta['palette'], np.uint8)
    for image, name in list(zip(images, names, strict=True))[:2]:
        wanted = inference_model(model, str(image)).pred_sem_seg.data[0].numpy()
        labels = Image.open(tmp_path / 'labels' / name)
        assert np.array_equal(np.array(labels), wanted)
        colours = np.array(labels.convert('RGB'))
        assert np.array_equal(colours, palette[wanted])
        # Nothing but the image, the colours and thin lines where these meet.
        picture = cv2.imread(str(tmp_path / 'overlays' / name))[..., ::-1]
        blend = (cv2.imread(str(image))[..., ::-1].astype(float) + colours) / 2
        drawn = np.abs(picture - blend).max(axis=2) > 1
        edges = (np.diff(wanted, axis=0) != 0)[:, 1:] | (np.diff(wanted) != 0)[1:]
        assert (picture[drawn] == 255).all()
        assert np.array_equal(drawn[1:, 1:], edges)
        file = np.load((tmp_path / 'probabilities' / name).with_suffix('.npz'))
        shares = file['probabilities']
        assert shares.shape == (19, 72, 136)
        assert shares.dtype == np.float16
        assert np.abs(shares.astype(float).sum(axis=0) - 1).max() < 0.01
        best = np.take_along_axis(shares, wanted[None], axis=0)
        assert (best + 1e-3 >= shares.max(axis=0)).all()
        assert np.array(Image.open(tmp_path / 'points' / name)).sum() == 8096


@pytest.mark.parametrize('mode', ['whole', 'slide'])
def test_a_plain_model_predicts_whole_images_and_windows(
    predict, scenes, tmp_path, mode
):
    options = {'model.test_cfg': dict(mode=mode, crop_size=(64, 64), stride=(48, 48))}
    folder = scenes / 'leftImg8bit/val'
    assert predict(folder, config='plain.py', options=options)
    assert len(files_in(tmp_path / 'out/labels')) == 3
    with pytest.raises(InputError, match='EncoderDecoder has no points to draw'):
        predict(folder, config='plain.py', points=True, overwrite=True)


def test_the_pipeline_of_wrapped_data_is_found(predict, tiny_config, scenes, tmp_path):
    dataset = load_config(str(tiny_config)).val_dataloader.dataset
    wrapped = dict(type='RepeatDataset', times=2, dataset=dataset)
    options = {
        'test_pipeline': None,
        'test_dataloader': None,
        'val_dataloader': dict(dataset=dict(_delete_=True, **wrapped)),
    }
    assert predict(scenes / 'leftImg8bit/val', options=options)
    assert len(files_in(tmp_path / 'out/labels')) == 3


def test_classes_of_old_checkpoints_and_colours_of_the_data_set(tiny_config):
    cfg = load_config(str(tiny_config))
    model = MODELS.build(cfg.model)
    names = [f'class {i}' for i in range(19)]
    meta = meta_of(model, dict(meta=dict(CLASSES=names)), cfg)
    assert meta['classes'] == tuple(names)
    assert meta['palette'][0].tolist() == [128, 64, 128]


def test_a_file_that_cannot_be_read_is_named_and_others_go_on(
    predict, scenes, tmp_path, capsys
):
    good = next(scenes.glob('leftImg8bit/val/*/*.png'))
    cut, other = tmp_path / 'cut.png', tmp_path / 'other.jpg'
    cut.write_bytes(good.read_bytes()[:5000])
    assert cv2.imwrite(str(other), cv2.imread(str(good)))
    assert not predict(cut, other, good)
    captured = capsys.readouterr()
    assert f'error: cannot read {cut}, it is truncated' in captured.err
    assert '2 images in' in captured.out
    assert files_in(tmp_path / 'out/labels') == ['other.png', good.name]


def test_a_folder_with_files_is_not_touched_unless_asked(predict, scenes, tmp_path):
    image = next(scenes.glob('leftImg8bit/val/*/*.png'))
    own, old = tmp_path / 'out/own.txt', tmp_path / 'out/labels' / image.name
    old.parent.mkdir(parents=True)
    own.touch()
    old.write_bytes(b'old')
    with pytest.raises(InputError, match='out is not empty: give another folder, or'):
        predict(image)
    assert old.read_bytes() == b'old'
    assert predict(image, overwrite=True)
    assert ids_in(old).shape == (72, 136)
    assert own.exists()
    with pytest.raises(InputError, match='is a file: give a folder'):
        run.check_out(own, overwrite=True)


def test_a_full_disk_is_a_sentence_and_leaves_nothing_half_written(
    predict, scenes, tmp_path, monkeypatch
):
    def fill_disk(*args):
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr('os.fsync', fill_disk)
    calls = []
    monkeypatch.setattr(run, 'report', lambda *args: calls.append(args))
    with pytest.raises(InputError, match=r'cannot write .* \(No space left on device'):
        predict(scenes / 'leftImg8bit')
    assert not files_in(tmp_path / 'out')
    assert not calls


def test_a_video_becomes_labels_of_each_frame_and_an_overlay(
    predict, video, tmp_path, capsys
):
    assert predict(video, points=True)
    assert '12 frames in' in capsys.readouterr().out
    out = tmp_path / 'out'
    names = [f'drive/{i:06d}.png' for i in range(12)]
    assert files_in(out / 'labels') == files_in(out / 'points') == names
    assert files_in(out / 'overlays') == ['drive.mp4']
    made, source = (
        cv2.VideoCapture(str(one)) for one in (out / 'overlays/drive.mp4', video)
    )
    assert made.get(cv2.CAP_PROP_FRAME_COUNT) == 12
    assert made.get(cv2.CAP_PROP_FPS) == 10
    for name in names:
        # The palette of the overlay is that of the labels.
        colours = np.array(Image.open(out / 'labels' / name).convert('RGB'))[..., ::-1]
        blend = cv2.addWeighted(source.read()[1], 0.5, colours, 0.5, 0)
        assert np.median(np.abs(made.read()[1].astype(int) - blend)) < 12


def test_of_a_video_that_ends_early_what_came_is_kept(predict, video, tmp_path, capsys):
    content = video.read_bytes()
    video.write_bytes(content[: len(content) // 2])
    assert not predict(video)
    assert re.search(
        r'error: .*drive.avi ended after \d of 12 frames, which are written',
        capsys.readouterr().err,
    )
    count = len(files_in(tmp_path / 'out/labels'))
    assert 3 < count < 9
    made = cv2.VideoCapture(str(tmp_path / 'out/overlays/drive.mp4'))
    assert made.get(cv2.CAP_PROP_FRAME_COUNT) == count


def test_what_is_no_video_or_camera_is_a_sentence(predict, video, tmp_path):
    video.write_bytes(b'no video')
    with pytest.raises(InputError, match=r'cannot open .*drive.avi: it is damaged'):
        predict(video)
    with pytest.raises(InputError, match='cannot open camera 97: connect it'):
        predict('97')
    with pytest.raises(InputError, match=r'drive.avi is a video or a camera: give it'):
        predict(video, tmp_path)
    with pytest.raises(InputError, match=r'gone.mp4 does not exist'):
        predict('gone.mp4')
    assert not (tmp_path / 'out').exists()


class Camera:
    """A video that goes on, and a user who presses Ctrl-C."""

    def __init__(self, capture, frames):
        self.capture, self.left = capture, frames

    def __getattr__(self, name):
        return getattr(self.capture, name)

    def read(self):
        self.left -= 1
        if self.left < 0:
            raise KeyboardInterrupt
        return True, np.full((72, 136, 3), 99, np.uint8)


@pytest.mark.parametrize(('frames', 'count'), [(None, 7), (5, 5)])
def test_a_camera_runs_until_it_is_stopped(
    predict, video, tmp_path, monkeypatch, frames, count
):
    capture = cv2.VideoCapture
    monkeypatch.setattr(
        'cv2.VideoCapture',
        lambda one: Camera(capture(str(video)), 7) if one == 0 else capture(one),
    )
    assert predict('0', frames=frames)
    assert len(files_in(tmp_path / 'out/labels/camera_0')) == count
    made = capture(str(tmp_path / 'out/overlays/camera_0.mp4'))
    assert made.get(cv2.CAP_PROP_FRAME_COUNT) == count


def test_a_disk_that_fills_up_leaves_no_half_video(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (72, 136, 3), dtype=np.uint8)

    def write(frames):
        with film(tmp_path / 'drive.mp4', 10) as record:
            for _ in range(frames):
                record(noise)

    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, limits[1]))
    try:
        with pytest.raises(
            InputError, match=r'cannot write .*drive.mp4 \(the video is'
        ):
            write(90)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert not list(tmp_path.iterdir())
    write(3)
    assert list(tmp_path.iterdir()) == [tmp_path / 'drive.mp4']


def touch(folder, *names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def test_files_are_named_below_what_was_given(tmp_path):
    touch(tmp_path, 'a/0.png', 'a/b/0.JPG', 'a/b/note.txt', 'a/.hidden.png')
    touch(tmp_path, 'a/out/labels/0.png', 'a/.ipynb_checkpoints/0.png')
    touch(tmp_path, 'c.x/0.png', '1/0.png')
    a, c = tmp_path / 'a', tmp_path / 'c.x'
    found = find_images([str(a)], a / 'out')
    assert list(found.values()) == ['0', 'b/0']
    found = find_images([str(a), str(a / '0.png')], a / 'out')
    assert list(found.values()) == ['0', 'b/0']
    with pytest.raises(InputError, match=r'a/0.png and .*c.x/0.png would both be wr'):
        find_images([str(a), str(c)], a / 'out')
    names = find_images([str(tmp_path)], a / 'out').values()
    assert sorted(names) == ['1/0', 'a/0', 'a/b/0', 'c.x/0']
    touch(tmp_path, 'a/0.jpg')
    found = find_images([str(a)], a / 'out')
    assert sorted(found.values()) == ['0.jpg', '0.png', 'b/0']
    with pytest.raises(InputError, match='holds no images'):
        find_images([str(a / 'out')], a / 'out')
    with pytest.raises(InputError, match='where results are written: give another --o'):
        find_images([str(a / 'out/labels/0.png')], a / 'out')
    assert len(find_images([str(a)], a)) == 4  # those of another run, too
    with pytest.raises(InputError, match='gone does not exist'):
        find_images(['gone'], a)


def test_a_number_is_a_camera_unless_it_is_a_folder(tmp_path, monkeypatch):
    touch(tmp_path, '1/0.png')
    monkeypatch.chdir(tmp_path)
    assert find_video(['0']) == 0
    assert find_video(['1']) is None


def test_more_classes_than_8_bits_hold_are_written_with_16(tmp_path):
    labels = np.array([[0, 300]], np.uint16)
    write_files(tmp_path, 'many', Prediction(labels), PALETTE)
    assert np.array_equal(np.array(Image.open(tmp_path / 'labels/many.png')), labels)


def test_an_overlay_has_thin_lines_where_classes_meet():
    labels = np.zeros((4, 6), np.uint8)
    labels[:, 3:] = 1
    picture = np.full((4, 6, 3), 100, np.uint8)
    drawn = overlay(picture, labels, np.array([[0, 0, 0], [100, 20, 0]], np.uint8))
    assert drawn[0].tolist() == [[50] * 3] * 3 + [[255] * 3] + [[50, 60, 100]] * 2
