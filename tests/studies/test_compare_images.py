"""What rendering changes in an image, and where in a data set it changes most."""

from __future__ import annotations

import re
import sys
from copy import deepcopy

import cv2
import numpy as np
import pytest
import torch

from mmseg_pointrend.engine.config import load_config
from mmseg_pointrend.errors import InputError
from mmseg_pointrend.studies.comparison.picture import (
    IGNORED,
    Comparison,
    compare,
    densest,
    draw,
)
from mmseg_pointrend.studies.comparison.places import compare_images
from tests.engine.test_point_maps import as_read, tiny_binary_model
from tests.helpers import run_tool, tiny_model

PIPELINES = [f'{split}_dataloader.dataset.pipeline' for split in ('val', 'test')]


def test_pixels_put_right_and_wrong_are_told_apart():
    labels = np.array([[[1, 1, 1, IGNORED]], [[0, 1, 1, 0]], [[1, 0, 1, 1]]])
    image, points = np.zeros((1, 4, 3), np.uint8), np.zeros((1, 4), bool)
    assert Comparison(image, *labels, points).gain.tolist() == [[1, -1, 0, 0]]


@pytest.mark.parametrize('align_corners', [False, True])
@pytest.mark.parametrize(('make', 'classes'), [(tiny_model, 5), (tiny_binary_model, 2)])
@pytest.mark.parametrize('image', [(61, 90), (122, 180)])
def test_both_predictions_are_those_of_the_models(align_corners, make, classes, image):
    """Also of one channel, of padded and of resized images."""
    model = make(align_corners=align_corners)
    model.data_preprocessor.test_cfg = dict(size_divisor=16)
    model.decode_head.ignore_index = 1
    sample = as_read((61, 90), image)
    truth = sample['data_samples'].gt_sem_seg.data[0]
    copy = deepcopy(sample)
    with torch.no_grad():
        batch = model.data_preprocessor(
            dict(inputs=[copy['inputs']], data_samples=[copy['data_samples']])
        )
        inputs, [meta] = batch['inputs'], batch['data_samples']
        rendered = model.predict(inputs, [deepcopy(meta)])[0].pred_sem_seg.data[0]
        coarse = model.decode_head(model.extract_feat(inputs))
        logits = torch.nn.functional.interpolate(
            coarse, inputs.shape[2:], mode='bilinear', align_corners=align_corners
        )
        [plain] = model.postprocess_result(logits, [meta])
    result = compare(model, sample)
    assert np.array_equal(result.rendered, rendered)
    assert np.array_equal(result.plain, plain.pred_sem_seg.data[0])
    assert (result.plain != result.rendered).any()
    counts = (truth != 1) & (truth < classes)
    assert np.array_equal(result.truth, truth.where(counts, IGNORED))
    assert result.image.shape == (61, 90, 3)
    assert result.points.sum() == 128
    assert (result.gain[~counts.numpy()] == 0).all()


def test_the_zoom_is_where_most_is_gained():
    gain = np.zeros((300, 400), np.int8)
    gain[100:110, 200:260] = 1
    gain[:60, 300:] = -1
    rows, columns = densest(gain)
    assert gain[rows, columns].sum() == 600
    assert gain[rows, columns].shape == (64, 96)
    rows, columns = densest(-gain)
    assert gain[rows, columns].sum() < -5000
    assert [one.stop - one.start for one in densest(np.zeros((40, 500)))] == [40, 96]
    assert [one.stop - one.start for one in densest(np.zeros((2000, 9)))] == [250, 9]


def test_a_tall_image_is_drawn_without_being_squeezed(tmp_path):
    labels = np.zeros((300, 100), np.int64)
    labels[150:] = IGNORED
    image = np.full((300, 100, 3), 200, np.uint8)
    result = Comparison(image, labels, labels.clip(0), labels.clip(0), labels < 0)
    draw(result, densest(result.gain), [[0, 0, 255]], 'tall', tmp_path / 'tall.png')
    picture = cv2.imread(str(tmp_path / 'tall.png'))
    assert picture.shape[0] > picture.shape[1]
    grey = (picture == 200).all(axis=2)
    width, height = (
        np.ptp(np.nonzero(grey[:900])[1]),
        np.ptp(np.nonzero(grey[:, :490])[0]),
    )
    assert height > 2.5 * width


def test_the_command_draws_the_images_that_gain_and_lose_most(
    trained, tiny_config, tmp_path
):
    checkpoint = trained / 'iter_4.pth'
    result = run_tool(
        *(sys.executable, 'tools/compare_images.py', tiny_config, checkpoint),
        *('--out', tmp_path, '--count', 2),
    )
    assert result.returncode == 0, result.stderr
    line = r'((?:helps|hurts)_\d_.*\.png): (\d+) pixels put right, (\d+) wrong'
    found = re.findall(line, result.stdout)
    assert {name for name, _, _ in found} == {one.name for one in tmp_path.iterdir()}
    nets = {'helps': [], 'hurts': []}
    for name, right, wrong in found:
        nets[name[:5]].append(int(right) - int(wrong))
        assert cv2.imread(str(tmp_path / name)).shape[1] == 1500
    assert 0 < len(found) <= 4
    assert nets['helps'] == sorted(nets['helps'], reverse=True)
    assert nets['hurts'] == sorted(nets['hurts'])
    assert all(net > 0 for net in nets['helps'])
    assert all(net < 0 for net in nets['hurts'])
    assert 'all 3 images: ' in result.stdout


@pytest.mark.parametrize(
    ('config', 'options', 'sentence'),
    [
        ('plain.py', {}, 'EncoderDecoder has no points to compare with'),
        ('tiny.py', {'model.test_cfg.resize_logits': True}, 'resize_logits=False'),
        (
            'tiny.py',
            {'train_dataloader.dataset.metainfo': dict(classes=('road', 'sky'))},
            r'iter_4.pth was trained on the 19 classes .*, road, sky; sidewalk is sky',
        ),
        (
            'tiny.py',
            {
                'val_dataloader.dataset.pipeline': [],
                'test_dataloader.dataset.pipeline': [],
            },
            'train_dataloader.dataset has no images with labels',
        ),
    ],
)
def test_what_cannot_be_compared_is_refused(
    trained, tiny_config, tmp_path, config, options, sentence
):
    cfg = load_config(str(tiny_config.with_name(config)), options)
    with pytest.raises(InputError, match=sentence):
        compare_images(
            *(cfg, str(trained / 'iter_4.pth'), tmp_path / 'out'),
            **dict(split='train', count=1, device='cpu'),
        )
    assert not (tmp_path / 'out').exists()


def test_training_images_are_taken_whole(trained, tiny_config, tmp_path, capsys):
    cfg = load_config(str(tiny_config))
    checkpoint, out = str(trained / 'iter_4.pth'), tmp_path / 'out'
    compare_images(cfg, checkpoint, out, split='train', count=1, device='cpu')
    assert 'all 6 images: ' in capsys.readouterr().out
