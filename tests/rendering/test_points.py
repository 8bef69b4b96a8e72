from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from mmseg_pointrend.rendering.grids import (
    Grid,
    subdivision_sizes,
    valid_pixels,
    valid_regions,
)
from mmseg_pointrend.rendering.points import (
    default_num_points,
    hardest_pixels,
    sample_training_points,
)
from mmseg_pointrend.rendering.sampling import point_sample, read_points, write_points
from mmseg_pointrend.rendering.uncertainty import logit_margin

sizes = st.tuples(st.integers(1, 300), st.integers(1, 300))


def all_pixels(size):
    return torch.arange(size[0] * size[1]).unsqueeze(0)


@pytest.mark.parametrize('align_corners', [False, True])
@pytest.mark.parametrize('size', [(8, 12), (7, 5), (1, 9)])
def test_sampling_a_map_at_its_own_pixel_centers_returns_the_map(size, align_corners):
    features = torch.randn(2, 3, *size)
    points = Grid.of_frame(size, align_corners).points(all_pixels(size))
    sampled = point_sample(
        features, points.expand(2, -1, -1), align_corners=align_corners
    )
    torch.testing.assert_close(sampled, features.flatten(2), atol=1e-5, rtol=0)


@pytest.mark.parametrize('align_corners', [False, True])
@pytest.mark.parametrize('target', [(16, 24), (23, 31), (8, 40)])
def test_sampling_at_another_grid_is_bilinear_upsampling(target, align_corners):
    features = torch.randn(1, 3, 8, 12)
    points = Grid.of_frame(target, align_corners).points(all_pixels(target))
    sampled = point_sample(features, points, align_corners=align_corners)
    upsampled = F.interpolate(
        features, target, mode='bilinear', align_corners=align_corners
    )
    torch.testing.assert_close(sampled, upsampled.flatten(2), atol=1e-5, rtol=0)


def test_zero_padding_shrinks_samples_outside_the_outermost_centers():
    ones = torch.ones(1, 1, 4, 4)
    corner = torch.zeros(1, 1, 2)
    assert point_sample(ones, corner).item() == 1
    assert point_sample(ones, corner, padding_mode='zeros').item() == 0.25


def test_labels_at_the_far_edge_are_sampled_inside():
    labels = torch.full((1, 1, 64, 64), 7)
    edge = torch.tensor([[[1.0, 1.0], [0.0, 0.0], [1 - 2**-24, 0.5]]])
    assert point_sample(labels, edge, mode='nearest').eq(7).all()


@given(start=sizes, target=sizes, scale=st.floats(1.01, 5))
def test_subdivision_ends_exactly_at_the_target_and_grows_each_axis(
    start, target, scale
):
    steps = subdivision_sizes(start, target, scale)
    assert len(steps) == 0 if start == target else steps[-1] == target
    previous = start
    for step in steps:
        for n, before, goal in zip(step, previous, target, strict=True):
            assert n == goal or n == max(int(scale * before), before + 1) < goal
        previous = step


def test_subdivision_doubles_from_every_coarse_stride():
    assert subdivision_sizes((64, 128), (1024, 2048), 2) == [
        (128, 256),
        (256, 512),
        (512, 1024),
        (1024, 2048),
    ]
    assert subdivision_sizes((193, 193), (769, 769), 2) == [(386, 386), (769, 769)]
    assert subdivision_sizes((10, 90), (40, 80), 2) == [(20, 80), (40, 80)]


def test_default_number_of_points_is_the_stride_16_count():
    assert default_num_points((512, 1024)) == 2048
    assert default_num_points((360, 480)) == 23 * 30


