"""What is ignored counts nowhere, in every loss; what cannot be right is refused."""

from __future__ import annotations

import inspect
import json
from copy import deepcopy
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from mmengine.structures import PixelData
from mmseg.models import losses as mmseg_losses
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from torch import Tensor, nn

from mmseg_pointrend.errors import InputError
from mmseg_pointrend.models import losses as guarded
from mmseg_pointrend.models.losses import guard_losses
from tests.helpers import batch, make_head, tiny_model_config

VOID = 255
SIZE = 12, 16
REFUSED = {'BoundaryLoss', 'HuasdorffDisstanceLoss', 'OhemCrossEntropy', 'SiLogLoss'}
WEIGHTS = [1.0, 2.0, 0.5, 4.0]


@MODELS.register_module()
class LossOfAProject(nn.Module):
    """It reads every point, as people's own losses may."""

    loss_name = 'loss_own'

    def forward(self, pred, target, weight=None, ignore_index=255):
        return pred.sigmoid().square().mean()


def ce(**kwargs: Any) -> dict[str, Any]:
    return dict(type='CrossEntropyLoss', **kwargs)


SEVERAL = [
    *(ce(avg_non_ignore=given) for given in (False, True)),
    *(ce(use_sigmoid=True, avg_non_ignore=given) for given in (False, True)),
    *(ce(class_weight=WEIGHTS, avg_non_ignore=given) for given in (False, True)),
    *(ce(reduction=reduction) for reduction in ('none', 'sum')),
    *(dict(type='DiceLoss', use_sigmoid=given) for given in (False, True)),
    *(dict(type='DiceLoss', reduction=reduction) for reduction in ('none', 'sum')),
    dict(type='DiceLoss', naive_dice=True),
    dict(type='FocalLoss'),
    dict(type='FocalLoss', class_weight=WEIGHTS, alpha=[0.5, 0.2, 0.3, 0.9]),
    dict(type='LovaszLoss', reduction='none'),
    dict(type='LovaszLoss', reduction='none', class_weight=WEIGHTS, classes='all'),
    dict(type='LovaszLoss', per_image=True),
    dict(type='TverskyLoss'),
    dict(type='TverskyLoss', class_weight=WEIGHTS),
    dict(type='LossOfAProject'),
]
SINGLE = [
    *(ce(use_sigmoid=True, avg_non_ignore=given) for given in (False, True)),
    ce(use_sigmoid=True, class_weight=[3.0]),
    dict(type='DiceLoss'),
    dict(type='FocalLoss'),
    dict(type='LovaszLoss', loss_type='binary', reduction='none'),
    dict(type='LovaszLoss', loss_type='binary', per_image=True),
    dict(type='LossOfAProject'),
]
OF_MAPS = [dict(type='HuasdorffDisstanceLoss')]
BINARY = dict(num_classes=2, out_channels=1)
HEAD_KEYS = 'decode_head', 'auxiliary_head', 'point_head'
CASES = [(4, one) for one in SEVERAL] + [(1, one) for one in SINGLE]


def of_point_head(loss, channels, logits, labels, ignore_index=VOID):
    """Losses of points on the pixels' centres: logits (N, K, P), labels (N, H, W)."""
    classes = (
        dict(num_classes=2, out_channels=1, threshold=0.3) if channels == 1 else {}
    )
    head = make_head(loss_decode=deepcopy(loss), ignore_index=ignore_index, **classes)
    rows, columns = torch.meshgrid(*map(torch.arange, SIZE), indexing='ij')
    centres = torch.stack(((columns + 0.5) / SIZE[1], (rows + 0.5) / SIZE[0]), dim=-1)
    points = centres.flatten(0, 1).expand(len(logits), -1, -1)
    losses = head.loss_by_feat(logits.flatten(2), points, labels.unsqueeze(1))
    return parsed(losses)


def of_decode_head(loss, channels, logits, labels, ignore_index=VOID):
    """Losses of a decode or auxiliary head: logits (N, K, H, W), labels (N, H, W)."""
    head = MODELS.build(
        dict(
            type='FCNHead',
            in_channels=4,
            channels=4,
            num_convs=0,
            concat_input=False,
            num_classes=max(channels, 2),
            out_channels=channels,
            ignore_index=ignore_index,
            loss_decode=deepcopy(loss),
        )
    )
    guard_losses('decode_head', head)
    return parsed(head.loss_by_feat(logits, samples_of(labels)))


