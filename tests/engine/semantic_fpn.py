"""detectron2's Semantic FPN PointRend as it is described, with its names of weights.

Written from what its layers compute, to compare converted checkpoints with.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

BLOCKS = 3, 4, 6, 3  # of ResNet-50
UP = dict(scale_factor=2, mode='bilinear', align_corners=False)


class FrozenNorm(nn.Module):
    """BatchNorm of fixed statistics, all of them buffers."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        for name in ('weight', 'bias', 'running_mean', 'running_var'):
            self.register_buffer(name, torch.rand(channels) + 0.5)

    def forward(self, x: Tensor) -> Tensor:
        scale = self.weight / (self.running_var + 1e-5).sqrt()
        shift = self.bias - self.running_mean * scale
        return x * scale[:, None, None] + shift[:, None, None]


class Conv(nn.Conv2d):
    """A convolution that holds its own normalisation."""

    def __init__(self, inside, outside, size, stride=1, norm=FrozenNorm):
        bias = norm is None
        super().__init__(inside, outside, size, stride, size // 2, bias=bias)
        self.norm = nn.Identity() if norm is None else norm(outside)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(super().forward(x))


class Bottleneck(nn.Module):
    """A residual block whose first convolution has the stride."""

    def __init__(self, inside, width, outside, stride):
        super().__init__()
        self.conv1 = Conv(inside, width, 1, stride)
        self.conv2 = Conv(width, width, 3)
        self.conv3 = Conv(width, outside, 1)
        self.shortcut = None
        if inside != outside:
            self.shortcut = Conv(inside, outside, 1, stride)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv3(self.conv2(self.conv1(x).relu()).relu())
        return (y + (x if self.shortcut is None else self.shortcut(x))).relu()


class BottomUp(nn.Module):
    """ResNet-50, its width divided by 8."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Module()
        self.stem.conv1 = Conv(3, 8, 7, 2)
        inside = 8
        for i, count in enumerate(BLOCKS):
            width, outside = 8 * 2**i, 32 * 2**i
            blocks = []
            for j in range(count):
                stride = 2 if i > 0 and j == 0 else 1
                blocks.append(Bottleneck(inside, width, outside, stride))
                inside = outside
            self.add_module(f'res{i + 2}', nn.Sequential(*blocks))

    def forward(self, x: Tensor) -> list[Tensor]:
        x = F.max_pool2d(self.stem.conv1(x).relu(), 3, 2, 1)
        maps = []
        for name in ('res2', 'res3', 'res4', 'res5'):
            x = getattr(self, name)(x)
            maps.append(x)
        return maps


class Pyramid(nn.Module):
    """FPN without normalisation: p2 to p5."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.bottom_up = BottomUp()
        for i in range(4):
            lateral = Conv(32 * 2**i, channels, 1, norm=None)
            self.add_module(f'fpn_lateral{i + 2}', lateral)
            output = Conv(channels, channels, 3, norm=None)
            self.add_module(f'fpn_output{i + 2}', output)

    def forward(self, x: Tensor) -> list[Tensor]:
        outputs: list[Tensor] = []
        above = None
        for i, bottom in reversed([*enumerate(self.bottom_up(x), start=2)]):
            inner = getattr(self, f'fpn_lateral{i}')(bottom)
            if above is not None:
                inner = inner + above.repeat_interleave(2, 2).repeat_interleave(2, 3)
            outputs.insert(0, getattr(self, f'fpn_output{i}')(inner))
            above = inner
        return outputs


class CoarseHead(nn.Module):
    """Brings every level to stride 4, adds them up and classifies."""

    def __init__(self, inside: int, channels: int, classes: int) -> None:
        super().__init__()
        for level, count in zip((2, 3, 4, 5), (1, 1, 2, 3), strict=True):
            layers: list[nn.Module] = []
            for j in range(count):
                before = channels if j else inside
                norm = Conv(before, channels, 3, norm=lambda c: nn.GroupNorm(32, c))
                norm.register_forward_hook(lambda _, __, y: y.relu())
                layers += [norm, nn.Upsample(**UP)][: 2 if level > 2 else 1]
            self.add_module(f'p{level}', nn.Sequential(*layers))
        self.predictor = Conv(channels, classes, 1, norm=None)

    def forward(self, maps: list[Tensor]) -> Tensor:
        total = sum(getattr(self, f'p{i}')(x) for i, x in enumerate(maps, start=2))
        return self.predictor(total)


class PointHead(nn.Module):
    """An MLP that is given the coarse prediction once, or in every layer."""

    def __init__(self, fine: int, classes: int, width: int, each_layer: bool) -> None:
        super().__init__()
        self.each_layer = each_layer
        again = classes if each_layer else 0
        self.fc1 = nn.Conv1d(fine + classes, width, 1)
        self.fc2 = nn.Conv1d(width + again, width, 1)
        self.fc3 = nn.Conv1d(width + again, width, 1)
        self.predictor = nn.Conv1d(width + again, classes, 1)

    def forward(self, fine: Tensor, coarse: Tensor) -> Tensor:
        x = torch.cat([fine, coarse], 1)
        for layer in (self.fc1, self.fc2, self.fc3):
            x = layer(x).relu()
            if self.each_layer:
                x = torch.cat([x, coarse], 1)
        return self.predictor(x)


class SemanticFPN(nn.Module):
    """The segmentor: BGR images, (N, 3, H, W), to logits of that size."""

    def __init__(self, classes=19, points=128, each_layer=False) -> None:
        super().__init__()
        self.points = points
        self.register_buffer(
            'pixel_mean', torch.tensor([103.53, 116.28, 123.675]).view(3, 1, 1)
        )
        self.register_buffer('pixel_std', torch.ones(3, 1, 1))
        self.backbone = Pyramid(16)
        self.sem_seg_head = nn.Module()
        self.sem_seg_head.coarse_sem_seg_head = CoarseHead(16, 32, classes)
        self.sem_seg_head.point_head = PointHead(16, classes, 32, each_layer)

    def forward(self, images: Tensor) -> Tensor:
        maps = self.backbone((images - self.pixel_mean) / self.pixel_std)
        coarse = self.sem_seg_head.coarse_sem_seg_head(maps)
        logits = coarse
        for _ in range(2):
            logits = F.interpolate(logits, **UP)
            first, second = logits.topk(2, 1)[0].unbind(1)
            hard = (second - first).flatten(1).topk(self.points)[1]
            height, width = logits.shape[2:]
            x = (hard % width + 0.5) / width
            y = (hard // width + 0.5) / height
            grid = 2 * torch.stack([x, y], 2)[:, :, None] - 1
            fine, seen = (
                F.grid_sample(one, grid, align_corners=False).squeeze(3)
                for one in (maps[0], coarse)
            )
            again = self.sem_seg_head.point_head(fine, seen)
            for image, indices, values in zip(logits, hard, again, strict=True):
                image.flatten(1)[:, indices] = values
        return logits
