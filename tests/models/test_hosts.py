"""Models that carry a point head, and those that are refused."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmseg.models.decode_heads import FCNHead
from mmseg.registry import MODELS

from mmseg_pointrend.errors import InputError
from tests.helpers import batch, tiny_model_config
from tests.models.host_tester import CHECKS, HOSTS, host, small_config

FPN, OCRNET, SWIN, BINARY = (
    next(path for path in HOSTS if name in path.stem)
    for name in ('fpn', 'ocrnet', 'swin', 'binary')
)


def short_name(path: Path) -> str:
    return path.stem.removeprefix('pointrend_').replace('_4xb2-80k_cityscapes', '')


@pytest.mark.parametrize('check', CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize('path', HOSTS, ids=short_name)
def test_every_host(path: Path, check: Callable[[Path], None]) -> None:
    check(path)


@pytest.mark.parametrize(
    'path', [path for path in HOSTS if 'cityscapes' in path.stem], ids=short_name
)
def test_configs_of_hosts_train_on_cityscapes_at_the_size_of_the_crop(path):
    cfg = Config.fromfile(path)
    assert cfg.model.type == 'PointRendEncoderDecoder'
    crop = (1024, 1024) if 'sfnet' in path.stem else (512, 1024)
    assert cfg.model.data_preprocessor.size == cfg.crop_size == crop
    assert cfg.train_dataloader.dataset.type == 'CheckedCityscapesDataset'
    assert cfg.custom_imports.imports == ['mmseg_pointrend']
    weights = cfg.model.pretrained or cfg.model.backbone.init_cfg.checkpoint
    assert '://' in weights


def test_the_binary_host_learns_two_classes_of_cityscapes():
    cfg = Config.fromfile(BINARY)
    for loader in (cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader):
        assert loader.dataset.metainfo.classes == ('road', 'sidewalk')


@pytest.mark.parametrize(('kind', 'method'), [
    ('PointHead', 'loss'),
    ('Mask2FormerHead', 'loss'),
    ('MaskFormerHead', 'loss'),
    ('EncHead', 'predict'),
    ('DAHead', 'predict'),
])  # fmt: skip
@pytest.mark.parametrize('place', ['decode_head', 'decode_head[1]'])
def test_heads_with_a_loss_or_prediction_of_their_own_are_refused(kind, method, place):
    cfg = tiny_model_config()
    head = dict(type=kind, num_classes=5)
    cfg.decode_head = [cfg.decode_head, head] if '[' in place else head
    with pytest.raises(InputError) as error:
        MODELS.build(cfg)
    sentence = str(error.value)
    assert sentence.startswith(f"{place}.type='{kind}' has its own {method}()")
    assert 'use a decode head that returns one map of logits' in sentence
    assert '\n' not in sentence


@pytest.mark.parametrize(
    'kind', ['DDRHead', 'PIDHead', 'IterativeDecodeHead', 'VPDDepthHead']
)
def test_heads_that_train_on_several_maps_or_on_depth_are_refused(kind):
    cfg = tiny_model_config()
    cfg.decode_head.type = kind
    sentence = f"decode_head.type='{kind}' trains on something else than one map"
    with pytest.raises(InputError, match=sentence):
        MODELS.build(cfg)


@MODELS.register_module()
class OwnLossHead(FCNHead):
    def loss_by_feat(self, seg_logits, batch_data_samples):
        return dict(loss_own=seg_logits.square().mean())


@pytest.mark.parametrize(
    ('kind', 'loss'), [('OwnLossHead', 'loss_own'), ('STDCHead', 'loss_ce')]
)
def test_a_head_with_a_loss_of_its_own_on_one_map_is_a_host(kind, loss):
    cfg = tiny_model_config(num_classes=2)
    head = dict(cfg.auxiliary_head, in_channels=64, in_index=3)
    cfg.decode_head = dict(head, type=kind)
    losses = MODELS.build(cfg).loss(*batch(num_classes=2))
    assert {f'decode.{loss}', 'point.loss_ce'} <= set(losses)


def test_a_head_has_its_place_in_a_cascade():
    cfg = tiny_model_config()
    first = dict(cfg.auxiliary_head, in_channels=64, in_index=3)
    second = dict(first, type='OCRHead', ocr_channels=8)
    for heads, sentence in (
        (second, r"decode_head\.type='OCRHead' refines .*: give a list with that head"),
        ([second], r"decode_head\.type='OCRHead' refines .*: give a list"),
        ([second, first], r"decode_head\[0\]\.type='OCRHead' refines .*: give a list"),
        ([first, first], r"decode_head\[1\]\.type='FCNHead' does not refine .*: move"),
    ):
        cfg.decode_head = heads
        with pytest.raises(InputError, match=sentence):
            MODELS.build(cfg)


@pytest.mark.parametrize(
    ('heads', 'key'),
    [
        (None, 'decode_head'),
        ('FCNHead', 'decode_head'),
        ([], 'decode_head'),
        ((dict(type='FCNHead'), dict(type='OCRHead')), 'decode_head'),
        (dict(in_channels=8), 'decode_head'),
        ([dict(type='FCNHead'), None], r'decode_head\[1\]'),
    ],
)
def test_what_is_no_config_of_a_head_is_refused(heads, key):
    cfg = dict(tiny_model_config(), decode_head=heads)
    with pytest.raises(InputError, match=f'^{key} is no dict with a type: give the'):
        MODELS.build(cfg)


@MODELS.register_module()
class TwoMapsHead(FCNHead):
    def forward(self, inputs):
        return super().forward(inputs), inputs[0]


def test_a_head_that_returns_a_tuple_is_refused_at_the_first_image():
    cfg = tiny_model_config()
    cfg.decode_head = dict(cfg.auxiliary_head, type='TwoMapsHead')
    model = MODELS.build(cfg).eval()
    with pytest.raises(InputError, match='TwoMapsHead returns tuple and not one map'):
        model(torch.randn(1, 3, 64, 64))


def test_a_backbone_that_returns_one_tensor_is_refused_at_the_first_image():
    model = MODELS.build(tiny_model_config()).eval()
    model.backbone.forward = lambda inputs: torch.randn(len(inputs), 64, 8, 8)
    with pytest.raises(InputError, match=r'one tensor .*: use another model\.backbone'):
        model(torch.randn(2, 3, 64, 64))


def test_features_that_are_pairs_are_left_to_the_decode_head():
    """DPT reads a map and a token from each stage of ViT."""
    cfg = tiny_model_config(in_index=['decode_head'], in_channels=[8])
    cfg.auxiliary_head = None
    cfg.backbone = dict(
        type='VisionTransformer',
        img_size=(64, 96),
        embed_dims=8,
        num_layers=4,
        num_heads=2,
        mlp_ratio=1,
        out_indices=(0, 1, 2, 3),
        output_cls_token=True,
    )
    cfg.decode_head = dict(
        type='DPTHead',
        in_channels=[8] * 4,
        in_index=[0, 1, 2, 3],
        input_transform='multiple_select',
        channels=8,
        embed_dims=8,
        post_process_channels=[8] * 4,
        readout_type='project',
        num_classes=5,
    )
    model = MODELS.build(deepcopy(cfg))
    inputs, samples = batch()
    model.loss(inputs, samples)['point.loss_ce'].backward()
    assert model.point_head.mlp.hidden[0].weight.grad.any()
    results = model.eval().predict(inputs, samples)
    assert [one.pred_sem_seg.data.shape for one in results] == [(1, 64, 96)] * 2
    cfg.point_head.in_index = [0]
    with pytest.raises(InputError, match=r"names 0, .* use in_index=\['decode_head'\]"):
        MODELS.build(cfg)(inputs)


def test_an_auxiliary_head_may_learn_something_else_than_the_classes():
    cfg = tiny_model_config()
    head = cfg.auxiliary_head
    cfg.auxiliary_head = [head, dict(head, type='STDCHead', num_classes=2)]
    losses = MODELS.build(cfg).loss(*batch())
    assert {'aux_0.loss_ce', 'aux_1.loss_ce'} <= set(losses)


def test_wrong_channels_of_an_auxiliary_head_are_named():
    cfg = tiny_model_config()
    cfg.auxiliary_head.in_channels = 33
    sentence = r'auxiliary_head\.in_channels=33 but feature map 2 has 32 channels: set'
    with pytest.raises(InputError, match=sentence):
        MODELS.build(cfg).loss(*batch())


def test_a_config_of_a_cascade_keeps_its_number_of_stages():
    cfg = deepcopy(small_config(OCRNET))
    cfg.num_stages = 2
    assert len(MODELS.build(cfg).decode_heads) == 2
    cfg.num_stages = 3
    with pytest.raises(InputError, match=r'num_stages=3 but decode_head has 2 heads'):
        MODELS.build(cfg)


def test_fine_features_come_from_the_neck_or_the_backbone():
    """Only the backbone's maps have 32 channels at stride 4 and 64 at stride 8."""
    cfg = deepcopy(small_config(FPN))
    cfg.neck.out_channels = 24
    cfg.decode_head.in_channels = [24] * 4
    cfg.point_head.update(
        in_index=[0, 1], in_channels=[32, 64], fine_from='backbone', coarse_window=1
    )
    model = MODELS.build(deepcopy(cfg)).train()
    inputs, samples = batch()
    losses = model.loss(inputs, samples)
    losses['point.loss_ce'].backward()
    assert model.point_head.mlp.hidden[0].weight.grad.shape[1] == 32 + 64 + 19
    result = model.eval().predict(inputs, samples)[0]
    assert result.pred_sem_seg.data.shape == (1, 64, 96)
    cfg.point_head.fine_from = 'neck'
    with pytest.raises(InputError, match=r'feature maps \[0, 1\] have \[24, 24\]'):
        MODELS.build(cfg)(inputs)


