"""Labels rendered without logits are those of the rendered logits."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils._python_dispatch import TorchDispatchMode

from mmseg_pointrend.models.view import View
from mmseg_pointrend.rendering.grids import (
    Grid,
    original_grid,
    subdivision_grids,
    subdivision_sizes,
    valid_regions,
)
from mmseg_pointrend.rendering.labels import decide, label_and_margin
from mmseg_pointrend.rendering.points import hardest_pixels
from mmseg_pointrend.rendering.resampling import resample, strips
from mmseg_pointrend.rendering.sampling import point_sample, read_features
from mmseg_pointrend.rendering.uncertainty import logit_margin
from tests.helpers import CopyFine, batch, coordinate_map, make_head, tiny_model


def smooth(channels, size, cell=4):
    """Logits with a few boundaries, as a trained model's."""
    noise = torch.randn(1, channels, -(-size[0] // cell) + 1, -(-size[1] // cell) + 1)
    return 5 * F.interpolate(noise, size, mode='bicubic', align_corners=True)


def too_close(values, wanted, scale):
    return (values - wanted).abs() < 2e-5 * scale


def exempt(logits, uncertainty, num_points, valid=None):
    """Pixels that rounding may label otherwise, or move in or out of the hardest."""
    scale = logits.abs().amax()
    margin = logit_margin(logits) if logits.shape[1] > 1 else logits.squeeze(1)
    hardness = uncertainty(logits)
    candidates = hardness if valid is None else hardness[valid].unsqueeze(0)
    least = candidates.flatten(1).topk(num_points, dim=1).values[:, -1:, None]
    return too_close(margin, 0, scale) | too_close(hardness, least, scale)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_labels_are_those_of_the_logits(data):
    draw = data.draw
    torch.manual_seed(draw(st.integers(0, 9999)))
    channels = draw(st.sampled_from([1, 2, 3, 19, 40]))
    start = draw(st.integers(1, 20)), draw(st.integers(1, 20))
    doubled = draw(st.booleans())
    size = tuple(
        n * 2 ** draw(st.integers(1, 3)) if doubled else draw(st.integers(n, 5 * n))
        for n in start
    )
    images = draw(st.integers(1, 2))
    make = draw(st.sampled_from([smooth, lambda c, s: torch.randn(1, c, *s)]))
    head = make_head(
        num_classes=max(channels, 2),
        out_channels=channels,
        align_corners=draw(st.booleans()),
        subdivision_num_points=draw(st.sampled_from([1, 7, 60, 10000])),
        coarse_from=draw(st.sampled_from(['current', 'initial'])),
        coarse_window=draw(st.sampled_from([1, 3])),
        uncertainty=draw(
            st.sampled_from(['logit_margin', 'probability_margin', 'entropy'])
        ),
        threshold=0.3 if channels == 1 else None,
    )
    coarse = torch.cat([make(channels, start) for _ in range(images)])
    dtype = draw(st.sampled_from([torch.float32, torch.bfloat16]))
    fine = torch.randn(images, 6, *start).to(dtype)
    regions = None
    if draw(st.booleans()) and min(size) > 4:
        padding = 0, draw(st.integers(0, 3)), 0, draw(st.integers(1, 3))
        regions = valid_regions(
            [padding] * images, size, align_corners=head.align_corners
        )

    with torch.no_grad():
        labels = head.render_labels([fine], coarse, head.steps(coarse, size, regions))
        logits = head.render([fine], coarse, head.steps(coarse, size, regions))
        wanted = decide(logits, head.threshold)
        steps = head.steps(coarse, size, regions)
        if not steps:
            assert torch.equal(labels, wanted)
            return
        before = head.renderer([fine], coarse).logits(coarse, steps[:-1])
        dense = resample(before, steps[-1].grid, align_corners=head.align_corners)
    scale = logits.abs().amax()
    sure = (
        ~too_close(logits.squeeze(1), torch.tensor(0.3).logit(), scale)
        if channels == 1
        else ~too_close(logit_margin(logits), 0, scale)
    )
    step = steps[-1]
    sure &= ~exempt(dense, head.uncertainty, step.num_points, step.valid)
    assert torch.equal(labels[sure], wanted[sure])
    assert labels.dtype == torch.int64
    assert labels.shape == (images, *size)


@pytest.mark.parametrize('channels', [2, 3, 19, 150])
def test_labels_and_margins_are_those_of_argmax_and_topk(channels):
    logits = torch.randn(2, channels, 9, 31).mul(2).round()  # with ties
    labels, margin = label_and_margin(logits, None)
    assert torch.equal(labels, logits.argmax(dim=1))
    largest = logits.topk(2, dim=1).values
    assert torch.equal(margin, largest[:, 1] - largest[:, 0])


@pytest.mark.parametrize('value', [torch.nan, torch.inf, -torch.inf, 3e38])
@pytest.mark.parametrize('everywhere', [False, True])
@pytest.mark.parametrize('channels', [1, 5])
def test_logits_that_are_not_finite_neither_hang_nor_crash(value, everywhere, channels):
    head = make_head(num_classes=5, out_channels=channels, subdivision_num_points=2000)
    coarse = torch.randn(1, channels, 16, 24)
    if everywhere:
        coarse[:] = value
        coarse[:, ::2] *= -1
    else:
        coarse[0, 0, 3:6, 4:9] = value
    labels = head.render_labels(
        [torch.randn(1, 6, 16, 24)], coarse, head.steps(coarse, (64, 96))
    )
    assert labels.shape == (1, 64, 96)
    assert labels.min() >= 0
    assert labels.max() < 5


class LargestTensor(TorchDispatchMode):
    """Remembers the largest tensor that an operator returned."""

    def __init__(self):
        super().__init__()
        self.numel = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        if isinstance(result, torch.Tensor):
            self.numel = max(self.numel, result.untyped_storage().nbytes() // 4)
        return result


@pytest.mark.parametrize('make', [smooth, lambda c, s: torch.randn(1, c, *s)])
def test_the_logits_of_the_last_step_are_never_allocated(make):
    head = make_head(num_classes=19, subdivision_num_points=1000)
    coarse, fine = make(19, (64, 128)), torch.randn(1, 6, 64, 128)
    last = 19 * 256 * 512
    with LargestTensor() as largest:
        head.render_labels([fine], coarse, head.steps(coarse, (256, 512)))
    assert largest.numel <= 1.01 * last / 2
    with LargestTensor() as largest:
        head.render([fine], coarse, head.steps(coarse, (256, 512)))
    assert largest.numel >= last


@pytest.mark.parametrize(
    ('start', 'size', 'align_corners'),
    [((9, 1023), (20, 2049), False), ((7, 500), (19, 1333), False),
     ((5, 385), (9, 769), True), ((8, 300), (16, 600), False)],
)  # fmt: skip
def test_strips_are_the_interpolated_map(start, size, align_corners):
    maps = torch.randn(2, 3, *start)
    grid = Grid.of_frame(size, align_corners)
    whole = torch.full((2, 3, *size), torch.nan)
    for rows, columns, piece in strips(maps, grid, align_corners=align_corners):
        whole[:, :, rows, columns] = piece
    wanted = resample(maps, grid, align_corners=align_corners)
    atol = 1e-5 * maps.abs().max().item()
    torch.testing.assert_close(whole, wanted, atol=atol, rtol=0)


def test_a_small_image_in_a_large_frame_needs_no_large_maps():
    grid = original_grid((64, 96), (0, 90, 0, 60), (50, 70), False)
    grids = subdivision_grids((16, 24), grid, 2, False)
    assert grids[-1] == grid
    assert all(g.size[0] * g.size[1] <= 50 * 70 for g in grids)
    one_row = original_grid((64, 96), (0, 0, 0, 63), (50, 70), True)
    assert subdivision_grids((16, 24), one_row, 2, True)[-1] == one_row


@pytest.mark.parametrize('channels_last', [False, True])
@pytest.mark.parametrize('padding_mode', ['border', 'zeros'])
@pytest.mark.parametrize('align_corners', [False, True])
@pytest.mark.parametrize('grad', [False, True])
@pytest.mark.parametrize('dtype', [torch.float32, torch.bfloat16, torch.float64])
def test_reading_features_is_sampling(
    channels_last, padding_mode, align_corners, grad, dtype
):
    features = torch.randn(2, 40, 9, 14, dtype=dtype)
    if channels_last:
        features = features.contiguous(memory_format=torch.channels_last)
    points = torch.rand(2, 50, 2) * 1.1 - 0.05
    options = dict(padding_mode=padding_mode, align_corners=align_corners)
    with torch.set_grad_enabled(grad):
        values = read_features(features, points, **options)
    wanted = point_sample(features, points, **options)
    assert values.dtype == wanted.dtype
    torch.testing.assert_close(values, wanted, atol=1e-5, rtol=1e-5)


def test_many_pixels_are_selected_as_by_a_full_sort():
    uncertainty = torch.randn(2, 200, 300)
    indices = hardest_pixels(uncertainty, 500)
    wanted = uncertainty.flatten(1).topk(500, dim=1).indices.sort(dim=1).values
    assert torch.equal(indices, wanted)
    assert torch.equal(indices, hardest_pixels(uncertainty, 500))
    same = torch.zeros(1, 200, 300)
    assert len(hardest_pixels(same, 500).unique()) == 500
    same[:, 10:] = torch.nan
    assert len(hardest_pixels(same, 500).unique()) == 500


@pytest.mark.parametrize('align_corners', [False, True])
@pytest.mark.parametrize('original', [(50, 70), (30, 45), (200, 333), (12, 11)])
@torch.no_grad()
def test_pixels_of_a_resized_image_land_where_they_belong(original, align_corners):
    padded, padding = (64, 96), (2, 4, 1, 3)
    height, width = 60, 90
    grid = original_grid(padded, padding, original, align_corners)
    head = make_head(
        num_classes=2,
        in_channels=[2],
        align_corners=align_corners,
        subdivision_num_points=original[0] * original[1],
    )
    head.mlp = CopyFine()
    features = coordinate_map((16, 24), align_corners)
    rendered = head.render(
        [features],
        torch.randn(1, 2, 16, 24),
        head.steps(torch.randn(1, 2, 16, 24), grid),
    )[0]
    low, high = features[0, :, 0, 0], features[0, :, -1, -1]
    for axis, count, start, length, frame in (
        (0, original[1], 2, width, 96),
        (1, original[0], 1, height, 64),
    ):
        pixels = torch.arange(count)
        if align_corners:
            places = (start + pixels * (length - 1) / (count - 1)) / (frame - 1)
        else:
            places = (start + (pixels + 0.5) * length / count) / frame
        places = places.clamp(low[axis], high[axis])
        wanted = places.view((1, -1) if axis == 0 else (-1, 1)).expand(original)
        torch.testing.assert_close(rendered[axis], wanted, atol=1e-5, rtol=0)


@pytest.mark.parametrize('padding', [(0, 0, 0, 0), [2, 4, 1, 3]])
@pytest.mark.parametrize('original', [(60, 90), (64, 96), (50, 70), (130, 200)])
@pytest.mark.parametrize('flip', [None, 'horizontal', 'vertical'])
@torch.no_grad()
def test_views_are_undone(original, flip, padding):
    model = tiny_model(subdivision_num_points=0)
    inputs, samples = batch(
        (64, 96),
        images=1,
        ori_shape=(*original, 3),
        flip=bool(flip),
        flip_direction=flip,
        img_padding_size=padding,
    )
    labels = model.predict(inputs, samples)[0].pred_sem_seg.data
    # Without points, rendering is a chain of interpolations.
    wanted = model.decode(*model.extract(inputs))[1][-1]
    left, right, top, bottom = padding
    height, width = 64 - top - bottom, 96 - left - right
    if original == (height, width):
        for size in ((32, 48), (64, 96)):
            wanted = F.interpolate(wanted, size, mode='bilinear')
        wanted = wanted[..., top : 64 - bottom, left : 96 - right]
    else:
        dense = original[0] * 64 / height, original[1] * 96 / width
        full = round(dense[0]), round(dense[1])
        for size in subdivision_sizes((16, 24), full, 2)[:-1]:
            wanted = F.interpolate(wanted, size, mode='bilinear')
        y = (top + (torch.arange(original[0]) + 0.5) * height / original[0]) / 64
        x = (left + (torch.arange(original[1]) + 0.5) * width / original[1]) / 96
        grid = torch.stack(torch.meshgrid(x, y, indexing='xy'), dim=2).unsqueeze(0)
        wanted = F.grid_sample(
            wanted, 2 * grid - 1, padding_mode='border', align_corners=False
        )
    if flip:
        wanted = wanted.flip(3 if flip == 'horizontal' else 2)
    sure = logit_margin(wanted) < -1e-4
    assert labels.shape == (1, *original)
    assert torch.equal(labels[sure], wanted.argmax(dim=1)[sure])


@torch.no_grad()
def test_images_of_several_sizes_are_rendered_one_by_one():
    model = tiny_model()
    inputs, samples = batch((64, 96), images=3)
    for sample, size in zip(samples, [(64, 96), (50, 70), (128, 192)], strict=True):
        sample.set_metainfo(dict(ori_shape=size))
    together = [result.pred_sem_seg.data for result in model.predict(inputs, samples)]
    for i, labels in enumerate(together):
        assert labels.shape == (1, *samples[i].ori_shape)
        alone = model.predict(inputs[i : i + 1], samples[i : i + 1])[0]
        assert (labels == alone.pred_sem_seg.data).float().mean() > 0.999


@torch.no_grad()
def test_labels_do_not_depend_on_whether_logits_are_returned():
    model = tiny_model()
    for original in ((64, 96), (50, 70)):
        inputs, samples = batch((64, 96), images=1, ori_shape=original)
        labels = model.predict(inputs, samples)[0].pred_sem_seg.data
        result = model.predict(inputs, samples, return_logits=True)[0]
        sure = logit_margin(result.seg_logits.data[None]) < -1e-4
        assert torch.equal(labels[sure], result.pred_sem_seg.data[sure])
        assert result.seg_logits.data.shape == (5, *original)


def test_a_view_without_flip_direction_is_refused():
    with pytest.raises(ValueError, match=r"flip_direction='diagonal' of a\.png cannot"):
        View.of(dict(flip=True, flip_direction='diagonal', img_path='a.png'), (4, 4))


def test_padding_takes_no_points_when_labels_are_rendered():
    head = make_head(num_classes=2, in_channels=[2], subdivision_num_points=10**6)
    head.mlp = CopyFine()
    fine = torch.tensor([0.0, 1.0]).view(1, 2, 1, 1).expand(1, 2, 16, 24)
    coarse = torch.tensor([1.0, 0.0]).view(1, 2, 1, 1).expand(1, 2, 16, 24)
    regions = valid_regions([(8, 16, 4, 12)], (64, 96), align_corners=False)
    labels = head.render_labels(
        [fine], coarse.contiguous(), head.steps(coarse.contiguous(), (64, 96), regions)
    )
    wanted = torch.zeros(1, 64, 96, dtype=torch.int64)
    wanted[:, 4:52, 8:80] = 1
    assert torch.equal(labels, wanted)


@torch.no_grad()
def test_a_channels_last_model_predicts_the_same():
    model = tiny_model()
    inputs, samples = batch((64, 96))
    logits = model(inputs)
    labels = [result.pred_sem_seg.data for result in model.predict(inputs, samples)]
    model = model.to(memory_format=torch.channels_last)
    inputs = inputs.contiguous(memory_format=torch.channels_last)
    fine, [coarse] = model.decode(*model.extract(inputs))
    assert fine[0].is_contiguous(memory_format=torch.channels_last)
    assert coarse.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(model(inputs), logits, atol=1e-3, rtol=1e-3)
    for result, wanted in zip(model.predict(inputs, samples), labels, strict=True):
        assert (result.pred_sem_seg.data == wanted).float().mean() > 0.999


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
@pytest.mark.parametrize('pure', [False, True])
@torch.no_grad()
def test_low_precision_keeps_the_labels(dtype, pure):
    head = make_head(subdivision_num_points=300)
    coarse, fine = smooth(4, (32, 48)), torch.randn(1, 6, 32, 48)
    wanted = head.render_labels([fine], coarse, head.steps(coarse, (128, 192)))
    if pure:
        head, fine = head.to(dtype), fine.to(dtype)
    with torch.autocast('cpu', dtype, enabled=not pure):
        labels = head.render_labels([fine], coarse, head.steps(coarse, (128, 192)))
        logits = head.render([fine], coarse, head.steps(coarse, (128, 192)))
    assert logits.dtype == torch.float32
    assert (labels == wanted).float().mean() >= 0.999
    assert (labels == logits.argmax(dim=1)).float().mean() >= 0.999
