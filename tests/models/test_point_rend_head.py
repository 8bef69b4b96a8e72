"""The geometry and the invariants of rendering, without a backbone."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from mmseg_pointrend.errors import InputError
from mmseg_pointrend.models import PointMLP, PointRendHead
from mmseg_pointrend.rendering.grids import Grid, valid_regions
from mmseg_pointrend.rendering.sampling import point_sample
from tests.helpers import CopyFine, batch, coordinate_map, make_head


class Refuse(nn.Module):
    def forward(self, fine, coarse):
        raise AssertionError('the MLP ran')


@pytest.mark.parametrize('align_corners', [False, True])
@pytest.mark.parametrize('size', [(64, 128), (769, 769), (513, 1025), (37, 53)])
def test_features_land_on_the_pixels_they_belong_to(size, align_corners):
    head = make_head(
        num_classes=2,
        in_channels=[2],
        align_corners=align_corners,
        subdivision_num_points=size[0] * size[1],
    )
    head.mlp = CopyFine()
    strided = (-(-size[0] // 4), -(-size[1] // 4))
    features = coordinate_map(strided, align_corners)
    with torch.no_grad():
        rendered = head.render(
            [features],
            torch.randn(1, 2, *strided),
            head.steps(torch.randn(1, 2, *strided), size),
        )
    low, high = features[:, :, 0, 0], features[:, :, -1, -1]
    wanted = coordinate_map(size, align_corners)
    wanted = wanted.clamp(low[..., None, None], high[..., None, None])
    torch.testing.assert_close(rendered, wanted, atol=1e-5, rtol=0)


@pytest.mark.parametrize('stride', [4, 8, 16])
@pytest.mark.parametrize('size', [(64, 96), (65, 97), (37, 53)])
@torch.no_grad()
def test_every_coarse_stride_ends_exactly_at_the_target(stride, size):
    head = make_head(subdivision_num_points=50)
    fine = torch.randn(2, 6, -(-size[0] // 4), -(-size[1] // 4))
    coarse = torch.randn(2, 4, -(-size[0] // stride), -(-size[1] // stride))
    assert head.render([fine], coarse, head.steps(coarse, size)).shape == (2, 4, *size)


@torch.no_grad()
def test_equal_sizes_need_no_step_and_no_mlp():
    head = make_head()
    head.mlp = Refuse()
    coarse = torch.randn(1, 4, 16, 24)
    rendered = head.render(
        [torch.randn(1, 6, 4, 6)], coarse, head.steps(coarse, (16, 24))
    )
    assert rendered.equal(coarse)


@pytest.mark.parametrize('align_corners', [False, True])
@torch.no_grad()
def test_without_points_rendering_is_the_chain_of_bilinear_steps(align_corners):
    head = make_head(subdivision_num_points=0, align_corners=align_corners)
    head.mlp = Refuse()
    coarse = torch.randn(1, 4, 8, 12)
    rendered = head.render(
        [torch.randn(1, 6, 16, 24)], coarse, head.steps(coarse, (60, 96))
    )
    for size in ((16, 24), (32, 48), (60, 96)):
        coarse = F.interpolate(
            coarse, size, mode='bilinear', align_corners=align_corners
        )
    torch.testing.assert_close(rendered, coarse)


@pytest.mark.parametrize('align_corners', [False, True])
@torch.no_grad()
def test_with_every_pixel_and_the_initial_prediction_it_is_the_mlp_everywhere(
    align_corners,
):
    size = (36, 52)
    head = make_head(
        coarse_from='initial',
        subdivision_num_points=10**6,
        align_corners=align_corners,
    )
    fine, coarse = torch.randn(2, 6, 18, 26), torch.randn(2, 4, 9, 13)
    points = coordinate_map(size, align_corners).flatten(2).transpose(1, 2)
    points = points.expand(2, -1, -1)
    wanted = head.mlp(
        point_sample(fine, points, align_corners=align_corners),
        point_sample(coarse, points, align_corners=align_corners),
    )
    rendered = head.render([fine], coarse, head.steps(coarse, size))
    torch.testing.assert_close(rendered.flatten(2), wanted, atol=1e-5, rtol=0)


@pytest.mark.parametrize('align_corners', [False, True])
@torch.no_grad()
def test_the_mlp_reads_the_coarse_cells_around_a_point(align_corners):
    class CopyMaps(nn.Module):
        def forward(self, fine, coarse):
            return fine

    size = (9, 13)
    coarse = torch.randn(2, 4, *size)
    head = make_head(
        coarse_window=3, subdivision_num_points=10**6, align_corners=align_corners
    )
    fine = torch.randn(2, 6, 18, 26)
    maps = head.with_windows([fine], coarse)
    assert maps[0] is fine
    assert len(maps) == 2
    points = coordinate_map(size, align_corners).flatten(2).transpose(1, 2)
    head.mlp = CopyMaps()
    read = head.classify(maps, coarse, points.expand(2, -1, -1), coarse.flatten(2))
    windows = read[:, 6:].unflatten(1, (4, 3, 3)).unflatten(4, size)
    for row in range(9):
        for column in range(13):
            for down in range(-1, 2):
                for right in range(-1, 2):
                    y, x = min(max(row + down, 0), 8), min(max(column + right, 0), 12)
                    torch.testing.assert_close(
                        windows[:, :, down + 1, right + 1, row, column],
                        coarse[:, :, y, x],
                        atol=1e-5,
                        rtol=0,
                    )


@pytest.mark.parametrize('detach', [False, True])
def test_losses_and_rendering_read_the_same_windows(detach, monkeypatch):
    head = make_head(coarse_window=3, coarse_from='initial', detach=detach)
    fine = torch.randn(2, 6, 16, 16)
    coarse = torch.randn(2, 4, 8, 8, requires_grad=True)
    seen = []
    monkeypatch.setattr(
        head,
        'loss_by_feat',
        lambda logits, points, labels: seen.extend([logits, points]),
    )
    _, samples = batch((32, 32), images=2, num_classes=4)
    head.loss([fine], coarse, samples)
    logits, points = seen
    maps = head.with_windows([fine], coarse)
    torch.testing.assert_close(
        logits, head.classify(maps, coarse, points, coarse), atol=1e-5, rtol=0
    )
    assert logits.requires_grad
    logits.sum().backward()
    assert (coarse.grad is None) == detach


@torch.no_grad()
def test_the_current_prediction_feeds_each_step_and_the_initial_one_does_not():
    class CopyCoarse(nn.Module):
        def forward(self, fine, coarse):
            return coarse + 1

    fine, coarse = torch.randn(1, 6, 16, 16), torch.randn(1, 4, 8, 8)
    rendered = {}
    for source in ('current', 'initial'):
        head = make_head(coarse_from=source, subdivision_num_points=10**6)
        head.mlp = CopyCoarse()
        rendered[source] = head.render([fine], coarse, head.steps(coarse, (32, 32)))
    chain = F.interpolate(F.interpolate(coarse, scale_factor=2, mode='bilinear'),
                          scale_factor=2, mode='bilinear')  # fmt: skip
    once = F.interpolate(coarse, scale_factor=4, mode='bilinear')
    torch.testing.assert_close(rendered['current'], chain + 2)
    torch.testing.assert_close(rendered['initial'], once + 1)


@torch.no_grad()
def test_only_the_hardest_pixels_of_a_step_change():
    head = make_head(subdivision_num_points=37)
    fine, coarse = torch.randn(1, 6, 8, 8), torch.randn(1, 4, 8, 8)
    plain = F.interpolate(coarse, (16, 16), mode='bilinear')
    rendered = head.render([fine], coarse, head.steps(coarse, (16, 16)))
    changed = (rendered != plain).any(dim=1).flatten()
    assert changed.sum() == 37
    hardness = head.uncertainty(plain).flatten()
    assert hardness[changed].min() >= hardness[~changed].max()


@pytest.mark.parametrize('align_corners', [False, True])
@torch.no_grad()
def test_padding_takes_no_points_at_any_step(align_corners):
    head = make_head(subdivision_num_points=300, align_corners=align_corners)
    fine, coarse = torch.randn(2, 6, 16, 24), torch.randn(2, 4, 8, 12)
    paddings = [(0, 30, 0, 20), (0, 0, 0, 0)]
    regions = valid_regions(paddings, (64, 96), align_corners=align_corners)
    steps = [(16, 24), (32, 48), (64, 96)]
    refined = head.renderer([fine], coarse).refine(
        coarse, head.steps(coarse, (64, 96), regions)
    )
    indices = [chosen for _, chosen in refined]
    for (height, width), chosen in zip(steps, indices, strict=True):
        points = Grid.of_frame((height, width), align_corners).points(chosen)
        edge = (66 - 0.5) / 95 if align_corners else 66 / 96
        floor = (44 - 0.5) / 63 if align_corners else 44 / 64
        assert points[0, :, 0].max() < edge
        assert points[0, :, 1].max() < floor
        assert points[1, :, 0].max() > edge
        assert points[1, :, 1].max() > floor


def test_ignored_labels_never_reach_the_loss():
    head = make_head()
    points, logits = torch.rand(1, 50, 2), torch.randn(1, 4, 50)
    labels = torch.randint(0, 4, (1, 1, 64, 64))
    labels[..., 32:] = 255
    losses = head.loss_by_feat(logits, points, labels)
    counted = points[0, :, 0] < 0.5
    pixels = (points[0] * 64).long()
    target = labels[0, 0, pixels[:, 1], pixels[:, 0]]
    wanted = F.cross_entropy(logits[0].T[counted], target[counted])
    torch.testing.assert_close(losses['loss_ce'], wanted)
    hits = (logits[0].argmax(dim=0) == target)[counted].float().mean() * 100
    assert losses['acc_point'].item() == pytest.approx(hits.item(), rel=1e-4)


@pytest.mark.parametrize('align_corners', [False, True])
def test_a_point_at_a_pixel_center_gets_the_label_of_that_pixel(align_corners):
    head = make_head(align_corners=align_corners)
    labels = torch.randint(0, 4, (2, 1, 9, 14))
    indices = torch.arange(9 * 14).expand(2, -1)
    points = Grid.of_frame((9, 14), align_corners).points(indices)
    logits = F.one_hot(labels.flatten(1), 4).transpose(1, 2) * 9.0
    assert head.loss_by_feat(logits, points, labels)['acc_point'].item() == 100


@pytest.mark.parametrize('out_channels', [None, 1])
def test_a_batch_of_ignored_labels_costs_nothing(out_channels):
    head = make_head(num_classes=2, out_channels=out_channels, threshold=0.3)
    channels = out_channels or 2
    _, samples = batch((32, 32), images=1)
    samples[0].gt_sem_seg.data.fill_(255)
    losses = head.loss(
        [torch.randn(1, 6, 8, 8)],
        torch.randn(1, channels, 8, 8, requires_grad=True),
        samples,
    )
    assert losses['loss_ce'].item() == 0
    losses['loss_ce'].backward()


def test_class_weights_average_over_the_points_that_count():
    weights = [1.0, 2.0, 0.5, 4.0]
    head = make_head(
        loss_decode=dict(
            type='CrossEntropyLoss', class_weight=weights, avg_non_ignore=True
        )
    )
    points, logits = torch.rand(2, 40, 2), torch.randn(2, 4, 40)
    labels = torch.randint(0, 4, (2, 1, 16, 16))
    labels[:, :, :5] = 255
    pixels = (points * 16).long()
    target = torch.stack(
        [labels[i, 0, pixels[i, :, 1], pixels[i, :, 0]] for i in range(2)]
    )
    wanted = F.cross_entropy(
        logits, target, weight=torch.tensor(weights), ignore_index=255
    )
    losses = head.loss_by_feat(logits, points, labels)
    torch.testing.assert_close(losses['loss_ce'], wanted)


def test_losses_that_want_maps_and_lists_of_losses_work():
    head = make_head(
        loss_decode=[
            dict(type='CrossEntropyLoss', avg_non_ignore=True),
            dict(type='CrossEntropyLoss', loss_weight=0.5, avg_non_ignore=True),
            dict(type='DiceLoss', loss_weight=1.0),
            dict(type='LovaszLoss', reduction='none'),
        ]
    )
    single = make_head()
    points, logits = torch.rand(2, 40, 2), torch.randn(2, 4, 40)
    labels = torch.randint(0, 4, (2, 1, 16, 16))
    losses = head.loss_by_feat(logits, points, labels)
    once = single.loss_by_feat(logits, points, labels)['loss_ce']
    torch.testing.assert_close(losses['loss_ce'], 1.5 * once)
    assert losses['loss_dice'] > 0
    assert losses['loss_lovasz'] > 0


def test_number_of_training_points_follows_the_crop(monkeypatch):
    head = make_head()
    seen = []
    monkeypatch.setattr(
        head, 'loss_by_feat', lambda logits, points, labels: seen.append(logits.shape)
    )
    _, samples = batch((96, 160), images=2)
    head.loss([torch.randn(2, 6, 24, 40)], torch.randn(2, 4, 24, 40), samples)
    assert seen == [(2, 4, 6 * 10)]


@pytest.mark.parametrize(
    ('change', 'sentence'),
    [
        (dict(uncertainty='margin'), r"uncertainty='margin' is unknown"),
        (dict(scale_factor=1), r'scale_factor=1: give a number above 1'),
        (dict(oversample_ratio=0.5), r'oversample_ratio=0.5'),
        (dict(importance_sample_ratio=2), r'importance_sample_ratio=2'),
        (dict(coarse_from='both'), r"coarse_from='both': give 'current' or"),
        (dict(coarse_window=2), r'coarse_window=2: give a positive odd integer'),
        (dict(padding_mode='reflect'), r"padding_mode='reflect'"),
        (dict(num_points=0), r'num_points=0'),
        (dict(subdivision_num_points=-1), r'subdivision_num_points=-1'),
        (dict(in_index=[0, 1]), r'in_channels=\[6\]: give as many entries as'),
        (dict(in_index=0), r'in_index=0: give a list, \[0\]'),
        (dict(in_channels=6), r'in_channels=6: give a list, \[6\]'),
        (dict(in_index=None), r'in_index=None: give a list of numbers of feature'),
        (dict(in_index=[], in_channels=[]), r'in_index=\[\]: give a list of numbers'),
        (dict(in_index=[True]), r'in_index=\[True\]: give a list of numbers of'),
        (dict(in_channels=None), r'in_channels=None: give a list of positive integ'),
        (dict(in_channels=['6']), r"in_channels=\['6'\]: give a list of positive in"),
        (dict(num_points=0.5), r'num_points=0.5: give None or a positive integer'),
        (dict(uncertainty=dict(type='entropy')), r"uncertainty=\{'type': 'entropy'\}"),
    ],
)
def test_a_wrong_argument_is_named_with_its_fix(change, sentence):
    with pytest.raises(InputError, match=sentence):
        make_head(**change)


def test_wrong_channels_name_the_key_and_the_fix():
    head = make_head()
    sentence = (
        r'in_channels=\[6\] but feature maps \[0\] have \[9\] channels: '
        r'set in_channels=\[9\]'
    )
    with pytest.raises(InputError, match=sentence):
        head.choose([torch.randn(1, 9, 4, 4)])
    with pytest.raises(InputError, match=r'in_index=\[2\] but there are 1 feature'):
        make_head(in_index=[2]).choose([torch.randn(1, 6, 4, 4)])


def test_several_fine_maps_are_stacked():
    head = make_head(in_index=[0, 1], in_channels=[6, 3])
    fine = [torch.randn(1, 6, 16, 16), torch.randn(1, 3, 8, 8)]
    with torch.no_grad():
        assert (
            head.render(
                fine,
                torch.randn(1, 4, 8, 8),
                head.steps(torch.randn(1, 4, 8, 8), (32, 32)),
            )
            .isfinite()
            .all()
        )


def test_the_head_has_no_parameter_that_training_does_not_use():
    head = make_head()
    assert isinstance(head, PointRendHead)
    _, samples = batch((32, 32), images=1, num_classes=4)
    losses = head.loss([torch.randn(1, 6, 8, 8)], torch.randn(1, 4, 8, 8), samples)
    losses['loss_ce'].backward()
    assert all(p.grad is not None for p in head.parameters())


def test_parameters_are_hidden_layers_then_predictor():
    names = list(make_head().state_dict())
    assert names == [
        *(f'mlp.hidden.{i}.{kind}' for i in range(3) for kind in ('weight', 'bias')),
        'mlp.predictor.weight',
        'mlp.predictor.bias',
    ]


def test_the_mlp_reads_fine_features_before_the_coarse_prediction():
    head = make_head(mlp=dict(type='PointMLP', hidden_channels=16, num_layers=1))
    with torch.no_grad():
        head.mlp.hidden[0].weight[:, :6] = 0
    fine, coarse = torch.randn(1, 6, 5), torch.randn(1, 4, 5)
    out = head.mlp(fine, coarse)
    torch.testing.assert_close(head.mlp(fine + 1, coarse), out)
    assert not head.mlp(fine, coarse + 1).allclose(out)


def test_the_valid_region_of_an_unpadded_image_is_everything():
    paddings = [(0, 0, 0, 0), (0, 4, 0, 1)]
    assert valid_regions(paddings[:1], (4, 8), align_corners=False) is None
    regions = valid_regions(paddings, (4, 8), align_corners=False)
    assert regions == [(0, 0, 1, 1), (0, 0, 0.5, 0.75)]


@pytest.mark.parametrize('coarse_from', ['current', 'initial'])
def test_rendered_logits_have_gradients(coarse_from):
    head = make_head(coarse_from=coarse_from, subdivision_num_points=40)
    coarse = torch.randn(1, 4, 8, 8, requires_grad=True)
    fine = torch.randn(1, 6, 8, 8, requires_grad=True)
    head.render([fine], coarse, head.steps(coarse, (32, 32))).square().sum().backward()
    for gradient in (coarse.grad, fine.grad, head.mlp.predictor.weight.grad):
        assert gradient.abs().sum() > 0


def test_a_residual_mlp_starts_from_the_coarse_prediction():
    head = make_head(mlp=dict(type='PointMLP', hidden_channels=16, residual=True))
    fine, coarse = torch.randn(2, 6, 9), torch.randn(2, 4, 9)
    corrected = head.mlp(fine, coarse)
    head.mlp.residual = False
    torch.testing.assert_close(corrected, head.mlp(fine, coarse) + coarse)
    head.mlp.residual = True
    nn.init.zeros_(head.mlp.predictor.weight)
    torch.testing.assert_close(head.mlp(fine, coarse), coarse)


def test_a_residual_needs_equal_channels():
    with pytest.raises(InputError, match='residual=False'):
        PointMLP(in_channels=6, coarse_channels=3, out_channels=4, residual=True)
