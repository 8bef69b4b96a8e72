"""Masks of boxes: coordinates, training points, rendering and pasting."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from mmseg_pointrend.errors import InputError
from mmseg_pointrend.models import PointMLP
from mmseg_pointrend.rendering.grids import Grid
from mmseg_pointrend.rendering.instance_masks.boxes import (
    RegionFeatures,
    paste_masks,
    points_to_frame,
)
from mmseg_pointrend.rendering.instance_masks.masks import (
    class_channel,
    mask_labels,
    mask_point_loss,
    mask_training_points,
    render_masks,
)
from mmseg_pointrend.rendering.sampling import point_sample
from mmseg_pointrend.studies.speed.meters import peak_bytes
from tests.helpers import CopyFine, coordinate_map

BOXES = torch.tensor(
    [[3.25, 10, 60.5, 33], [-8, 5.5, 20, 70], [30, 20, 31.5, 22], [0, 0, 96, 64]]
)
IMAGES = torch.tensor([1, 0, 1, 0])
CLASSES = torch.tensor([2, 0, 1, 2])


def regions(channels=6, boxes=BOXES, images=IMAGES):
    maps = [torch.randn(2, channels - 2, 16, 24), torch.randn(2, 2, 8, 12)]
    return RegionFeatures(maps, [4, 8], boxes, images)


def make_mlp(channels=3, fine=6, **kwargs):
    mlp = PointMLP(
        in_channels=fine,
        coarse_channels=channels,
        out_channels=channels,
        hidden_channels=16,
        coarse_pred_each_layer=True,
        **kwargs,
    )
    for parameter in mlp.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return mlp


def all_pixels(size, count):
    indices = torch.arange(size[0] * size[1]).expand(count, -1)
    return Grid.of_frame(size, False).points(indices)


def test_points_of_a_box_are_in_pixels_where_the_box_is():
    corners = torch.tensor([[[0.0, 0.0], [1.0, 1.0], [0.5, 0.25]]]).expand(4, -1, -1)
    pixels = points_to_frame(corners, BOXES, (64, 96)) * torch.tensor([96, 64])
    torch.testing.assert_close(pixels[:, 0], BOXES[:, :2])
    torch.testing.assert_close(pixels[:, 1], BOXES[:, 2:])
    torch.testing.assert_close(pixels[0, 2], torch.tensor([31.875, 15.75]))


def test_a_map_of_its_own_coordinates_answers_with_the_position_of_each_point():
    """Each image of the batch has another offset, each map another stride."""
    offsets = torch.tensor([0.0, 1000.0]).view(2, 1, 1, 1)
    maps = [
        coordinate_map(size, False) * torch.tensor([96, 64]).view(1, 2, 1, 1) + offsets
        for size in ((32, 48), (16, 24))
    ]
    fine = RegionFeatures(maps, [2, 4], BOXES, IMAGES)
    points = torch.rand(4, 50, 2)
    start, end = BOXES.unsqueeze(1).split(2, dim=2)
    position = start + points * (end - start)
    expected = [
        position.clamp(min=stride / 2).minimum(torch.tensor([96, 64]) - stride / 2)
        + 1000 * IMAGES.view(4, 1, 1)
        for stride in (2, 4)
    ]
    torch.testing.assert_close(
        fine.sample(points), torch.cat(expected, 2).transpose(1, 2), atol=2e-4, rtol=0
    )


def test_a_map_may_be_larger_than_its_image():
    """13 pixels make 4 of stride 4: the map covers 16, and positions stay in pixels."""
    maps = coordinate_map((4, 4), False) * 16
    fine = RegionFeatures(
        [maps], [4], torch.tensor([[0.0, 0, 13, 13]]), torch.tensor([0])
    )
    sampled = fine.sample(torch.full((1, 1, 2), 0.5))
    torch.testing.assert_close(sampled.flatten(), torch.tensor([6.5, 6.5]))


@pytest.mark.parametrize('channels', [1, 3])
@pytest.mark.parametrize('coarse_size', [(28, 28), (7, 7)])
@torch.no_grad()
def test_with_every_pixel_as_budget_the_render_is_the_dense_evaluation(
    channels, coarse_size
):
    fine, mlp = regions(), make_mlp(channels)
    coarse = torch.randn(4, channels, *coarse_size)
    points = all_pixels((224, 224), 4)
    dense = mlp(fine.sample(points), point_sample(coarse, points))
    expected = torch.stack(
        [
            one[cls if channels > 1 else 0]
            for one, cls in zip(dense, CLASSES, strict=True)
        ]
    )
    rendered = render_masks(mlp, fine, coarse, CLASSES, num_points=224 * 224)
    assert rendered.shape == (4, 224, 224)
    torch.testing.assert_close(rendered.flatten(1), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize('channels', [1, 3])
@torch.no_grad()
def test_the_current_masks_feed_the_mlp_step_by_step(channels):
    fine, mlp = regions(), make_mlp(channels)
    coarse = torch.randn(4, channels, 28, 28)
    expected = coarse
    for size in ((56, 56), (112, 112)):
        upsampled = F.interpolate(expected, size, mode='bilinear')
        points = all_pixels(size, 4)
        expected = mlp(fine.sample(points), upsampled.flatten(2)).unflatten(2, size)
    rendered = render_masks(
        mlp,
        fine,
        coarse,
        CLASSES,
        size=(112, 112),
        num_points=112 * 112,
        coarse_from='current',
    )
    torch.testing.assert_close(
        rendered, class_channel(expected, CLASSES)[:, 0], atol=1e-5, rtol=1e-5
    )


@pytest.mark.parametrize('coarse_from', ['initial', 'current'])
@torch.no_grad()
def test_without_points_the_render_is_a_chain_of_bilinear_steps(coarse_from):
    coarse = torch.randn(4, 3, 28, 28)
    expected = class_channel(coarse, CLASSES)
    for size in (56, 112, 224):
        expected = F.interpolate(expected, (size, size), mode='bilinear')
    rendered = render_masks(
        make_mlp(), regions(), coarse, CLASSES, num_points=0, coarse_from=coarse_from
    )
    torch.testing.assert_close(rendered, expected[:, 0], atol=1e-5, rtol=0)


@pytest.mark.parametrize('coarse_from', ['initial', 'current'])
@torch.no_grad()
def test_the_budget_goes_to_the_pixels_where_the_regions_class_is_unsure(coarse_from):
    """Class 0 changes from left to right, class 1 from top to bottom."""
    ramp = torch.linspace(-5, 5, 28)
    coarse = torch.stack((ramp.expand(28, 28), ramp.view(-1, 1).expand(28, 28)))
    fine = RegionFeatures(
        [torch.full((1, 2, 4, 4), 99.0)],
        [4],
        torch.tensor([[0.0, 0, 16, 16]] * 2),
        torch.tensor([0, 0]),
    )
    rendered = render_masks(
        CopyFine(),
        fine,
        coarse.expand(2, -1, -1, -1),
        torch.tensor([0, 1]),
        size=(56, 56),
        num_points=2 * 56,
        coarse_from=coarse_from,
    )
    middle = torch.zeros(56, 56, dtype=torch.bool)
    middle[:, 27:29] = True
    assert (rendered[0] > 90).equal(middle)
    assert (rendered[1] > 90).equal(middle.t())


@pytest.mark.parametrize('coarse_from', ['initial', 'current'])
@torch.no_grad()
def test_one_channel_serves_all_classes(coarse_from):
    fine, mlp, coarse = regions(), make_mlp(1), torch.randn(4, 1, 28, 28)
    agnostic, per_class = (
        render_masks(mlp, fine, coarse, classes, coarse_from=coarse_from)
        for classes in (None, torch.zeros(4, dtype=torch.int64))
    )
    assert agnostic.equal(per_class)
    logits, labels = torch.randn(4, 1, 9), torch.rand(4, 9)
    assert mask_point_loss(logits, labels).equal(
        mask_point_loss(logits, labels, CLASSES)
    )


@torch.no_grad()
def test_a_class_agnostic_mlp_may_read_the_masks_of_all_classes():
    mlp = PointMLP(in_channels=6, coarse_channels=3, out_channels=1, hidden_channels=8)
    rendered = render_masks(mlp, regions(), torch.randn(4, 3, 28, 28), CLASSES)
    assert rendered.shape == (4, 224, 224)


@torch.no_grad()
def test_half_precision_renders_the_same_up_to_its_precision():
    fine, mlp, coarse = regions(), make_mlp(), torch.randn(4, 3, 14, 14)
    exact = render_masks(mlp, fine, coarse, CLASSES, size=(56, 30), num_points=9999)
    with torch.autocast('cpu', torch.bfloat16):
        rough = render_masks(
            mlp, fine, coarse.bfloat16(), CLASSES, size=(56, 30), num_points=9999
        )
    assert rough.dtype == torch.float32
    assert rough.shape == (4, 56, 30)
    assert (rough - exact).abs().max() < 0.05 * exact.abs().max()


def test_training_points_gather_at_the_boundary_of_the_regions_class():
    coarse = torch.full((2, 2, 16, 16), 5.0)
    coarse[:, 0, :, :4] = -5  # class 0 begins at x = 1/4
    coarse[:, 1, :12] = -5  # class 1 at y = 3/4
    points = mask_training_points(
        coarse,
        torch.tensor([0, 1]),
        num_points=64,
        oversample_ratio=40,
        importance_sample_ratio=1,
    )
    assert points.shape == (2, 64, 2)
    assert (points[0, :, 0] - 0.25).abs().max() < 1 / 32
    assert (points[1, :, 1] - 0.75).abs().max() < 1 / 32


def test_by_default_points_are_as_many_as_in_the_paper():
    assert mask_training_points(torch.randn(3, 1, 28, 28)).shape == (3, 196, 2)


@pytest.mark.parametrize('dtype', [torch.bool, torch.uint8, torch.float32])
@pytest.mark.parametrize('grad', [True, False])
def test_labels_come_from_masks_of_the_image_or_of_the_box(dtype, grad):
    """The object is what lies right of x = 20, in two boxes."""
    image = torch.zeros(2, 32, 40, dtype=dtype)
    image[:, :, 20:] = 1
    boxes = torch.tensor([[16.0, 2, 24, 12], [30, -9, 60, 40]])
    points = torch.rand(2, 500, 2)
    with torch.set_grad_enabled(grad):
        labels = mask_labels(image, points, boxes)
        of_box = mask_labels(image[:, :8, 16:24], points)
    x = 16 + 8 * points[0, :, 0]
    torch.testing.assert_close(labels[0], (x - 19.5).clamp(0, 1), atol=1e-5, rtol=0)
    torch.testing.assert_close(of_box[0], labels[0], atol=1e-5, rtol=0)
    assert labels[1].min() > 0.999  # also outside of the image
    assert labels.dtype == torch.float32


def test_the_loss_is_the_binary_cross_entropy_of_the_regions_class():
    logits, labels = torch.randn(4, 3, 9, requires_grad=True), torch.rand(4, 9)
    loss = mask_point_loss(logits, labels, CLASSES)
    chosen = torch.stack([logits[i, c] for i, c in enumerate(CLASSES)]).sigmoid()
    expected = -(labels * chosen.log() + (1 - labels) * (1 - chosen).log()).mean()
    torch.testing.assert_close(loss, expected)
    loss.backward()
    touched = logits.grad.abs().amax(dim=2) > 0
    assert touched.equal(F.one_hot(CLASSES, 3).bool())


def test_gradients_reach_the_mlp_the_coarse_masks_and_the_fine_features():
    maps = torch.randn(2, 6, 16, 24, requires_grad=True)
    coarse = torch.randn(4, 3, 28, 28, requires_grad=True)
    mlp = make_mlp()
    fine = RegionFeatures([maps], [4], BOXES, IMAGES)
    points = mask_training_points(coarse, CLASSES)
    logits = mlp(fine.sample(points), point_sample(coarse, points))
    mask_point_loss(logits, torch.rand(4, 196), CLASSES).backward()
    for tensor in (maps, coarse, *mlp.parameters()):
        assert tensor.grad.abs().sum() > 0
    assert (maps.grad[0] != 0).any()
    assert (maps.grad[1] != 0).any()


@pytest.mark.parametrize('grad', [True, False])
@pytest.mark.parametrize('channels', [1, 3])
def test_no_region_is_no_problem(grad, channels):
    none = torch.zeros(0, dtype=torch.int64)
    mlp, coarse = make_mlp(channels), torch.zeros(0, channels, 28, 28)
    with torch.set_grad_enabled(grad):
        fine = regions(boxes=torch.zeros(0, 4), images=none)
        points = mask_training_points(coarse, none)
        logits = mlp(fine.sample(points), point_sample(coarse, points))
        labels = mask_labels(torch.zeros(0, 64, 96), points, torch.zeros(0, 4))
        loss = mask_point_loss(logits, labels, none)
        for coarse_from in ('initial', 'current'):
            masks = render_masks(mlp, fine, coarse, none, coarse_from=coarse_from)
            assert masks.shape == (0, 224, 224)
    assert logits.shape == (0, channels, 196)
    assert loss == 0
    assert paste_masks(masks, torch.zeros(0, 4), (64, 96)).shape == (0, 64, 96)
    if grad:  # every process of a distributed training needs gradients
        loss.backward()
        assert all(p.grad.eq(0).all() for p in mlp.parameters())


def test_a_mask_with_the_pixels_of_its_box_is_pasted_as_it_is():
    logits = torch.randn(2, 12, 20)
    boxes = torch.tensor([[5.0, 3, 25, 15], [-4, -2, 16, 10]])
    pasted = paste_masks(logits, boxes, (30, 40))
    expected = torch.zeros(2, 30, 40, dtype=torch.bool)
    expected[0, 3:15, 5:25] = logits[0] > 0
    expected[1, :10, :16] = logits[1, 2:, 4:] > 0
    assert pasted.equal(expected)


def test_a_pasted_edge_lies_where_the_logits_change_their_sign():
    x = all_pixels((28, 28), 1)[..., 0].view(1, 28, 28)
    boxes = torch.tensor([[10.3, 4.6, 50.3, 8.5]])
    pasted = paste_masks(x - 0.4, boxes, (16, 64))
    expected = torch.zeros(1, 16, 64, dtype=torch.bool)
    expected[0, 5:8, 26:50] = True  # 10.3 + 0.4 * 40 = 26.3 is left of 26.5
    assert pasted.equal(expected)
    higher = paste_masks(x - 0.4, boxes, (16, 64), threshold=0.55)
    assert higher.sum() < pasted.sum()


def test_neighbouring_boxes_share_no_pixel_and_distant_ones_have_none():
    boxes = torch.tensor(
        [[0, 0, 7.5, 9], [7.5, 0, 20, 9], [-9, -9, -1, -1], [90, 0, 99, 9],
         [3.6, 2, 4.4, 3]]
    )  # fmt: skip
    pasted = paste_masks(torch.ones(5, 4, 4), boxes, (9, 20))
    assert pasted[:2].sum(dim=0).eq(1).all()
    assert pasted[2:].sum() == 0


def test_boxes_without_area_and_what_does_not_fit_are_refused_in_a_sentence():
    def fine(**kwargs):
        given = dict(
            maps=[torch.zeros(2, 6, 16, 24)], strides=[4], boxes=BOXES, images=IMAGES
        )
        return RegionFeatures(**{**given, **kwargs})

    flat, nan = BOXES.clone(), BOXES.clone()
    flat[2, 2] = flat[2, 0]
    nan[1, 3] = torch.nan
    coarse, points = torch.randn(4, 3, 7, 7), torch.rand(4, 9, 2)
    mlp, agnostic = (
        PointMLP(in_channels=6, coarse_channels=3, out_channels=n, hidden_channels=8)
        for n in (3, 1)
    )
    for call, sentence in (
        (lambda: fine(boxes=flat), r'boxes\[2\] = \(30.0, 20.0, 30.0, 22.0\) has no'),
        (lambda: fine(boxes=nan), r'boxes\[1\] = .* has no area: keep regions with'),
        (lambda: paste_masks(torch.ones(4, 8, 8), flat, (9, 9)), r'boxes\[2\] = '),
        (lambda: paste_masks(torch.ones(4, 1, 8, 8), BOXES, (9, 9)), r'\(N, h, w\)'),
        (lambda: fine(boxes=BOXES[:, :3]), r'\(4, 3\) for 4 regions: give \(4, 4\)'),
        (lambda: fine(images=IMAGES[:2]), r'images of shape \(2,\) for 4 regions'),
        (lambda: fine(images=IMAGES + 1), 'images run from 1 to 2: .* 0 to 1'),
        (lambda: fine(images=IMAGES.float()), 'images are torch.float32: give integer'),
        (lambda: class_channel(coarse, CLASSES > 0), 'classes are torch.bool: give in'),
        (lambda: fine(maps=[torch.zeros(n, 6, 8, 8) for n in (2, 1)], strides=[4, 8]),
         r'feature maps of \[2, 1\] images: give maps of the same'),
        (lambda: fine(strides=[0]), r'strides=\[0\]: give positive'),
        (lambda: fine().sample(torch.cat((points, points))),
         r'points of shape \(8, 9, 2\) for 4 boxes: give \(N, P, 2\)'),
        (lambda: fine(strides=[4, 8]), r'strides=\[4, 8\] for 1 feature maps'),
        (lambda: fine(maps=torch.zeros(1, 6, 16, 24)), 'give lists of one map'),
        (lambda: mask_training_points(coarse), 'masks have 3 channels: give the class'),
        (lambda: mask_training_points(coarse, CLASSES, num_points=-3), 'num_points=-3'),
        (lambda: mask_training_points(coarse, CLASSES, oversample_ratio=0.5),
         'oversample_ratio=0.5: give a number of at least 1'),
        (lambda: mask_training_points(coarse, CLASSES, importance_sample_ratio=1.5),
         'importance_sample_ratio=1.5: give a number in'),
        (lambda: class_channel(coarse, CLASSES[:2]), r'classes of shape \(2,\) for 4'),
        (lambda: class_channel(coarse, CLASSES + 1), 'from 1 to 3: .* from 0 to 2'),
        (lambda: mask_labels(torch.full((4, 9, 9), 255), points), '255 to 255: give'),
        (lambda: mask_labels(torch.full((4, 9, 9), torch.nan), points), 'nan: give'),
        (lambda: mask_labels(torch.zeros(4, 9, 9), points, nan), r'boxes\[1\] = '),
        (lambda: mask_labels(torch.zeros(4, 9, 9), points, BOXES[:1]),
         r'\(1, 4\) for 4 true masks: give \(4, 4\)'),
        (lambda: mask_labels(torch.zeros(2, 9, 9), points), r'\(2, 9, 9\) for 4 reg'),
        (lambda: render_masks(mlp, fine(), coarse[:2], CLASSES), 'each of the 4 boxes'),
        (lambda: render_masks(mlp, fine(), coarse, CLASSES, num_points=-1), 'num_poin'),
        (lambda: render_masks(mlp, fine(), coarse, CLASSES, num_points=7.5), 'integer'),
        (lambda: render_masks(mlp, fine(), coarse, CLASSES, size=224), 'size=224: '),
        (lambda: render_masks(mlp, fine(), coarse, CLASSES, size=(0, 9)), 'positive'),
        (lambda: render_masks(mlp, fine(), coarse, CLASSES, coarse_from='x'), 'coars'),
        (lambda: render_masks(agnostic, fine(), coarse, CLASSES, coarse_from='current'),
         "answers with 1 channels to masks of 3: use coarse_from='initial'"),
        (lambda: mlp(torch.zeros(4, 5, 9), torch.zeros(4, 3, 9)),
         'takes 6 fine and 3 coarse channels but gets 5 and 3: build it with in_chan'),
    ):  # fmt: skip
        with pytest.raises(InputError, match=sentence):
            call()


@torch.no_grad()
def test_a_hundred_regions_of_eighty_classes_keep_one_channel_each():
    """With all channels the last map alone would take 1.6 GB."""
    boxes = torch.tensor([[0.0, 0, 1, 1]]) * 90 + torch.rand(100, 4)
    fine = RegionFeatures(
        [torch.randn(1, 8, 25, 25)], [4], boxes, torch.zeros(100).long()
    )
    mlp, coarse = make_mlp(80, fine=8), torch.randn(100, 80, 28, 28)
    classes = torch.arange(100) % 80
    peak = peak_bytes(lambda: render_masks(mlp, fine, coarse, classes), 'cpu')
    assert peak < 160e6
