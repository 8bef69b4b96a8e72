from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest
import torch
from mmengine.registry import init_default_scope
from mmengine.runner import load_checkpoint, save_checkpoint
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample

from mmseg_pointrend.errors import InputError
from mmseg_pointrend.models import RefinedSegmentor
from tests.helpers import tiny_model_config
from tests.models.test_cascade_psp import refiner, refiner_config

HOW = dict(size=128, enlarge=False, min_area=1)


@pytest.fixture
def weights(tmp_path) -> str:
    """As the authors save them: of a DataParallel, without anything else."""
    init_default_scope('mmseg')
    model = refiner()
    model.init_weights()
    state = {f'module.{name}': one for name, one in model.state_dict().items()}
    torch.save(state, tmp_path / 'refiner.pth')
    return str(tmp_path / 'refiner.pth')


def refined(weights: str, **keys: Any) -> RefinedSegmentor:
    torch.manual_seed(0)
    cfg = dict(
        type='RefinedSegmentor',
        segmentor=tiny_model_config(),
        refiner=refiner_config(),
        refiner_checkpoint=weights,
        refinement=HOW,
    )
    return MODELS.build({**deepcopy(cfg), **keys}).eval()


def test_the_refiner_has_its_weights_and_does_not_learn(weights):
    model = refined(weights)
    state = torch.load(weights)
    for name, one in model.refiner.state_dict().items():
        assert one.equal(state[f'module.{name}'])
    assert not any(one.requires_grad for one in model.refiner.parameters())
    with pytest.raises(InputError, match=r'does not train: train model\.segmentor by'):
        model(torch.randn(1, 3, 64, 64), [SegDataSample()], mode='loss')


def test_its_checkpoints_are_those_of_the_segmentor(weights, tmp_path):
    model = refined(weights)
    plain = MODELS.build(tiny_model_config())
    for one in plain.parameters():
        torch.nn.init.normal_(one)
    assert model.state_dict().keys() == plain.state_dict().keys()
    before = {name: one.clone() for name, one in model.refiner.state_dict().items()}
    path = str(tmp_path / 'plain.pth')
    save_checkpoint(dict(state_dict=plain.state_dict()), path)
    load_checkpoint(model, path, strict=True)
    for name, one in plain.state_dict().items():
        assert model.segmentor.state_dict()[name].equal(one)
        assert model.state_dict()[name].equal(one)
    assert all(before[k].equal(one) for k, one in model.refiner.state_dict().items())


@torch.no_grad()
def test_labels_are_those_of_the_segmentor_refined_at_the_size_of_the_file(weights):
    """In a batch, with padding, resized and flipped."""
    cfg = tiny_model_config()
    cfg.data_preprocessor.test_cfg = dict(size_divisor=32)
    model = refined(weights, segmentor=cfg)
    images = [torch.randint(0, 256, (3, 60, 90), dtype=torch.uint8) for _ in range(2)]
    meta = dict(ori_shape=(50, 75), img_shape=(60, 90), scale_factor=(1.2, 1.2))
    metas = [meta, dict(meta, flip=True, flip_direction='horizontal')]
    data = dict(
        inputs=images, data_samples=[SegDataSample(metainfo=one) for one in metas]
    )
    seen = []

    def note(network: Any, picture: Any, labels: Any, ignore: int) -> Any:
        assert ignore == -1  # predictions hold no void
        seen.append((picture, labels.copy()))
        return (labels + len(seen)) % 5

    object.__setattr__(model.refinement, 'refine_labels', note)
    samples = model.test_step(deepcopy(data))
    plain = model.segmentor.test_step(deepcopy(data))
    mean = torch.tensor([123.675, 116.28, 103.53]).view(3, 1, 1)
    std = torch.tensor([58.395, 57.12, 57.375]).view(3, 1, 1)
    for i, image in enumerate(images):
        picture, labels = seen[i]
        before, after = plain[i].pred_sem_seg.data, samples[i].pred_sem_seg.data
        assert (labels == before[0].numpy()).all()
        assert after.equal((before + i + 1) % 5)
        assert after.dtype == torch.int64
        assert 'seg_logits' not in samples[i]
        image = image.flip(0, 2) if i else image.flip(0)
        wanted = torch.nn.functional.interpolate(
            (image - mean)[None] / std, (50, 75), mode='bilinear'
        )
        torch.testing.assert_close(picture, wanted, atol=1e-4, rtol=0)


@torch.no_grad()
def test_images_are_those_of_the_refiner_whatever_the_segmentor_wants(weights):
    """RGB, normalised as for ImageNet."""
    cfg = tiny_model_config()
    rgb = torch.randint(0, 256, (1, 3, 8, 8)).float()
    pictures = []
    for keys in (
        dict(mean=[127] * 3, std=[128] * 3, bgr_to_rgb=True),
        dict(mean=[104, 117, 124], std=[1, 1, 1], bgr_to_rgb=False),
    ):
        cfg.data_preprocessor = dict(type='SegDataPreProcessor', **keys, size=(8, 8))
        model = refined(weights, segmentor=cfg)
        inputs = model.data_preprocessor(dict(inputs=[rgb[0].flip(0)]))['inputs']
        pictures.append(model.refiner_images(inputs))
    torch.testing.assert_close(*pictures, atol=1e-4, rtol=0)
    mean = model.refiner.data_preprocessor.mean
    std = model.refiner.data_preprocessor.std
    torch.testing.assert_close(pictures[0], (rgb - mean) / std, atol=1e-4, rtol=0)


@torch.no_grad()
def test_it_refines_a_batch(weights):
    model = refined(weights)
    samples = model.predict(torch.randn(2, 3, 64, 96))
    assert [one.pred_sem_seg.data.shape for one in samples] == [(1, 64, 96)] * 2
    assert model.num_classes == model.decode_head.num_classes == 5
    assert model.encode_decode(torch.randn(1, 3, 64, 96), [{}]).shape[1] == 5
    with pytest.raises(AttributeError, match='no_such_thing'):
        _ = model.no_such_thing


@pytest.mark.parametrize(
    ('keys', 'sentence'),
    [
        (dict(refiner_checkpoint=None), 'give the weights of a trained refiner'),
        (dict(test_cfg={}), r'model\.test_cfg: put it into model\.segmentor\.test_cfg'),
        (dict(refinement=dict(size=1)), 'size=1: give a whole number'),
        (
            dict(refinement=dict(Size=1)),
            r'model\.refinement\.Size: give some of size, ',
        ),
    ],
)
def test_what_it_cannot_be_built_from_is_named(weights, keys, sentence):
    with pytest.raises(InputError, match=sentence):
        refined(weights, **keys)


def test_weights_of_another_refiner_are_named(weights):
    cfg = refiner_config()
    cfg.channels = (16, 8, 8, 16)
    sentence = r'refiner\.pth is not a checkpoint of this refiner, 2\d of \d+ weights'
    with pytest.raises(InputError, match=sentence):
        refined(weights, refiner=cfg)