def samples_of(labels: Tensor) -> list[SegDataSample]:
    return [SegDataSample(gt_sem_seg=PixelData(data=label[None])) for label in labels]


def parsed(losses: dict[str, Tensor]) -> Tensor:
    """What MMEngine trains on."""
    return sum(value.mean() for name, value in losses.items() if 'loss' in name)


HEADS = dict(points=of_point_head, maps=of_decode_head)
each_head = pytest.mark.parametrize('compute', HEADS.values(), ids=HEADS)
each_loss = pytest.mark.parametrize(('channels', 'loss'), CASES, ids=str)


def data(channels, images=3, ignore_index=VOID):
    """Logits (N, K, H, W) and labels (N, H, W) with much that is ignored."""
    torch.manual_seed(0)
    logits = torch.randn(images, channels, *SIZE, requires_grad=True)
    labels = torch.randint(0, max(channels, 2), (images, *SIZE))
    ignored = torch.rand(images, *SIZE) < 0.3
    ignored[0, :, 5:] = True
    return logits, labels.masked_fill(ignored, ignore_index), ignored


def value_and_gradient(compute, loss, channels, logits, labels, **kwargs):
    value = compute(loss, channels, logits, labels, **kwargs)
    return value, torch.autograd.grad(value, logits)[0]


def test_every_loss_of_mmsegmentation_is_tried_or_refused():
    """A loss that MMSegmentation adds fails here until it has its case."""
    known = {
        name
        for name, kind in vars(mmseg_losses).items()
        if inspect.isclass(kind) and hasattr(kind, 'loss_name')
    }
    assert known == REFUSED | {loss['type'] for loss in SEVERAL} - {'LossOfAProject'}


@each_loss
@each_head
def test_logits_that_are_ignored_change_nothing(compute, channels, loss):
    logits, labels, ignored = data(channels)
    value, gradient = value_and_gradient(compute, loss, channels, logits, labels)
    hidden = ignored.unsqueeze(1).expand_as(logits)
    others = logits.detach().masked_scatter(hidden, 9 * torch.randn(hidden.sum()))
    others.requires_grad_()
    wanted, other = value_and_gradient(compute, loss, channels, others, labels)
    assert value.equal(wanted)
    assert gradient.equal(other)
    assert gradient[hidden].eq(0).all()
    assert gradient[~hidden].any()


@each_loss
@each_head
def test_a_batch_of_ignored_labels_costs_nothing(compute, channels, loss):
    logits, labels, _ = data(channels)
    labels.fill_(VOID)
    value, gradient = value_and_gradient(compute, loss, channels, logits, labels)
    assert value.item() == 0
    assert gradient.eq(0).all()


@pytest.mark.parametrize('loss', OF_MAPS, ids=str)
@pytest.mark.parametrize('ignore_index', [VOID, 2])
def test_losses_of_maps_see_no_logits_that_are_ignored(ignore_index, loss):
    logits, labels, ignored = data(4, ignore_index=ignore_index)
    ignored = labels == ignore_index
    given = dict(ignore_index=ignore_index)
    value, gradient = value_and_gradient(
        of_decode_head, loss, 4, logits, labels, **given
    )
    hidden = ignored.unsqueeze(1).expand_as(logits)
    others = logits.detach().masked_scatter(hidden, 9 * torch.randn(hidden.sum()))
    others.requires_grad_()
    wanted, other = value_and_gradient(of_decode_head, loss, 4, others, labels, **given)
    assert value.equal(wanted)
    assert gradient.equal(other)
    assert gradient[hidden].eq(0).all()
    assert gradient.any()
    labels.fill_(ignore_index)
    assert of_decode_head(loss, 4, logits, labels, **given).item() == 0


def of_counted_pixels(loss, logits, labels):
    """The loss of MMSegmentation on what counts, image by image."""
    module = MODELS.build(deepcopy(loss))
    values = []
    for one, label in zip(logits, labels, strict=True):
        counted = label != VOID
        kept, truth = one[:, counted][None, ..., None], label[counted][None, :, None]
        if loss['type'] == 'FocalLoss':
            truth = F.one_hot(truth, 4).movedim(-1, 1)
        values.append(module(kept, truth).mean())
    return torch.stack(values).mean()