@torch.no_grad()
def test_without_a_neck_both_sources_are_the_same():
    inputs, _ = batch(images=1)
    model = host(SWIN)
    wanted = model(inputs)
    model.point_head.fine_from = 'backbone'
    assert model(inputs).equal(wanted)


def test_the_backbone_beside_the_neck_wants_our_segmentor():
    cfg = tiny_model_config(fine_from='backbone')
    head = MODELS.build(dict(cfg.point_head, num_classes=5))
    with pytest.raises(
        InputError, match=r"fine_from='backbone' needs .*EncoderDecoder"
    ):
        head([torch.randn(1, 8, 4, 4)], torch.randn(1, 5, 2, 2))
    tiny = tiny_model_config(fine_from='head')
    with pytest.raises(InputError, match=r"fine_from='head': give 'neck' or 'backb"):
        MODELS.build(tiny)


def test_a_wrong_channel_count_on_a_neck_is_named():
    cfg = deepcopy(small_config(FPN))
    cfg.point_head.update(in_index=[0], in_channels=[256])
    with pytest.raises(InputError) as error:
        MODELS.build(cfg)(batch(images=1)[0])
    assert str(error.value) == (
        'point_head.in_channels=[256] but feature maps [0] have [32] channels: '
        'set in_channels=[32].'
    )
