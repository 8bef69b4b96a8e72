"""Model configs that cannot work are refused in one sentence."""

from __future__ import annotations

import pytest
import torch
from mmseg.registry import MODELS

from mmseg_pointrend.errors import InputError
from mmseg_pointrend.models import PointRendHead
from tests.helpers import batch, tiny_model, tiny_model_config


def test_heads_at_odds_are_named():
    cfg = tiny_model_config()
    cfg.point_head.num_classes = 7
    with pytest.raises(
        InputError, match=r'point_head.num_classes=7 but decode_head.num_classes=5'
    ):
        MODELS.build(cfg)


def test_wrong_in_channels_of_the_decode_head_are_named():
    cfg = tiny_model_config()
    cfg.decode_head.in_channels = 2048
    model = MODELS.build(cfg).eval()
    with pytest.raises(
        InputError, match=r'decode_head.in_channels=2048 but feature map 3 has 64 ch'
    ):
        model(torch.randn(1, 3, 64, 64))


@pytest.mark.parametrize(
    ('key', 'value', 'sentence'),
    [
        ('point_head', None, r"point_head=None: give a dict with type='PointRend"),
        (
            'point_head',
            dict(type='PointHead', in_index=[0], in_channels=[8], channels=8),
            r"point_head.type='PointHead': give 'PointRendHead'",
        ),
        (
            'point_head',
            dict(type='PointHead', mlp=dict(type='PointMLP')),
            r"point_head.type='PointHead': give 'PointRendHead'",
        ),
        ('point_head', dict(type='PointRend'), r"point_head.type='PointRend': give 'P"),
        ('test_cfg', dict(mode='sliding'), r"test_cfg.mode='sliding': give 'whole' or"),
        (
            'test_cfg',
            dict(return_logit=True),
            r'test_cfg.return_logit: .* return_logits',
        ),
        ('test_cfg', dict(scale=2), r'test_cfg.scale: nothing reads it, remove it'),
        (
            'test_cfg',
            dict(subdivision_num_points=8),
            r'test_cfg.subdivision_num_points: set model.point_head.subdivision_num_',
        ),
        (
            'test_cfg',
            dict(subdivision_steps=2),
            r'test_cfg.subdivision_steps: the size',
        ),
        (
            'train_cfg',
            dict(num_points=8),
            r'train_cfg.num_points: set model.point_head.',
        ),
        *(
            (
                'test_cfg',
                dict(mode='slide', crop_size=(32, size), stride=(32, stride)),
                r'crop_size=.*, stride=.*: give whole numbers with 0 < stride <= crop',
            )
            for size, stride in ((32, 48), (32, 0), (32, -8), (0, 0), (32.0, 8))
        ),
        ('test_cfg', dict(mode='slide'), r"mode='slide' needs .* crop_size="),
        (
            'test_cfg',
            dict(mode='slide', crop_size=256, stride=170),
            r"mode='slide' needs .* \(height, width\) each: add crop_size=",
        ),
    ],
)
def test_common_mistakes_in_the_model_config_are_named(key, value, sentence):
    cfg = tiny_model_config()
    cfg[key] = value
    with pytest.raises(InputError, match=sentence):
        MODELS.build(cfg)


@pytest.mark.parametrize('cfg', [dict(mode='sliding'), dict(stride=(48, 48))])
def test_a_mode_that_is_changed_later_is_checked_too(cfg):
    model = tiny_model()
    model.test_cfg.update(mode='slide', crop_size=(32, 32), stride=(32, 32))
    model.test_cfg.update(cfg)
    with pytest.raises(InputError, match=r'model\.test_cfg'):
        model.predict(torch.randn(1, 3, 64, 64))


def test_a_point_head_without_a_type_is_ours():
    cfg = tiny_model_config()
    del cfg.point_head['type']
    assert isinstance(MODELS.build(cfg).point_head, PointRendHead)


def test_wrong_in_channels_of_the_point_head_are_named():
    cfg = tiny_model_config()
    cfg.point_head.in_channels = [256]
    model = MODELS.build(cfg).eval()
    with pytest.raises(
        InputError,
        match=r'in_channels=\[256\] but feature maps \[0\] have \[8\]',
    ):
        model(torch.randn(1, 3, 64, 64))


def test_a_decode_head_without_conv_seg_has_no_features_to_read():
    model = tiny_model(in_index=['decode_head'], in_channels=[8])
    model.decode_head.cls_seg = lambda features: features[:, :5]
    with pytest.raises(InputError, match="remove 'decode_head' from point_head"):
        model(batch()[0])


@pytest.mark.parametrize(
    'in_index', [['neck'], [-1, 'decode_head'], ['decode_head'] * 2]
)
def test_ambiguous_feature_maps_are_refused(in_index):
    with pytest.raises(InputError, match=r'point_head\.in_index='):
        tiny_model(in_index=in_index, in_channels=[8] * len(in_index))


def test_an_index_beyond_the_backbone_is_not_the_decode_head():
    model = tiny_model(in_index=[4, 'decode_head'], in_channels=[8, 8])
    with pytest.raises(InputError, match='there are 4 feature maps: use 0 to 3'):
        model(batch()[0])
    model = tiny_model(in_index=[0, 'decode_head'], in_channels=[9, 8])
    with pytest.raises(InputError, match=r"maps \[0, 'decode_head'\] have \[8, 8\]"):
        model(batch()[0])


def test_in_a_foreign_cascade_there_are_no_decoder_features():
    cfg = tiny_model_config(in_index=['decode_head'], in_channels=[8])
    head = MODELS.build(dict(cfg.point_head, num_classes=5))
    with pytest.raises(InputError, match='PointRendEncoderDecoder'):
        head([torch.randn(1, 8, 4, 4)], torch.randn(1, 5, 2, 2))