@pytest.mark.parametrize(
    'loss',
    [
        dict(type='DiceLoss', use_sigmoid=False),
        dict(type='TverskyLoss'),
        dict(type='LovaszLoss', per_image=True),
    ],
    ids=str,
)
@each_head
def test_losses_of_regions_are_those_of_what_counts(compute, loss):
    logits, labels, _ = data(4)
    wanted = of_counted_pixels(loss, logits, labels)
    torch.testing.assert_close(compute(loss, 4, logits, labels), wanted)
    labels[1] = VOID  # an image of which nothing counts is not there
    wanted = of_counted_pixels(loss, logits[::2], labels[::2])
    torch.testing.assert_close(compute(loss, 4, logits, labels), wanted)


@each_loss
@each_head
def test_without_ignored_labels_a_loss_is_that_of_mmsegmentation(
    compute, channels, loss
):
    if loss['type'] == 'FocalLoss':
        pytest.skip('MMSegmentation fails on it on a CPU')
    logits, _, _ = data(channels)
    labels = torch.randint(0, max(channels, 2), (3, *SIZE))
    truth = labels
    if channels == 1 and loss['type'] == 'DiceLoss':
        truth = labels.unsqueeze(1)
    wanted = MODELS.build(deepcopy(loss))(logits, truth, ignore_index=VOID).mean()
    torch.testing.assert_close(compute(loss, channels, logits, labels), wanted)


@pytest.mark.parametrize('channels', [1, 4])
@each_head
def test_the_focal_loss_is_the_mean_over_what_counts(compute, channels):
    logits, labels, ignored = data(channels)
    keep = ~ignored
    kept = logits.movedim(1, -1)[keep]
    target = labels[keep].unsqueeze(1)
    if channels > 1:
        target = F.one_hot(labels[keep], channels)
    probability = kept.sigmoid()
    miss = torch.where(target == 1, 1 - probability, probability)
    entropy = F.binary_cross_entropy_with_logits(kept, target.float(), reduction='none')
    wanted = (0.5 * miss.square() * entropy).mean()
    value = compute(dict(type='FocalLoss'), channels, logits, labels)
    torch.testing.assert_close(value, wanted)


@pytest.mark.parametrize('kind', ['DiceLoss', 'FocalLoss', 'CrossEntropyLoss'])
@each_head
def test_one_channel_learns_the_foreground(compute, kind):
    logits, labels, _ = data(1)
    loss = dict(type=kind, use_sigmoid=True)
    _, gradient = value_and_gradient(compute, loss, 1, logits, labels)
    gradient = gradient.squeeze(1)
    assert gradient[labels == 1].max() < 0
    assert gradient[labels == 0].min() > 0


@pytest.mark.parametrize('counted', [False, True])
@each_head
def test_class_weights_average_over_the_weights_that_count(compute, counted):
    logits, labels, _ = data(4)
    loss = ce(class_weight=WEIGHTS, avg_non_ignore=counted)
    wanted = F.cross_entropy(
        logits, labels, weight=torch.tensor(WEIGHTS), ignore_index=VOID
    )
    torch.testing.assert_close(compute(loss, 4, logits, labels), wanted)


@pytest.mark.parametrize('use_sigmoid', [False, True])
@pytest.mark.parametrize('counted', [False, True])
@each_head
def test_averages_are_those_of_mmsegmentation(compute, counted, use_sigmoid):
    logits, labels, _ = data(4)
    loss = ce(avg_non_ignore=counted, use_sigmoid=use_sigmoid)
    wanted = MODELS.build(dict(loss))(logits, labels, ignore_index=VOID)
    torch.testing.assert_close(compute(loss, 4, logits, labels), wanted)


@pytest.mark.parametrize('ignore_index', [0, 11, -1])
@pytest.mark.parametrize('loss', SEVERAL, ids=str)
@each_head
def test_any_label_may_be_ignored(compute, ignore_index, loss):
    logits, labels, _ = data(4, ignore_index=ignore_index)
    hidden = (labels == ignore_index).unsqueeze(1).expand_as(logits)
    value, gradient = value_and_gradient(
        compute, loss, 4, logits, labels, ignore_index=ignore_index
    )
    assert value.isfinite()
    assert gradient[hidden].eq(0).all()


def test_one_pixel_that_counts_is_enough():
    for channels, loss in CASES:
        logits, labels, _ = data(channels, images=2)
        labels.fill_(VOID)
        labels[1, 3, 4] = 1
        for compute in HEADS.values():
            value, gradient = value_and_gradient(
                compute, loss, channels, logits, labels
            )
            assert value.isfinite()
            gradient[1, :, 3, 4] = 0
            assert gradient.eq(0).all()


