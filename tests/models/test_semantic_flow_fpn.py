from __future__ import annotations

import pytest
import torch
from mmseg.registry import MODELS
from torch.nn.functional import grid_sample, interpolate

from mmseg_pointrend.errors import InputError
from mmseg_pointrend.models import SemanticFlowFPN
from mmseg_pointrend.models.semantic_flow_fpn import warp

SIZES = (37, 53), (19, 27), (10, 14), (5, 7)
CHANNELS = [8, 16, 24, 32]


def maps() -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [
        torch.randn(2, channels, *size, generator=generator)
        for channels, size in zip(CHANNELS, SIZES, strict=True)
    ]


def neck(**keys) -> SemanticFlowFPN:
    torch.manual_seed(0)
    cfg = dict(type='SemanticFlowFPN', in_channels=CHANNELS, channels=6, **keys)
    return MODELS.build(cfg).eval()


@pytest.mark.parametrize('align_corners', [False, True])
@pytest.mark.parametrize('size', [(10, 14), (37, 53), (3, 4), (1, 9), (5, 7)])
def test_zero_flow_is_bilinear_resizing(size, align_corners):
    coarse, flow = torch.randn(2, 3, 5, 7), torch.zeros(2, 2, *size)
    wanted = interpolate(coarse, size, None, 'bilinear', align_corners)
    moved = warp(coarse, flow, align_corners)
    torch.testing.assert_close(moved, wanted, atol=1e-5, rtol=0)


@pytest.mark.parametrize('align_corners', [False, True])
@torch.no_grad()
def test_without_flow_the_neck_is_the_one_with_zero_flow(align_corners):
    with_flow = neck(align_corners=align_corners)
    without = neck(align_corners=align_corners, flow=False)
    missing = with_flow.load_state_dict(without.state_dict(), strict=False)
    assert {name.split('.')[0] for name in missing.missing_keys} == {'align'}
    assert not torch.allclose(with_flow(maps())[-1], without(maps())[-1], atol=1e-3)
    for one in with_flow.align:
        torch.nn.init.zeros_(one.flow.weight)
    for ours, wanted in zip(with_flow(maps()), without(maps()), strict=True):
        torch.testing.assert_close(ours, wanted, atol=1e-4, rtol=0)


def test_a_flow_of_two_reads_one_pixel_to_the_right_and_the_border_goes_on():
    image = torch.randn(1, 3, 6, 8)
    flow = torch.tensor([2.0, 0.0]).view(1, 2, 1, 1).expand(1, 2, 6, 8)
    wanted = torch.cat([image[..., 1:], image[..., -1:]], dim=3)
    torch.testing.assert_close(warp(image, flow, False), wanted, atol=1e-5, rtol=0)
    down = warp(image, flow.flip(1), False)
    wanted = torch.cat([image[:, :, 1:], image[:, :, -1:]], dim=2)
    torch.testing.assert_close(down, wanted, atol=1e-5, rtol=0)


def test_inside_of_the_map_the_flow_is_that_of_the_published_code():
    """Which samples with align_corners, and divides by the size of the output."""
    coarse, flow = torch.randn(1, 3, 9, 12), torch.randn(1, 2, 18, 24)
    y, x = torch.meshgrid(
        torch.linspace(-1, 1, 18), torch.linspace(-1, 1, 24), indexing='ij'
    )
    shift = flow.permute(0, 2, 3, 1) / torch.tensor([24, 18])
    wanted = grid_sample(coarse, torch.stack((x, y), 2) + shift, align_corners=True)
    ours = warp(coarse, flow, True)
    torch.testing.assert_close(
        ours[..., 2:-2, 2:-2], wanted[..., 2:-2, 2:-2], atol=1e-5, rtol=0
    )


def test_under_autocast_the_grid_stays_exact():
    """Half a pixel of 2048 is below what bfloat16 tells apart near 1."""
    coarse = torch.arange(512.0).expand(1, 1, 4, 512)
    flow = torch.zeros(1, 2, 8, 2048).bfloat16()
    wanted = warp(coarse, flow.float(), False)
    with torch.autocast('cpu', torch.bfloat16):
        ours = warp(coarse, flow, False)
    assert ours.equal(wanted)
    with torch.autocast('cpu', torch.bfloat16):
        levels = neck()(maps())
        coarse = torch.randn(1, 6, 3, 4).bfloat16()
        assert neck().align[0](torch.randn(1, 6, 6, 8), coarse).dtype == coarse.dtype
    torch.testing.assert_close(levels[-1].float(), neck()(maps())[-1], atol=0.2, rtol=0)


@torch.no_grad()
def test_levels_have_the_sizes_of_the_maps_and_the_stack_the_finest():
    *levels, stack = neck()(maps())
    assert [level.shape for level in levels] == [(2, 6, *size) for size in SIZES]
    assert stack.shape == (2, 24, *SIZES[0])
    extra = neck()([*maps(), torch.randn(2, 5, 74, 106)])  # of stride 2, for points
    assert extra[-1].equal(stack)


def test_the_flow_learns():
    model = neck().train()
    before = [one.clone() for one in maps()]
    inputs = maps()
    model(inputs)[-1].square().mean().backward()
    flows = [one.flow for one in model.align]
    assert all(flow.weight.grad.abs().sum() > 0 for flow in flows)
    assert all(map(torch.equal, inputs, before))  # a point head reads them too


@pytest.mark.parametrize(
    ('keys', 'sentence'),
    [
        (dict(in_channels=[8]), r'in_channels=\[8\]: give the channels of two or more'),
        (dict(in_channels=64), 'in_channels=64: give the channels of two or more'),
        (dict(channels=7), 'channels=7: give an even number'),
        (dict(pool_scales=(0, 1)), r'pool_scales=\(0, 1\): give a list of positive'),
    ],
)
def test_what_the_neck_cannot_be_built_from_is_named(keys, sentence):
    cfg = dict(type='SemanticFlowFPN', in_channels=CHANNELS, channels=6)
    with pytest.raises(InputError, match=r'^SemanticFlowFPN\.' + sentence):
        MODELS.build(cfg | keys)


def test_maps_that_do_not_fit_the_neck_are_named():
    wrong = [maps()[0], *maps()[:3]]
    with pytest.raises(InputError, match=r'gives maps of \[8, 8, 16, 24\] .*: set in_'):
        neck()(wrong)
