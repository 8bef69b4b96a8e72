"""MMSegmentation's own inference API on our config and checkpoint."""

from __future__ import annotations

from copy import deepcopy

import cv2
import numpy as np
import pytest
import torch
from mmengine.runner import load_checkpoint
from mmseg.apis import (
    MMSegInferencer,
    inference_model,
    init_model,
    show_result_pyplot,
)

from mmseg_pointrend.errors import InputError
from tests.helpers import batch


@pytest.fixture
def image(scenes):
    return sorted(scenes.glob('leftImg8bit/val/*/*.png'))[0]


@pytest.fixture
def model(tiny_config, trained):
    return init_model(str(tiny_config), str(trained / 'iter_4.pth'), device='cpu')


def labels(result):
    assert result.pred_sem_seg.data.dtype == torch.int64
    assert result.pred_sem_seg.data.shape == (1, 72, 136)
    return result.pred_sem_seg.data


def test_a_file_an_array_and_a_list_give_the_same(tiny_config, trained, image):
    def fresh():
        checkpoint = str(trained / 'iter_4.pth')
        return init_model(str(tiny_config), checkpoint, device='cpu')

    array = cv2.imread(str(image))
    from_file = labels(inference_model(fresh(), str(image)))
    from_array = labels(inference_model(fresh(), array))
    from_list = inference_model(fresh(), [str(image), str(image)])
    assert from_file.equal(from_array)
    assert len(from_list) == 2
    assert labels(from_list[1]).equal(from_file)


def test_the_result_is_painted(model, image, tmp_path):
    result = inference_model(model, str(image))
    out = tmp_path / 'painted.png'
    show_result_pyplot(model, str(image), result, show=False, out_file=str(out))
    painted = cv2.imread(str(out))
    assert painted.shape == (72, 136, 3)
    assert np.abs(painted.astype(int) - cv2.imread(str(image))).mean() > 5


def test_the_inferencer_works_on_a_file_and_a_list(tiny_config, trained, image):
    inferencer = MMSegInferencer(
        model=str(tiny_config), weights=str(trained / 'iter_4.pth'), device='cpu'
    )
    one = inferencer(str(image))['predictions']
    assert one.shape == (72, 136)
    two = inferencer([cv2.imread(str(image))] * 2)['predictions']
    assert len(two) == 2
    assert np.array_equal(two[0], one)


def test_a_file_that_is_no_checkpoint_is_refused(tiny_config, tmp_path):
    path = tmp_path / 'weights.pth'
    path.write_bytes(b'nothing')
    with pytest.raises(InputError, match=r'weights.pth is not a'):
        init_model(str(tiny_config), str(path), device='cpu')


def test_the_checkpoint_carries_classes_and_palette(model):
    assert len(model.dataset_meta['classes']) == 19
    assert len(model.dataset_meta['palette']) == 19


@pytest.fixture
def plain_weights(trained, tmp_path):
    """What ``tools/train.py`` leaves of the plain model, as a state dict."""
    state = torch.load(trained / 'iter_4.pth')['state_dict']
    path = tmp_path / 'plain.pth'
    plain = {name: w for name, w in state.items() if not name.startswith('point_head')}
    torch.save(plain, path)
    return path


def test_a_random_point_head_does_not_predict(tiny_config, plain_weights, image):
    model = init_model(str(tiny_config), str(plain_weights), device='cpu')
    for one in (model, deepcopy(model)):
        with pytest.raises(
            InputError, match=r'^the weights .* none for this point head'
        ):
            inference_model(one, str(image))
    inputs, samples = batch(num_classes=19)
    with torch.no_grad():
        model.train().loss(inputs, samples)
    labels(inference_model(model.eval(), str(image)))


def test_a_point_head_of_another_width_does_not_predict(tiny_config, trained, image):
    wider = {'model.point_head.mlp.hidden_channels': 48}
    checkpoint = str(trained / 'iter_4.pth')
    model = init_model(str(tiny_config), checkpoint, 'cpu', cfg_options=wider)
    with pytest.raises(InputError, match=r'none for this point head'):
        inference_model(model, str(image))


def test_loading_other_weights_later_keeps_a_point_head(model, plain_weights, image):
    load_checkpoint(model, str(plain_weights), map_location='cpu')
    labels(inference_model(model, str(image)))


def test_a_plain_state_dict_is_loaded(tiny_config, plain_weights, trained, image):
    state = torch.load(trained / 'iter_4.pth')['state_dict']
    torch.save(state, plain_weights)
    model = init_model(str(tiny_config), str(plain_weights), device='cpu')
    for name, value in model.state_dict().items():
        assert value.equal(state[name])
    labels(inference_model(model, str(image)))
