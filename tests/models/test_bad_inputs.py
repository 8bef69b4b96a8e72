"""Odd arrays and files in MMSegmentation's inference API: an answer or a sentence."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from mmengine.config import Config
from mmseg.apis import MMSegInferencer, inference_model
from mmseg.utils import register_all_modules

from mmseg_pointrend.errors import InputError
from tests.helpers import ROOT, tiny_model

rng = np.random.default_rng(0)
IMAGE = cv2.GaussianBlur(rng.integers(0, 256, (72, 136, 3), np.uint8), (9, 9), 3)
GREY = IMAGE[..., 0]

# Name, what is given, and what it must be labelled like.
ANSWERS: dict[str, tuple[np.ndarray, np.ndarray]] = {
    'float of 0 to 255': (IMAGE.astype(np.float32), IMAGE),
    'float64': (IMAGE.astype(np.float64), IMAGE),
    'uint16 of 0 to 255': (IMAGE.astype(np.uint16), IMAGE),
    'int16 of 0 to 255': (IMAGE.astype(np.int16), IMAGE),
    'grey': (GREY, np.stack([GREY] * 3, axis=2)),
    'grey with a channel': (GREY[..., None], np.stack([GREY] * 3, axis=2)),
    'flipped view': (IMAGE[::-1, ::-1], IMAGE[::-1, ::-1].copy()),
    'RGB view': (IMAGE[..., ::-1], IMAGE[..., ::-1].copy()),
    'transposed view': (IMAGE.transpose(1, 0, 2), IMAGE.transpose(1, 0, 2).copy()),
    'every third pixel': (IMAGE[::3, ::3], IMAGE[::3, ::3].copy()),
    'read-only': (np.frombuffer(IMAGE.tobytes(), np.uint8).reshape(72, 136, 3), IMAGE),
    'black float': (np.zeros((9, 9, 3)), np.zeros((9, 9, 3), np.uint8)),
}
SIZES = [(1, 1), (3, 5), (3000, 4000)]
VALUES = r'the image has values from .* to .* but data_preprocessor.mean is that of 0 '
TYPE = r'the image is an array of type .*: convert it to uint8, 0 to 255\.$'
SHAPE = r'the image is an array of shape .*: give \(H, W\) or \(H, W, 3\) with at least'
CHANNELS = (
    r'the image has {} channels and data_preprocessor.mean has 3: give \(H, W, 3\)'
)
REFUSED: dict[str, tuple[object, str]] = {
    'alpha': (np.concatenate([IMAGE, IMAGE[..., :1]], axis=2), CHANNELS.format(4)),
    'channels first': (IMAGE.transpose(2, 0, 1), CHANNELS.format(136)),
    'two channels': (IMAGE[..., :2], CHANNELS.format(2)),
    'float of 0 to 1': (IMAGE / 255, VALUES),
    'normalised': ((IMAGE - 120.0) / 58, VALUES),
    'uint16': (IMAGE.astype(np.uint16) * 257, VALUES),
    'no rows': (IMAGE[:0], SHAPE),
    'no columns': (IMAGE[:, :0], SHAPE),
    'no channels': (IMAGE[..., :0], SHAPE),
    'a number': (np.array(3), SHAPE),
    'a batch': (IMAGE[None], SHAPE),
    'bool': (IMAGE > 127, TYPE),
    'int64': (IMAGE.astype(np.int64), TYPE),
    'float16': (IMAGE.astype(np.float16), TYPE),
    'big-endian': (IMAGE.astype('>f4'), TYPE),
    'objects': (IMAGE.astype(object), TYPE),
    'NaN': (
        np.where(IMAGE > 127, np.nan, IMAGE),
        'has values that are NaN or infinite',
    ),
    'infinity': (np.where(IMAGE > 127, np.inf, IMAGE), 'that are NaN or infinite: rep'),
    'numbers in lists': (IMAGE[:2, :2].tolist(), 'file name or an array .*, not list:'),
    'None': (None, 'is a file name or an array .*, not NoneType: convert it'),
    'a tensor': (torch.zeros(3, 8, 8), 'file name or an array .*, not Tensor: convert'),
    'two sizes': (
        [IMAGE, IMAGE[:9]],
        r'sizes \(H, W\), \(9, 136\), \(72, 136\), cannot',
    ),
}


@pytest.fixture(scope='module', params=['demo-256x512', '1xb8-20k_camvid-360x480'])
def model(request):
    """A tiny model with the pipeline of a config, with and without ``Resize``."""
    register_all_modules(init_default_scope=True)
    torch.manual_seed(0)
    model = tiny_model(num_classes=5)
    path = ROOT / f'configs/pointrend_deeplabv3plus_r18-d16_{request.param}.py'
    model.cfg = Config.fromfile(path)
    return model


def label(model, image) -> torch.Tensor:
    labels = inference_model(model, image).pred_sem_seg.data
    assert labels.dtype == torch.int64
    assert labels.shape == (1, *image.shape[:2])
    assert 0 <= labels.min() <= labels.max() < 5
    return labels


# Resize rounds what comes with 8 bits, and nothing else.
@pytest.mark.parametrize('model', ['demo-256x512'], indirect=True)
@pytest.mark.parametrize('name', ANSWERS)
def test_an_odd_array_is_labelled_like_the_usual_one(model, name):
    given, usual = ANSWERS[name]
    labels, expected = label(model, given), label(model, usual)
    assert name == 'black float' or len(expected.unique()) > 1
    assert labels.equal(expected)


@pytest.mark.parametrize('size', SIZES)
def test_every_size_is_labelled(model, size):
    label(model, rng.integers(0, 256, (*size, 3), np.uint8))


@pytest.mark.parametrize('name', REFUSED)
def test_what_is_no_image_is_refused_in_a_sentence(model, name):
    given, sentence = REFUSED[name]
    with pytest.raises(InputError, match=sentence) as error:
        inference_model(model, given)
    assert '\n' not in str(error.value)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_any_array_gets_labels_or_a_sentence(model, data):
    shape = data.draw(
        arrays.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=9)
    )
    dtype = data.draw(
        st.one_of(
            arrays.boolean_dtypes(),
            arrays.integer_dtypes(endianness='?'),
            arrays.unsigned_integer_dtypes(),
            arrays.floating_dtypes(endianness='?'),
            arrays.complex_number_dtypes(),
            arrays.unicode_string_dtypes(),
            arrays.datetime64_dtypes(),
        )
    )
    image = data.draw(arrays.arrays(dtype, shape))
    try:
        label(model, image)
    except InputError as error:
        sentence = str(error)
    else:
        return
    assert sentence.startswith('the image ')
    assert sentence.endswith('.')
    assert '\n' not in sentence


@pytest.fixture
def files(tmp_path) -> Callable[[str], str]:
    """Writes the image under a name and returns the path."""

    def write(name: str) -> str:
        path = str(tmp_path / name)
        assert cv2.imwrite(path, IMAGE)
        return path

    return write


def test_files_and_arrays_follow_each_other(model, files):
    path = files('image.png')
    expected = label(model, IMAGE)
    for one in (path, IMAGE, path):
        assert inference_model(model, one).pred_sem_seg.data.equal(expected)
    for mixed in ([path, IMAGE], [IMAGE, path]):
        for result in inference_model(model, mixed):
            assert result.pred_sem_seg.data.equal(expected)


def test_files_with_alpha_or_16_bits_are_labelled_by_their_colours(model, files):
    expected = label(model, IMAGE)
    alpha = np.full((72, 136, 1), 9, np.uint8)
    path = files('image.png')
    for odd in (np.concatenate([IMAGE, alpha], axis=2), IMAGE.astype(np.uint16) * 257):
        cv2.imwrite(path, odd)
        assert inference_model(model, path).pred_sem_seg.data.equal(expected)


@pytest.mark.parametrize('name', ['image.jpg', 'image.png', 'image.bmp'])
def test_part_of_a_file_is_refused(model, files, name):
    path = files(name)
    with open(path, 'r+b') as file:
        file.truncate(3000)
    with pytest.raises(
        InputError, match=rf'^cannot read {path}, it is truncated or da'
    ):
        inference_model(model, path)


def test_what_is_no_image_file_is_refused(model, tmp_path):
    text, empty = tmp_path / 'text.png', tmp_path / 'empty.png'
    text.write_text('no image')
    empty.touch()
    for path, sentence in (
        (text, 'it is no image: replace it'),
        (empty, r'it is empty \(0 bytes\): get it again'),
        (tmp_path / 'none.png', 'it does not exist: add the file or correct the path'),
    ):
        with pytest.raises(InputError, match=rf'^cannot read {path}, {sentence}\.$'):
            inference_model(model, str(path))
    with pytest.raises(InputError, match=rf'^cannot read {tmp_path} \(IsADirectory'):
        inference_model(model, str(tmp_path))


def test_the_inferencer_says_the_same(tiny_config, trained, files, tmp_path):
    inferencer = MMSegInferencer(
        model=str(tiny_config), weights=str(trained / 'iter_4.pth'), device='cpu'
    )
    path = files('image.png')
    with open(path, 'r+b') as file:
        file.truncate(3000)
    with pytest.raises(
        InputError, match=rf'^cannot read {path}, it is truncated or da'
    ):
        inferencer(path)
    for name in ('alpha', 'NaN', 'no rows', 'float of 0 to 1'):
        given, sentence = REFUSED[name]
        with pytest.raises(InputError, match=sentence):
            inferencer(given)
    assert inferencer(IMAGE[:1])['predictions'].shape == (1, 136)