def test_training_points_are_the_hardest_of_the_candidates_then_fresh_ones():
    logits = torch.randn(2, 4, 8, 8)
    torch.manual_seed(1)
    points = sample_training_points(
        logits,
        logit_margin,
        num_points=40,
        oversample_ratio=3,
        importance_sample_ratio=0.75,
    )
    torch.manual_seed(1)
    candidates, fresh = torch.rand(2, 120, 2), torch.rand(2, 10, 2)
    assert points.shape == (2, 40, 2)
    torch.testing.assert_close(points[:, 30:], fresh)
    margins = logit_margin(point_sample(logits, candidates))
    for image in range(2):
        chosen = {tuple(p) for p in points[image, :30].tolist()}
        hardest = candidates[image][margins[image].argsort(descending=True)[:30]]
        assert chosen == {tuple(p) for p in hardest.tolist()}


def test_training_points_gather_at_the_boundary_between_sure_pixels():
    logits = torch.full((1, 2, 16, 16), 5.0)
    logits[:, 0, :, :8] *= -1
    logits[:, 1, :, 8:] *= -1
    points = sample_training_points(
        logits,
        logit_margin,
        num_points=64,
        oversample_ratio=40,
        importance_sample_ratio=1,
    )
    assert (points[..., 0] - 0.5).abs().max() < 1 / 32


@pytest.mark.parametrize('align_corners', [False, True])
def test_training_points_avoid_padding(align_corners):
    logits = torch.randn(2, 3, 16, 16)
    paddings = [(0, 24, 0, 40), (0, 0, 0, 0)]
    regions = valid_regions(paddings, (64, 64), align_corners=align_corners)
    points = sample_training_points(
        logits,
        logit_margin,
        num_points=400,
        oversample_ratio=3,
        importance_sample_ratio=0.75,
        align_corners=align_corners,
        regions=regions,
    )
    pixel = points * 63 if align_corners else points * 64 - 0.5
    assert pixel[0, :, 0].max() <= 39.5
    assert pixel[0, :, 1].max() <= 23.5
    assert pixel[1].max() > 60
    assert points.min() >= 0
    assert points.max() <= 1


@pytest.mark.parametrize('align_corners', [False, True])
def test_valid_pixels_at_full_size_are_exactly_what_is_not_padding(align_corners):
    regions = valid_regions([(2, 5, 1, 7)], (32, 48), align_corners=align_corners)
    grid = Grid.of_frame((32, 48), align_corners)
    mask, most = valid_pixels(grid, regions, torch.device('cpu'))
    expected = torch.zeros(1, 32, 48, dtype=torch.bool)
    expected[:, 1:25, 2:43] = True
    assert mask.equal(expected)
    assert most == expected.sum()


def test_an_image_with_fewer_valid_pixels_than_another_takes_no_padding():
    uncertainty = torch.rand(2, 6, 6)
    valid = torch.zeros(2, 6, 6, dtype=torch.bool)
    valid[0, :2, :2] = True
    valid[1, :3] = True
    indices = hardest_pixels(uncertainty, 18, valid)
    assert indices.shape == (2, 18)
    assert set(indices[0].tolist()) == {0, 1, 6, 7}
    assert set(indices[1].tolist()) == set(range(18))


def test_hardest_pixels_are_the_largest_of_each_image():
    uncertainty = torch.randn(3, 9, 11)
    indices = hardest_pixels(uncertainty, 20)
    chosen = uncertainty.flatten(1).gather(1, indices)
    for image in range(3):
        left = set(range(99)) - set(indices[image].tolist())
        rest = uncertainty[image].flatten()[list(left)]
        assert chosen[image].min() >= rest.max()


def test_what_is_written_can_be_read_back_and_the_rest_stays():
    maps = torch.randn(2, 3, 5, 7)
    indices = torch.stack([torch.randperm(35)[:9] for _ in range(2)])
    values = torch.randn(2, 3, 9)
    written = write_points(maps, indices, values)
    with torch.no_grad():
        assert torch.equal(write_points(maps.clone(), indices, values), written)
    torch.testing.assert_close(read_points(written, indices), values)
    changed = (written != maps).any(dim=1).flatten(1)
    assert changed.sum(dim=1).tolist() == [9, 9]
