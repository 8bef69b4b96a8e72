"""SFNet's neck: a feature pyramid whose upsampling follows a learned flow."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from mmcv.cnn import ConvModule
from mmengine.model import BaseModule
from mmseg.models.decode_heads.psp_head import PPM
from mmseg.registry import MODELS
from torch import Tensor, nn
from torch.nn.functional import interpolate

from mmseg_pointrend.errors import InputError, check_arguments
from mmseg_pointrend.models.checks import is_channel_list
from mmseg_pointrend.rendering.grids import Grid, Size, map_size
from mmseg_pointrend.rendering.sampling import point_sample

DROPOUT = 0.1
"""Of whole channels after the pyramid pooling, as published."""


@MODELS.register_module()
class SemanticFlowFPN(BaseModule):
    """Pyramid pooling, then a top-down path of flow alignment modules.

    Li et al., `Semantic Flow for Fast and Accurate Scene Parsing
    <https://arxiv.org/abs/2002.10120>`_, ECCV 2020, section 3. ``FCNHead`` on the last
    map is SFNet's classifier, and ``FCNHead`` on the levels are its auxiliary heads::

        neck=dict(type='SemanticFlowFPN', in_channels=[64, 128, 256, 512], channels=128)
        decode_head=dict(type='FCNHead', in_channels=512, in_index=4, channels=128, ...)

    Zero flow is bilinear resizing, with either ``align_corners``.

    Args:
        in_channels: of the backbone's maps, finest first.
        channels: C, of every level.
        pool_scales: sizes of the pooled maps of the pyramid pooling.
        flow: whether upsampling follows the flow (False: an FPN of bilinear resizing).
        align_corners: of every resizing here; give the heads the same.
        norm_cfg: config of the normalisation.
        init_cfg: initialisation, in MMEngine's form.

    Raises:
        InputError: ``in_channels``, ``channels`` or ``pool_scales`` is no such value.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        channels: int,
        pool_scales: Sequence[int] = (1, 2, 3, 6),
        flow: bool = True,
        align_corners: bool = False,
        norm_cfg: dict[str, Any] | None = None,
        init_cfg: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(init_cfg)
        check_arguments(
            (
                (is_channel_list(in_channels) and len(in_channels) > 1,
                 f'{in_channels=}', 'the channels of two or more maps, finest first'),
                (type(channels) is int and channels > 1 and channels % 2 == 0,
                 f'{channels=}', 'an even number'),
                (is_channel_list(pool_scales), f'{pool_scales=}',
                 'a list of positive integers'),
            ),
            'SemanticFlowFPN.',
        )  # fmt: skip
        self.in_channels, self.align_corners = list(in_channels), align_corners
        keys = dict(norm_cfg=norm_cfg or dict(type='BN'))
        *fine, top = in_channels
        self.pool = PPM(
            pool_scales, top, channels, None, keys['norm_cfg'], None, align_corners
        )
        pooled = top + len(pool_scales) * channels
        self.bottleneck = nn.Sequential(
            ConvModule(pooled, channels, 1, **keys), nn.Dropout2d(DROPOUT)
        )
        self.laterals = nn.ModuleList(
            ConvModule(count, channels, 1, **keys) for count in fine
        )
        self.smooth = nn.ModuleList(
            ConvModule(channels, channels, 3, padding=1, **keys) for _ in fine
        )
        self.align = nn.ModuleList(
            FlowAlignment(channels, align_corners) for _ in fine if flow
        )

    def forward(self, maps: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Build the pyramid.

        Args:
            maps: of the backbone, (N, in_channels[i], H_i, W_i), finest first; those
                that come after them are for a point head.

        Returns:
            A level for each map, (N, C, H_i, W_i), the last of pyramid pooling; and all
            levels at the finest size, stacked, (N, C · levels, H_0, W_0).

        Raises:
            InputError: there are other maps than ``in_channels`` says.
        """
        maps = maps[: len(self.in_channels)]
        given = [one.shape[1] for one in maps]
        if given != self.in_channels:
            raise InputError(
                f'neck.in_channels={self.in_channels} but the backbone gives maps of '
                f'{given} channels: set in_channels={given}.'
            )
        *fine, top = maps
        level = self.bottleneck(torch.cat([*self.pool(top), top], dim=1))
        levels, smooth = [level], [level]
        for i in reversed(range(len(fine))):
            lateral = self.laterals[i](fine[i])
            if self.align:
                level = lateral + self.align[i](lateral, level)
            else:
                level = lateral + self.resized(level, map_size(lateral))
            levels.insert(0, level)
            smooth.insert(0, self.smooth[i](level))
        size = map_size(smooth[0])
        stack = [smooth[0], *(self.resized(one, size) for one in smooth[1:])]
        return *levels, torch.cat(stack, dim=1)

    def resized(self, level: Tensor, size: Size) -> Tensor:
        """Resize a map to (H, W)."""
        return interpolate(level, size, None, 'bilinear', self.align_corners)


class FlowAlignment(nn.Module):
    """Upsample a coarse map along a flow that both maps predict (FAM, equations 3-5).

    A flow of (u, v) reads u / 2 pixels of the fine map to the right and v / 2 below; as
    published, it is divided by the size of that map in coordinates that span 2.

    Args:
        channels: of both maps.
        align_corners: as in :func:`torch.nn.functional.interpolate`.
    """

    def __init__(self, channels: int, align_corners: bool) -> None:
        super().__init__()
        self.align_corners = align_corners
        self.fine = nn.Conv2d(channels, channels // 2, 1, bias=False)
        self.coarse = nn.Conv2d(channels, channels // 2, 1, bias=False)
        self.flow = nn.Conv2d(channels, 2, 3, padding=1, bias=False)

    def forward(self, fine: Tensor, coarse: Tensor) -> Tensor:
        """(N, C, H, W) and (N, C, h, w) to (N, C, H, W), in the type of the coarse."""
        upsampled = interpolate(
            self.coarse(coarse), map_size(fine), None, 'bilinear', self.align_corners
        )
        flow = self.flow(torch.cat([upsampled, self.fine(fine)], dim=1))
        return warp(coarse, flow, self.align_corners)


def warp(coarse: Tensor, flow: Tensor, align_corners: bool) -> Tensor:
    """Read a coarse map at every pixel of a finer one, moved by a flow.

    Coordinates and interpolation are float32 under autocast too; outside of the map its
    border goes on.

    Args:
        coarse: (N, C, h, w).
        flow: (u, v) of each pixel, (N, 2, H, W), in half pixels of the finer map.
        align_corners: as in :func:`torch.nn.functional.interpolate`.

    Returns:
        (N, C, H, W), in the type of ``coarse``.
    """
    height, width = map_size(flow)
    indices = torch.arange(height * width, device=flow.device)[None]
    centers = Grid.of_frame((height, width), align_corners).points(indices)
    u, v = flow.float().flatten(2).unbind(1)
    points = centers + torch.stack((u / (2 * width), v / (2 * height)), dim=2)
    moved = point_sample(coarse, points, align_corners=align_corners)
    return moved.unflatten(2, (height, width)).to(coarse.dtype)
