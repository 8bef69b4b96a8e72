"""CascadePSP: one network that refines a mask of anything, three times over."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from mmengine.model import BaseModel
from mmengine.structures import PixelData
from mmseg.models.backbones import ResNet
from mmseg.registry import MODELS
from mmseg.utils import OptSampleList, SampleList
from torch import Tensor, nn

from mmseg_pointrend.errors import InputError, check_arguments
from mmseg_pointrend.models.checks import is_channel_list
from mmseg_pointrend.rendering.grids import Size, map_size

STRIDES = 8, 4, 1
"""Of the outputs, coarsest first: s8, s4, s1."""
MASKS = 3
"""Channels of the input that are masks: the given one, and two of earlier passes."""
WEIGHTS = {8: (1, 0, 0), 4: (0.5, 0.25, 0.25), 1: (0, 1, 1)}
"""Of cross-entropy, L1 and L2, by stride (section 3.3)."""
GRADIENT_WEIGHT = 5
"""Of the L1 of Sobel gradients, at stride 1 alone."""
HIDDEN = 32
"""Channels between a feature map and its output."""


@MODELS.register_module()
class CascadePSP(BaseModel):
    """Refinement of masks, class-agnostic, in a cascade of one network.

    Cheng et al., `CascadePSP: Toward Class-Agnostic and Very High-Resolution
    Segmentation via Global and Local Refinement <https://arxiv.org/abs/2005.02551>`_,
    CVPR 2020, section 3. With the backbone of ``_base_/refiners/cascadepsp_r50.py`` the
    names and shapes of the weights are those of the authors' published ones.

    A mask is 1 inside and -1 outside. Images are RGB, normalised as for ImageNet.

    Args:
        backbone: config of MMSegmentation's ``ResNet``; it gets six input channels,
            and the weights of the three masks start at zero.
        channels: of the pyramid pooling, and after upsampling to stride 4, 2 and 1.
        pool_scales: sizes of the pooled maps.
        data_preprocessor: config; the images' normalisation.
        init_cfg: initialisation, in MMEngine's form.

    Raises:
        InputError: ``channels`` or ``pool_scales`` is no such list, or the backbone has
            another stem, or another output stride than 8.
    """

    def __init__(
        self,
        backbone: dict[str, Any],
        channels: Sequence[int] = (1024, 512, 256, 32),
        pool_scales: Sequence[int] = (1, 2, 3, 6),
        data_preprocessor: dict[str, Any] | None = None,
        init_cfg: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(data_preprocessor, init_cfg)
        check_arguments(
            (
                (is_channel_list(channels) and len(channels) == 4,
                 f'{channels=}', 'four positive integers'),
                (is_channel_list(pool_scales), f'{pool_scales=}',
                 'a list of positive integers'),
            ),
            'CascadePSP.',
        )  # fmt: skip
        self.feats: ResNet = MODELS.build({**backbone, 'in_channels': 3 + MASKS})
        strides, deep = self.feats.strides, self.feats.deep_stem
        check_arguments(
            (
                (not deep, f'{type(self.feats).__name__}', 'ResNet, with one stem'),
                (strides[0] == 1 and math.prod(strides) == 2, f'{strides=}',
                 'an output stride of 8, such as (1, 2, 1, 1), and dilations'),
            ),
            'CascadePSP.backbone: ',
        )  # fmt: skip
        self.feats.conv1.register_load_state_dict_pre_hook(add_mask_channels)
        # What merges BatchNorm into the convolution before it must not find this one:
        # the map between them is a skip.
        self.feats.register_module('conv1', self.feats._modules.pop('conv1'))
        top, after_4, after_2, after_1 = channels
        self.psp = PyramidPooling(self.feats.feat_dim, top, pool_scales)
        finest = self.feats.base_channels * self.feats.block.expansion
        self.up_1 = Upsampling(top, finest, after_4)
        self.up_2 = Upsampling(after_4, self.feats.stem_channels, after_2)
        self.up_3 = Upsampling(after_2, 3, after_1)
        self.final_28, self.final_56 = (
            nn.Sequential(
                nn.Conv2d(count, HIDDEN, 1),
                nn.ReLU(inplace=True),
                nn.Conv2d(HIDDEN, 1, 1),
            )
            for count in (top, after_4)
        )
        self.final_11 = nn.Conv2d(after_1 + 3, HIDDEN, 1)
        self.final_21 = nn.Conv2d(HIDDEN, 1, 1)

    def init_weights(self) -> None:
        """Initialise; weights of masks that no checkpoint gave become zero."""
        super().init_weights()
        cfgs = (self.init_cfg, self.feats.init_cfg)
        if 'Pretrained' not in str(cfgs):
            nn.init.zeros_(self.feats.conv1.weight[:, 3:])

    def extract(self, inputs: Tensor) -> list[Tensor]:
        """Run the backbone: maps of stride 2 (before BatchNorm), 4, and 8."""
        first = self.feats.conv1(inputs)
        x = self.feats.maxpool(self.feats.relu(self.feats.norm1(first)))
        second = x = self.feats.layer1(x)
        for name in self.feats.res_layers[1:]:
            x = getattr(self.feats, name)(x)
        return [first, second, x]

    def one_pass(
        self, images: Tensor, masks: Sequence[Tensor], count: int
    ) -> list[Tensor]:
        """Run the network once, as far as its outputs are wanted.

        Args:
            images: (N, 3, H, W); H and W are multiples of 8.
            masks: three, (N, 1, H, W) each.
            count: how many outputs.

        Returns:
            Logits of s8, then s4, then s1, (N, 1, H, W) each.
        """
        stride_2, stride_4, top = self.extract(torch.cat([images, *masks], dim=1))
        x = self.psp(top)
        outputs = [self.final_28(x)]
        if count > 1:
            x = self.up_1(x, stride_4)
            outputs.append(self.final_56(x))
        if count > 2:
            x = self.up_3(self.up_2(x, stride_2), images)
            x = F.relu(self.final_11(torch.cat([x, images], dim=1)))
            outputs.append(self.final_21(x))
        size = map_size(images)
        return [resized(one, size) for one in outputs]

    def cascade(
        self, images: Tensor, mask: Tensor, s8: Tensor | None = None
    ) -> list[list[Tensor]]:
        """Run the three passes (figure 3), each on what the one before made.

        Args:
            images: (N, 3, H, W); H and W are multiples of 8.
            mask: (N, 1, H, W), -1 to 1.
            s8: what the first pass would make, -1 to 1, which is then left out.

        Returns:
            The outputs of each pass, as of :meth:`one_pass`.
        """
        passes = []
        if s8 is None:
            passes.append(self.one_pass(images, [mask, mask, mask], 1))
            s8 = passes[-1][0].tanh()
        passes.append(self.one_pass(images, [mask, s8, s8], 2))
        s8, s4 = (one.tanh() for one in passes[-1])
        passes.append(self.one_pass(images, [mask, s8, s4], 3))
        return passes

    def forward(
        self, inputs: Tensor, data_samples: OptSampleList = None, mode: str = 'tensor'
    ) -> Any:
        """Refine the ``coarse_mask`` of each sample.

        Args:
            inputs: (N, 3, H, W), normalised; H and W are multiples of 8.
            data_samples: N with ``coarse_mask`` (1, H, W), 0 or 1, and for losses with
                ``gt_sem_seg`` (1, H, W), 0, 1, or 255 where nothing is known.
            mode: ``'loss'``, ``'predict'`` or ``'tensor'``.

        Returns:
            Losses; the samples with ``pred_sem_seg``; or logits (N, 1, H, W).
        """
        if not data_samples or 'coarse_mask' not in data_samples[0]:
            raise InputError(
                'CascadePSP refines a mask: give samples with a coarse_mask, or use it '
                "as model.refiner of a 'RefinedSegmentor'."
            )
        coarse = torch.stack([one.coarse_mask.data for one in data_samples])
        passes = self.cascade(inputs, 2 * coarse.to(inputs) - 1)
        if mode == 'loss':
            return self.losses(passes, coarse, data_samples)
        refined = passes[-1][-1]
        if mode == 'tensor':
            return refined
        for sample, one in zip(data_samples, refined, strict=True):
            sample.pred_sem_seg = PixelData(data=(one > 0).long())
        return data_samples

    def losses(
        self, passes: Sequence[Sequence[Tensor]], coarse: Tensor, samples: SampleList
    ) -> dict[str, Tensor]:
        """Compare every output with the truth where it is known (section 3.3).

        Args:
            passes: of :meth:`cascade`.
            coarse: the given masks, (N, 1, H, W), 0 or 1.
            samples: with ``gt_sem_seg``.

        Returns:
            ``loss_s8_1`` and so on, by stride and pass; ``loss_gradient``; and the IoU
            of the given and of the refined masks.
        """
        labels = torch.stack([one.gt_sem_seg.data for one in samples])
        known = (labels != 255).float()
        truth = (labels == 1).float()
        losses: dict[str, Tensor] = {}
        for number, outputs in enumerate(passes, start=1):
            for stride, logits in zip(STRIDES, outputs, strict=False):
                error = logits.float().sigmoid() - truth
                terms = (
                    F.binary_cross_entropy_with_logits(
                        logits.float(), truth, reduction='none'
                    ),
                    error.abs(),
                    error.square(),
                )
                weighted = zip(WEIGHTS[stride], terms, strict=True)
                parts = [weight * mean(term, known) for weight, term in weighted]
                losses[f'loss_s{stride}_{number}'] = torch.stack(parts).sum()
        refined = passes[-1][-1].float().sigmoid()
        losses['loss_gradient'] = GRADIENT_WEIGHT * gradient_loss(refined, truth, known)
        for name, mask in (('coarse', coarse), ('refined', refined)):
            inside = known * (mask > 0.5)
            union = (known * truth).maximum(inside).sum()
            losses[f'iou_{name}'] = 100 * (truth * inside).sum() / union.clamp(min=1)
        return losses


class PyramidPooling(nn.Module):
    """Pooled maps of several sizes beside the map itself, without normalisation.

    Args:
        in_channels: of the map.
        out_channels: of the result.
        scales: sizes of the pooled maps.
    """

    def __init__(
        self, in_channels: int, out_channels: int, scales: Sequence[int]
    ) -> None:
        super().__init__()
        self.stages = nn.ModuleList(
            nn.Sequential(
                nn.AdaptiveAvgPool2d(scale),
                nn.Conv2d(in_channels, in_channels, 1, bias=False),
            )
            for scale in scales
        )
        self.bottleneck = nn.Conv2d(in_channels * (len(scales) + 1), out_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(N, in_channels, h, w) to (N, out_channels, h, w)."""
        size = map_size(x)
        pooled = (resized(one(x), size) for one in self.stages)
        return F.relu(self.bottleneck(torch.cat([*pooled, x], dim=1)))


