from __future__ import annotations

import math
from functools import cache
from typing import Any

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from mmcv.cnn import fuse_conv_bn
from mmengine.config import Config
from mmengine.structures import PixelData
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample

from mmseg_pointrend.errors import InputError
from mmseg_pointrend.models import CascadePSP
from mmseg_pointrend.models.cascade_psp import gradient_loss
from mmseg_pointrend.models.mask_refinement import MaskRefinement, regions
from tests.helpers import ROOT

REFINERS = ROOT / 'configs/_base_/refiners'


def refiner_config(name: str = 'cascadepsp_r18-w32') -> Config:
    cfg = Config.fromfile(REFINERS / f'{name}.py').refiner
    cfg.backbone.init_cfg = None
    if '18' in name:
        cfg.backbone.update(base_channels=8, stem_channels=8)
        cfg.channels = (16, 8, 8, 8)
    return cfg


def refiner(**keys: Any) -> CascadePSP:
    torch.manual_seed(0)
    return MODELS.build({**refiner_config(), **keys})


def samples(void: bool = False) -> list[SegDataSample]:
    truth = torch.zeros(2, 1, 64, 64, dtype=torch.int64)
    truth[..., 16:40, 24:56] = 1
    coarse = truth.roll(3, dims=3).to(torch.uint8)
    if void:
        truth[..., :, :40] = 255
    return [
        SegDataSample(gt_sem_seg=PixelData(data=one), coarse_mask=PixelData(data=other))
        for one, other in zip(truth, coarse, strict=True)
    ]


@cache
def published() -> CascadePSP:
    with torch.device('meta'):
        return MODELS.build(refiner_config('cascadepsp_r50'))


def test_the_published_weights_fit():
    """Names and shapes are facts of the authors' file; so is their number."""
    shapes = {name: tuple(one.shape) for name, one in published().state_dict().items()}
    assert sum(one.numel() for one in published().parameters()) == 67_683_433
    for name, shape in {
        'feats.conv1.weight': (64, 6, 7, 7),
        'feats.bn1.running_mean': (64,),
        'feats.layer1.0.downsample.0.weight': (256, 64, 1, 1),
        'feats.layer4.2.conv3.weight': (2048, 512, 1, 1),
        'psp.stages.3.1.weight': (2048, 2048, 1, 1),
        'psp.bottleneck.bias': (1024,),
        'up_1.conv.2.weight': (512, 1280, 3, 3),
        'up_1.conv2.5.bias': (512,),
        'up_2.shortcut.weight': (256, 512, 1, 1),
        'up_3.conv.0.weight': (259,),
        'final_28.2.weight': (1, 32, 1, 1),
        'final_56.0.weight': (32, 512, 1, 1),
        'final_11.weight': (32, 35, 1, 1),
        'final_21.weight': (1, 32, 1, 1),
    }.items():
        assert shapes[name] == shape


def test_dilations_are_those_of_the_published_network():
    """In the last two stages all blocks have one, but for the first."""
    blocks = [*published().feats.layer3, *published().feats.layer4]
    dilations = [block.conv2.dilation[0] for block in blocks]
    assert dilations == [1, 2, 2, 2, 2, 2, 1, 4, 4]
    assert all(block.conv2.stride == (1, 1) for block in blocks)


def reference(model: CascadePSP, image: Any, masks: list[Any]) -> list[Any]:
    """One pass, written from figure 2 of the paper."""
    f = model.feats
    skip_2 = f.conv1(torch.cat([image, *masks], 1))
    skip_4 = f.layer1(f.maxpool(F.relu(f.bn1(skip_2))))
    deep = f.layer3(f.layer2(skip_4))

    def up(x: Any, factor: int) -> Any:
        return F.interpolate(x, scale_factor=factor, mode='bilinear')

    pooled = [
        F.interpolate(one(deep), deep.shape[2:], mode='bilinear')
        for one in model.psp.stages
    ]
    assert [one[0].output_size for one in model.psp.stages] == [1, 2, 3, 6]
    x = F.relu(model.psp.bottleneck(torch.cat([*pooled, deep], 1)))
    s8 = up(model.final_28(x), 8)
    outputs = []
    for block, skip in zip(
        (model.up_1, model.up_2, model.up_3), (skip_4, skip_2, image), strict=True
    ):
        x = up(x, 2)
        x = block.conv(torch.cat([x, skip], 1)) + block.shortcut(x)
        x = x + block.conv2(x)
        outputs.append(x)
    s4 = up(model.final_56(outputs[0]), 4)
    s1 = model.final_21(F.relu(model.final_11(torch.cat([x, image], 1))))
    return [s8, s4, s1]


