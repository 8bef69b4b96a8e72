"""Equal to MMSegmentation's ``PointHead`` where it is right."""

from __future__ import annotations

import pytest
import torch
from mmengine.config import ConfigDict
from mmseg.registry import MODELS

from mmseg_pointrend.rendering.points import sample_training_points
from mmseg_pointrend.rendering.uncertainty import logit_margin
from tests.helpers import batch, tiny_model, tiny_model_config

TEST_CFG = ConfigDict(subdivision_steps=2, subdivision_num_points=128, scale_factor=2)
TRAIN_CFG = ConfigDict(num_points=96, oversample_ratio=3, importance_sample_ratio=0.75)


def twin_heads(num_classes=5):
    theirs = MODELS.build(
        dict(
            type='PointHead',
            in_index=[0],
            in_channels=[6],
            channels=16,
            num_fcs=3,
            num_classes=num_classes,
            dropout_ratio=-1,
            loss_decode=dict(type='CrossEntropyLoss'),
        )
    )
    ours = MODELS.build(
        dict(
            type='PointRendHead',
            in_channels=[6],
            num_classes=num_classes,
            num_points=96,
            subdivision_num_points=128,
            coarse_from='initial',
            padding_mode='zeros',
            mlp=dict(type='PointMLP', hidden_channels=16, coarse_pred_each_layer=True),
            loss_decode=dict(type='CrossEntropyLoss'),
        )
    )
    for parameter in theirs.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    for mine, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        mine.data.copy_(other.data)
    return ours.eval(), theirs.eval()


def test_the_same_random_numbers_choose_the_same_points():
    _, theirs = twin_heads()
    logits = torch.randn(2, 5, 16, 24)
    torch.manual_seed(3)
    ours = sample_training_points(
        logits,
        logit_margin,
        num_points=96,
        oversample_ratio=3,
        importance_sample_ratio=0.75,
        padding_mode='zeros',
    )
    torch.manual_seed(3)
    from mmseg.models.decode_heads.point_head import calculate_uncertainty

    expected = theirs.get_points_train(logits, calculate_uncertainty, TRAIN_CFG)
    torch.testing.assert_close(ours, expected)


def test_losses_and_gradients_are_equal():
    ours, theirs = twin_heads()
    fine = [torch.randn(2, 6, 16, 24)]
    _, samples = batch((64, 96))
    samples[0].gt_sem_seg.data[:, :20] = 255
    results = []
    for head in (ours, theirs):
        coarse = torch.randn(
            2, 5, 16, 24, generator=torch.Generator().manual_seed(5)
        ).requires_grad_()
        torch.manual_seed(7)
        losses = head.loss(fine, coarse, samples, TRAIN_CFG)
        loss = losses.get('loss_ce', losses.get('pointloss_ce'))
        loss.backward()
        results.append((loss, losses['acc_point'], coarse.grad))
    for mine, other in zip(*results, strict=True):
        torch.testing.assert_close(mine, other, atol=1e-5, rtol=1e-5)
    for mine, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(mine.grad, other.grad, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize('classes', [2, 5, 19])
@torch.no_grad()
def test_renders_are_equal_where_doubling_reaches_the_target(classes):
    ours, theirs = twin_heads(classes)
    fine, coarse = [torch.randn(2, 6, 16, 24)], torch.randn(2, classes, 16, 24)
    metas = [dict(img_shape=(64, 96), ori_shape=(64, 96))] * 2
    expected = theirs.predict(fine, coarse, metas, TEST_CFG)
    torch.testing.assert_close(
        ours.predict(fine, coarse, metas), expected, atol=1e-5, rtol=1e-5
    )


def test_it_works_as_the_last_head_of_their_cascade():
    cfg = tiny_model_config()
    point_head = dict(cfg.point_head, num_classes=5)
    cascade = MODELS.build(
        dict(
            type='CascadeEncoderDecoder',
            num_stages=2,
            backbone=cfg.backbone,
            decode_head=[cfg.decode_head, point_head],
            data_preprocessor=cfg.data_preprocessor,
            test_cfg=ConfigDict(mode='whole'),
        )
    ).eval()
    ours = tiny_model()
    ours.backbone.load_state_dict(cascade.backbone.state_dict())
    ours.decode_head.load_state_dict(cascade.decode_head[0].state_dict())
    ours.point_head.load_state_dict(cascade.decode_head[1].state_dict())
    inputs, samples = batch()
    losses = cascade.loss(inputs, samples)
    assert {'decode_0.loss_ce', 'decode_1.loss_ce', 'decode_1.acc_point'} <= set(losses)
    cascade.eval()
    with torch.no_grad():
        theirs = cascade.predict(inputs, batch()[1])
        mine = ours.predict(inputs, batch()[1])
        assert cascade(inputs).shape[:2] == (2, 5)
    for a, b in zip(theirs, mine, strict=True):
        assert a.pred_sem_seg.data.equal(b.pred_sem_seg.data)