@pytest.mark.parametrize('channels', [1, 4])
def test_hard_pixels_are_found_where_labels_are_ignored(channels):
    sampler = dict(type='OHEMPixelSampler', min_kept=20)
    if channels == 4:
        sampler['thresh'] = 0.7
    cfg = tiny_model_config(
        num_classes=max(channels, 2), out_channels=1 if channels == 1 else None
    )
    cfg.decode_head.sampler = sampler
    model = MODELS.build(cfg)
    inputs, samples = batch(images=2, num_classes=2)
    for fill in (slice(30), slice(None)):
        samples[0].gt_sem_seg.data[:, fill] = VOID
        samples[1].gt_sem_seg.data[:, fill] = VOID
        losses = model.loss(inputs, samples)
        assert losses['decode.loss_ce'].isfinite()
    assert losses['decode.loss_ce'].item() == 0


@pytest.mark.parametrize('channels', [1, 5])
def test_a_model_trains_on_a_batch_that_is_all_ignored(channels):
    binary = dict(num_classes=2, out_channels=1) if channels == 1 else {}
    model = MODELS.build(tiny_model_config(**binary))
    inputs, samples = batch()
    for sample in samples:
        sample.gt_sem_seg.data.fill_(VOID)
    total, parts = model.parse_losses(model.loss(inputs, samples))
    assert total.item() == 0
    total.backward()
    assert all(one.grad is not None for one in model.point_head.parameters())
    # MMSegmentation's accuracy of one channel is the share of label 0.
    assert ('decode.acc_seg' in parts, 'aux.acc_seg' in parts) == (channels == 5,) * 2


@pytest.mark.parametrize('key', HEAD_KEYS)
def test_every_head_of_a_model_is_guarded(key):
    cfg = tiny_model_config()
    cfg[key].loss_decode = [ce(class_weight=[1.0] * 5), dict(type='DiceLoss')]
    model = MODELS.build(cfg)
    inputs, samples = batch()
    samples[0].gt_sem_seg.data.fill_(VOID)
    samples[1].gt_sem_seg.data[:, :20] = VOID
    assert model.parse_losses(model.loss(inputs, samples))[0].isfinite()
    samples[1].gt_sem_seg.data.fill_(VOID)
    _, parts = model.parse_losses(model.loss(inputs, samples))
    assert sum('loss_dice' in name for name in parts) == 1
    assert not any(value.item() for name, value in parts.items() if 'loss' in name)


def test_a_copied_model_has_losses_of_its_own():
    cfg = tiny_model_config()
    cfg.decode_head.loss_decode = dict(type='DiceLoss')
    model = MODELS.build(cfg)
    copied = deepcopy(model).decode_head.loss_decode
    assert copied.forward.args[0] is copied
    assert model.state_dict().keys() == deepcopy(model).state_dict().keys()
    plain = MODELS.build(dict(type='DiceLoss'))
    assert 'forward' not in vars(plain)