@torch.no_grad()
def test_three_passes_hand_on_what_the_one_before_made():
    model = refiner().eval()
    image, mask = torch.randn(2, 3, 64, 80), torch.rand(2, 1, 64, 80) * 2 - 1
    first = reference(model, image, [mask] * 3)[:1]
    second = reference(model, image, [mask, first[0].tanh(), first[0].tanh()])[:2]
    third = reference(model, image, [mask, second[0].tanh(), second[1].tanh()])
    for ours, wanted in zip(
        model.cascade(image, mask), (first, second, third), strict=True
    ):
        for one, other in zip(ours, wanted, strict=True):
            torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-4)
    given = model.cascade(image, mask, first[0].tanh())
    assert [len(one) for one in given] == [2, 3]
    torch.testing.assert_close(given[-1][-1], third[-1], atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_merging_batchnorm_changes_nothing():
    """The first convolution is read before its BatchNorm: it must not be merged."""
    model = refiner()
    for one in model.modules():
        if isinstance(one, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(one.running_mean)
            torch.nn.init.uniform_(one.running_var, 0.5, 2)
            torch.nn.init.uniform_(one.weight, 0.5, 2)
    model.eval()
    image, mask = torch.randn(1, 3, 64, 64), torch.rand(1, 1, 64, 64) * 2 - 1
    wanted = model.cascade(image, mask)[-1][-1]
    fused = fuse_conv_bn(model)
    assert isinstance(fused.feats.layer1[0].bn1, torch.nn.Identity)
    ours = fused.cascade(image, mask)[-1][-1]
    torch.testing.assert_close(ours, wanted, atol=1e-3, rtol=1e-3)


def test_weights_of_masks_start_at_zero_and_learn():
    model = refiner()
    model.init_weights()
    weight = model.feats.conv1.weight
    assert weight[:, :3].abs().min() > 0
    assert not weight[:, 3:].any()
    losses = model(torch.randn(2, 3, 64, 64), samples(), mode='loss')
    model.parse_losses(losses)[0].backward()
    assert weight.grad[:, 3:].any()
    assert all(one.grad is not None for one in model.parameters())


def test_weights_of_a_network_of_images_load_with_zeros_for_the_masks(tmp_path):
    three = {'conv1.weight': torch.randn(8, 3, 7, 7)}
    torch.save(three, tmp_path / 'images.pth')
    cfg = refiner_config()
    cfg.backbone.init_cfg = dict(
        type='Pretrained', checkpoint=str(tmp_path / 'images.pth')
    )
    model = MODELS.build(cfg)
    model.init_weights()
    assert model.feats.conv1.weight[:, :3].equal(three['conv1.weight'])
    assert not model.feats.conv1.weight[:, 3:].any()


def test_losses_are_those_of_the_paper():
    model = refiner()
    inputs = torch.randn(2, 3, 64, 64)
    losses = model(inputs, samples(), mode='loss')
    coarse = torch.stack([one.coarse_mask.data for one in samples()])
    truth = torch.stack([one.gt_sem_seg.data for one in samples()]).float()
    (s8,), (s8_2, s4_2), (s8_3, s4_3, s1) = model.cascade(inputs, 2.0 * coarse - 1)
    entropy = F.binary_cross_entropy_with_logits
    for name, logits in (('s8_1', s8), ('s8_2', s8_2), ('s8_3', s8_3)):
        torch.testing.assert_close(losses[f'loss_{name}'], entropy(logits, truth))
    for name, logits in (('s4_2', s4_2), ('s4_3', s4_3)):
        mask = logits.sigmoid()
        wanted = entropy(logits, truth) / 2
        wanted += (F.l1_loss(mask, truth) + F.mse_loss(mask, truth)) / 4
        torch.testing.assert_close(losses[f'loss_{name}'], wanted)
    wanted = F.l1_loss(s1.sigmoid(), truth) + F.mse_loss(s1.sigmoid(), truth)
    torch.testing.assert_close(losses['loss_s1_3'], wanted)
    gradient = gradient_loss(s1.sigmoid(), truth, torch.ones_like(truth))
    torch.testing.assert_close(losses['loss_gradient'], 5 * gradient)
    assert losses['iou_coarse'] == pytest.approx(100 * 29 / 35)


def test_what_is_void_counts_nowhere():
    """Whatever is predicted there, losses and gradients are the same."""
    model = refiner()
    inputs = torch.randn(2, 3, 64, 64)
    passes = model.cascade(inputs, torch.rand(2, 1, 64, 64))
    other = [[one.detach().clone() for one in outputs] for outputs in passes]
    for outputs in other:
        for one in outputs:
            one[..., :40] = 7 * torch.randn(2, 1, 64, 40)
            one.requires_grad_()
    coarse = torch.stack([one.coarse_mask.data for one in samples()])
    some = model.losses(passes, coarse, samples(void=True))
    others = model.losses(other, coarse, samples(void=True))
    assert some.keys() == others.keys()
    for name, value in some.items():
        torch.testing.assert_close(value, others[name], msg=name)
    model.parse_losses(others)[0].backward()
    assert not any(one.grad[..., :40].any() for outputs in other for one in outputs)
    empty = [one.clone() for one in samples()]
    for one in empty:
        one.gt_sem_seg.data = torch.full((1, 64, 64), 255)
    assert all(not value for value in model.losses(passes, coarse, empty).values())


def test_the_gradient_of_a_straight_edge():
    """A blurred step of 1: Sobel gives 1/3 in each of four columns."""
    mask = torch.zeros(1, 1, 12, 16)
    mask[..., 8:] = 1
    loss = gradient_loss(mask, torch.zeros_like(mask), torch.ones_like(mask))
    slopes = torch.tensor([1 / 3, 2 / 3, 2 / 3, 1 / 3])
    wanted = ((slopes.square() + 1e-4).sqrt() - 0.01).sum() / 12
    torch.testing.assert_close(loss, wanted, atol=1e-5, rtol=0)


def test_it_learns_to_repair_masks():
    model = refiner()
    model.init_weights()
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    inputs = torch.randn(2, 3, 64, 64)
    inputs += 3 * torch.stack([one.gt_sem_seg.data for one in samples()])
    ious = []
    for _ in range(40):
        losses = model(inputs, samples(), mode='loss')
        optimizer.zero_grad()
        model.parse_losses(losses)[0].backward()
        optimizer.step()
        ious.append(float(losses['iou_refined']))
    assert ious[-1] > 95 > losses['iou_coarse']


@torch.no_grad()
def test_prediction_is_the_sign_of_the_last_logits():
    model = refiner().eval()
    inputs = torch.randn(2, 3, 64, 64)
    logits = model(inputs, samples())
    for sample, one in zip(model(inputs, samples(), 'predict'), logits, strict=True):
        assert sample.pred_sem_seg.data.equal((one > 0).long())


@pytest.mark.parametrize(
    ('keys', 'sentence'),
    [
        (dict(channels=(8, 8)), r'channels=\(8, 8\): give four positive integers'),
        (dict(pool_scales=[0]), r'pool_scales=\[0\]: give a list of positive'),
        (
            dict(backbone=dict(type='ResNet', depth=18)),
            r'backbone: strides=\(1, 2, 2, 2\): give an output stride of 8',
        ),
        (
            dict(backbone=dict(type='ResNet', depth=18, strides=(2, 1, 1, 1))),
            r'backbone: strides=\(2, 1, 1, 1\): give an output stride of 8',
        ),
        (
            dict(backbone=dict(type='ResNetV1c', depth=18)),
            'backbone: ResNetV1c: give ResNet, with one stem',
        ),
    ],
)
def test_what_it_cannot_be_built_from_is_named(keys, sentence):
    with pytest.raises(InputError, match=r'^CascadePSP\.' + sentence):
        refiner(**keys)


def test_without_a_mask_it_says_so():
    with pytest.raises(InputError, match='refines a mask: give samples with a coarse'):
        refiner()(torch.randn(1, 3, 64, 64))
    with pytest.raises(InputError, match='refines a mask: give samples with a coarse'):
        refiner()(torch.randn(1, 3, 64, 64), [SegDataSample()], mode='loss')


class Copier(CascadePSP):
    """Answers with the mask that it is given, and notes the sizes that it sees."""

    def __init__(self) -> None:
        torch.nn.Module.__init__(self)
        self.seen: list[tuple[int, ...]] = []

    def cascade(self, images: Any, mask: Any, s8: Any = None) -> list[list[Any]]:
        self.seen.append((*images.shape[2:], s8 is not None))
        assert images.shape[2:] == mask.shape[2:]
        assert images.shape[2] % 8 == images.shape[3] % 8 == 0
        return [[mask, 9 * mask, 9 * mask]]


@pytest.mark.parametrize('enlarge', [False, True])
@pytest.mark.parametrize('size', [(37, 53), (128, 128), (200, 333), (900, 100)])
def test_a_network_that_copies_gives_the_mask_back(size, enlarge):
    """Whatever is resized, cut and averaged: an edge moves by half a step at most."""
    mask = np.zeros(size, np.uint8)
    mask[size[0] // 4 :, size[1] // 3 :] = 1
    given = torch.from_numpy(2.0 * mask - 1)[None, None]
    how = MaskRefinement(size=128, enlarge=enlarge)
    network = Copier()
    refined = how.refine_mask(network, torch.randn(1, 3, *size), given)
    assert refined.shape == given.shape
    near = math.ceil(max(size) / 128 / 2) if max(size) > 128 else int(enlarge)
    brush = np.ones((2 * near + 1,) * 2, np.uint8)
    result = (refined[0, 0] > 0.5).numpy()
    assert (result >= cv2.erode(mask, brush)).all()
    assert (result <= cv2.dilate(mask, brush)).all()
    first, *windows = network.seen
    side = 128 if enlarge else min(max(size), 128)
    assert max(first[:2]) == side + -side % 8
    assert all(local for *_, local in windows)


def test_one_pixel():
    ones = torch.ones(1, 1, 1, 1)
    refined = MaskRefinement().refine_mask(Copier(), torch.randn(1, 3, 1, 1), ones)
    assert refined.shape == (1, 1, 1, 1)
    assert refined > 0.5


class Counter(Copier):
    """Says how certain it is by the number of its call; rubbish at inner edges."""

    def cascade(self, images: Any, mask: Any, s8: Any = None) -> list[list[Any]]:
        self.seen.append((*images.shape[2:], s8 is not None))
        if s8 is None:
            return [[mask, torch.full_like(mask, 0.5), 9 * mask]]
        torch.testing.assert_close(s8, 2 * torch.full_like(s8, 0.5).sigmoid() - 1)
        assert set(mask.unique().tolist()) == {-1, 1}
        share = (len(self.seen) - 1) / 10
        logits = torch.full_like(mask, math.log(share / (1 - share)))
        spans = images[0, 0], images[0, 0].T
        for axis, columns in enumerate(spans):
            first, last = int(columns[0, 0]), int(columns[-1, 0])
            if axis == self.axis and first > 0:
                logits.narrow(2 + axis, 0, 16).fill_(99)
            if axis == self.axis and last < self.length - 1:
                logits.narrow(2 + axis, len(columns) - 16, 16).fill_(99)
        return [[mask, logits, logits]]

    axis, length = 0, 224


def test_windows_lose_their_edges_and_their_overlaps_are_averaged():
    """Windows of 128 from 0, 32, 64 and 96 of 224 rows, each trimmed by 16 inside."""
    image = torch.arange(224.0).view(1, 1, 224, 1).expand(1, 3, 224, 128)
    mask = torch.ones(1, 1, 224, 128)
    mask[..., 64:] = -1
    network = Counter()
    refined = MaskRefinement(size=128).refine_mask(network, image, mask)
    assert len(network.seen) == 1 + 4
    kept = ((0, 112), (48, 144), (80, 176), (112, 224))
    for row in range(224):
        shares = [i / 10 for i, (a, b) in enumerate(kept, 1) if a <= row < b]
        wanted = torch.full((128,), sum(shares) / len(shares))
        torch.testing.assert_close(refined[0, 0, row], wanted, atol=1e-5, rtol=0)


def test_windows_are_those_of_the_paper():
    """Size L, step L / 2 - 32, refined where neither side has nearly all."""
    mask = -torch.ones(1, 1, 300, 500)
    mask[..., 250:] = 1
    network = Copier()
    MaskRefinement(size=128).refine_mask(network, torch.randn(1, 3, 300, 500), mask)
    columns = {*range(0, 500 - 128, 32), 500 - 128}
    shares = [min(max(left + 128 - 250, 0), 128) / 128 for left in columns]
    rows = {*range(0, 300 - 128, 32), 300 - 128}
    wanted = len(rows) * sum(0.1 <= share <= 0.9 for share in shares)
    assert len(network.seen) - 1 == wanted
    network = Copier()
    how = MaskRefinement(size=128, local=False)
    how.refine_mask(network, torch.randn(1, 3, 300, 500), mask)
    assert network.seen == [(80, 128, False)]


def test_regions_are_pieces_of_a_class_that_lie_close():
    labels = np.full((40, 60), 2, np.uint8)
    labels[:10, :10] = 1
    labels[:10, 13:20] = 1  # within the disc of 11 pixels
    labels[30:, 50:] = 1
    labels[20, 20] = 0
    labels[30:34, :4] = 255
    found = [(kind, int(region.sum())) for kind, region in regions(labels, 16, 255)]
    assert sorted(found) == [(1, 100), (1, 170), (2, 2400 - 100 - 170 - 1 - 16)]
    assert [kind for kind, _ in regions(labels, 0, 255)].count(0) == 1
    assert not [*regions(np.full((8, 8), 255, np.uint8), 0, 255)]


class Grower(Copier):
    """Claims a third of what it is given, and all around a small region."""

    def cascade(self, images: Any, mask: Any, s8: Any = None) -> list[list[Any]]:
        share = float((mask > 0).float().mean())
        logits = torch.full_like(mask, 2.0) if share < 0.7 else mask
        return [[logits, logits, logits]]


def test_where_regions_meet_the_surer_one_wins():
    labels = np.zeros((64, 64), np.uint8)
    labels[16:48, 16:48] = 3
    how = MaskRefinement(size=128, enlarge=False, local=False, min_area=1)
    image = torch.randn(1, 3, 64, 64)
    refined = how.refine_labels(Grower(), image, labels)
    inside = np.zeros((64, 64), bool)
    inside[12:52, 12:52] = True  # the region's box, grown by an eighth
    assert ((refined == 3) == inside).all()
    assert refined.dtype == labels.dtype
    stuff = MaskRefinement(size=128, enlarge=False, local=False, min_area=1, stuff=[3])
    refined = stuff.refine_labels(Grower(), image, labels)
    # 0 is as sure as 0.73 where it was, and claims nothing of the region.
    assert ((refined == 3) == (labels == 3)).all()
    none = how.refine_labels(Grower(), image, np.full((64, 64), 255, np.uint8))
    assert (none == 255).all()


@pytest.mark.parametrize(
    ('keys', 'sentence'),
    [
        (dict(size=64), 'size=64: give a whole number from 128'),
        (dict(min_area=-1), 'min_area=-1: give a whole number'),
        (dict(stuff=3), 'stuff=3: give a list of ids'),
        (dict(stuff_weight=math.inf), 'stuff_weight=inf: give a number above 0'),
    ],
)
def test_how_to_refine_is_checked(keys, sentence):
    with pytest.raises(InputError, match=sentence):
        MaskRefinement(**keys)


def test_masks_that_do_not_fit_are_named():
    image = torch.randn(1, 3, 32, 40)
    with pytest.raises(InputError, match='mask has 32x32 pixels but the image 32x40'):
        MaskRefinement().refine_mask(Copier(), image, torch.ones(1, 1, 32, 32))
    with pytest.raises(InputError, match='the mask is empty: give one that is above'):
        MaskRefinement().refine_mask(Copier(), image, -torch.ones(1, 1, 32, 40))