class Upsampling(nn.Module):
    """Upsample by two beside a skip, and two residual blocks.

    Args:
        in_channels: of the coarse map.
        skip_channels: of the fine one.
        out_channels: of the result.
    """

    def __init__(self, in_channels: int, skip_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv = two_convs(in_channels + skip_channels, out_channels)
        self.conv2 = two_convs(out_channels, out_channels)
        self.shortcut = nn.Conv2d(in_channels, out_channels, 1)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        """(N, in, h, w) and (N, skip, 2h, 2w) to (N, out, 2h, 2w)."""
        x = resized(x, map_size(skip))
        x = self.conv(torch.cat([x, skip], dim=1)) + self.shortcut(x)
        return x + self.conv2(x)


def two_convs(in_channels: int, out_channels: int) -> nn.Sequential:
    """Two convolutions of 3x3, each after BatchNorm and ReLU."""
    layers: list[nn.Module] = []
    for count in (in_channels, out_channels):
        layers += [
            nn.BatchNorm2d(count),
            nn.ReLU(inplace=True),
            nn.Conv2d(count, out_channels, 3, padding=1),
        ]
    return nn.Sequential(*layers)


def resized(maps: Tensor, size: Size, mode: str = 'bilinear') -> Tensor:
    """Resize maps (N, C, h, w) to (H, W)."""
    corners = None if mode == 'area' else False
    return F.interpolate(maps, size, mode=mode, align_corners=corners)


def mean(values: Tensor, known: Tensor) -> Tensor:
    """Average where it is known: 0 if nowhere."""
    return (values * known).sum() / known.sum().clamp(min=1)


def gradient_loss(refined: Tensor, truth: Tensor, known: Tensor) -> Tensor:
    """Average the L1 of Sobel gradients of smoothed masks (equation 4).

    Args:
        refined: probabilities, (N, 1, H, W).
        truth: 0 or 1.
        known: 1 or 0; a gradient that touches what is not known does not count.

    Returns:
        A number.
    """
    sobel = refined.new_tensor([[1, 0, -1], [2, 0, -2], [1, 0, -1]]) / 4
    kernels = torch.stack([sobel, sobel.T]).unsqueeze(1)

    def magnitude(mask: Tensor) -> Tensor:
        slopes = F.conv2d(F.avg_pool2d(mask, 3, stride=1), kernels)
        return (slopes.square().sum(dim=1, keepdim=True) + 1e-4).sqrt()

    unknown = F.max_pool2d(1 - known, 5, stride=1)
    return mean((magnitude(refined) - magnitude(truth)).abs(), 1 - unknown)


def add_mask_channels(
    module: nn.Module, state_dict: dict[str, Any], prefix: str, *_: Any
) -> None:
    """Let weights of a network of images load: masks get zeros."""
    key = f'{prefix}weight'
    weight = state_dict.get(key)
    if weight is not None and weight.shape[1] == 3:
        zeros = weight.new_zeros(len(weight), MASKS, *weight.shape[2:])
        state_dict[key] = torch.cat([weight, zeros], dim=1)