@pytest.mark.parametrize(
    ('loss', 'binary', 'sentence'),
    [
        (
            ce(),
            True,
            r"type='CrossEntropyLoss' takes a softmax, .*: set use_sigmoid=Tr",
        ),
        (dict(type='DiceLoss', use_sigmoid=False), True, r'set use_sigmoid=True'),
        (dict(type='TverskyLoss'), True, r"takes a softmax, .*: use 'DiceLoss'"),
        (dict(type='LovaszLoss', per_image=True), True, r"set loss_type='binary'"),
        ([ce(use_sigmoid=True), ce()], True, r'set use_sigmoid=True'),
        (
            dict(type='LovaszLoss', loss_type='binary', per_image=True),
            False,
            r"loss_type='binary' is for one channel: set loss_type='multi_class'",
        ),
        (ce(class_weight=[1.0, 2.0]), False, r'class_weight has .*\(2,\): give 5 numb'),
        (ce(class_weight=[1.0] * 6), False, r'class_weight has .*: give 5 numbers'),
        (
            ce(class_weight=2.0),
            False,
            r'class_weight has the shape \(\): give 5 numbers',
        ),
        (
            ce(use_sigmoid=True, class_weight=[1.0, 2.0]),
            True,
            r'class_weight has the shape \(2,\): give one number, the weight of the fo',
        ),
        (
            ce(use_sigmoid=True, class_weight=[1.0] * 5),
            False,
            r'class_weight does not work in CrossEntropyLoss without softmax: rem',
        ),
        (
            dict(type='FocalLoss', class_weight=[1.0]),
            False,
            r'class_weight has the sha',
        ),
        (dict(type='FocalLoss', alpha=[0.5]), False, r'alpha has .*: give 5 numbers'),
        (
            dict(type='TverskyLoss', class_weight=[1.0]),
            False,
            r'class_weight has the sh',
        ),
        (
            dict(type='LovaszLoss', per_image=True, class_weight=[1.0]),
            False,
            r'class_weight has the shape',
        ),
        (
            dict(type='OhemCrossEntropy'),
            False,
            r"takes no ignore_index .*: use 'CrossEn",
        ),
        (dict(type='BoundaryLoss'), False, r'takes no ignore_index or no weight'),
        (dict(type='SiLogLoss'), False, r'takes no ignore_index or no weight'),
    ],
    ids=str,
)
@pytest.mark.parametrize('key', HEAD_KEYS)
def test_a_loss_that_cannot_be_right_is_refused_when_built(key, loss, binary, sentence):
    cfg = tiny_model_config(**(BINARY if binary else {}))
    cfg[key].loss_decode = loss
    with pytest.raises(
        InputError, match=rf'^{key}\.loss_decode\..*{sentence}'
    ) as error:
        MODELS.build(cfg)
    assert '\n' not in str(error.value)


@pytest.mark.parametrize('key', HEAD_KEYS)
@pytest.mark.parametrize('suffix', ['.npy', '.json'])
def test_weights_of_a_file_are_counted_too(key, suffix, tmp_path):
    path = tmp_path / f'gewichte ä{suffix}'
    for count in (4, 5):
        if suffix == '.npy':
            np.save(path, np.ones(count))
        else:
            path.write_text(json.dumps([1.0] * count))
        cfg = tiny_model_config()
        cfg[key].loss_decode = ce(class_weight=str(path))
        if count == 4:
            with pytest.raises(
                InputError, match=rf'^{key}\..*class_weight has the sha'
            ):
                MODELS.build(cfg)
        else:
            inputs, samples = batch()
            samples[0].gt_sem_seg.data[:, :20] = VOID
            losses = MODELS.build(cfg).loss(inputs, samples)
            assert all(value.isfinite() for value in losses.values())


def test_points_are_no_map():
    with pytest.raises(
        InputError, match=r'point_head.* wants a map, and points are none'
    ):
        make_head(loss_decode=OF_MAPS[0])


@pytest.mark.parametrize(
    ('head', 'sentence'),
    [
        (
            dict(
                **BINARY,
                sampler=dict(type='OHEMPixelSampler', thresh=0.7),
                loss_decode=ce(use_sigmoid=True),
            ),
            r'decode_head\.sampler\.thresh is that of a softmax, .*: remove it',
        ),
        (
            dict(
                sampler=dict(type='OHEMPixelSampler', thresh=0.7),
                loss_decode=[ce(), dict(type='DiceLoss')],
            ),
            r"decode_head\.sampler weighs pixels, which .*'DiceLoss' cannot: rem",
        ),
        (
            dict(
                loss_decode=dict(type='HuasdorffDisstanceLoss', class_weight=[1.0] * 5)
            ),
            r'class_weight does not work in HuasdorffDisstanceLoss: remove it',
        ),
        (
            dict(**BINARY, threshold=1.5, loss_decode=ce(use_sigmoid=True)),
            r'threshold=1.5: give a probability between 0 and 1',
        ),
    ],
)
def test_a_head_that_cannot_be_right_is_refused_when_built(head, sentence):
    cfg = tiny_model_config()
    cfg.decode_head.update(head)
    with pytest.raises(InputError, match=sentence):
        MODELS.build(cfg)


@pytest.mark.parametrize('given', [False, True])
def test_the_log_says_that_points_do_not_inherit_class_weights(given, monkeypatch):
    said = []
    monkeypatch.setattr(guarded, 'print_log', lambda line, **_: said.append(line))
    cfg = tiny_model_config()
    cfg.decode_head.loss_decode = ce(class_weight=[1.0] * 5)
    cfg.point_head.loss_decode = ce(class_weight=[1.0] * 5 if given else None)
    MODELS.build(cfg)
    assert len(said) == (0 if given else 1)
    assert all('point_head.loss_decode has no class_weight' in line for line in said)
