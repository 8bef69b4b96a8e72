"""MMSegmentation's ``EncoderDecoder`` with lists of heads, and training of one part."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mmengine.model import ModuleList  # unlike torch's, passes init_weights on
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.models.segmentors.encoder_decoder import EncoderDecoder
from mmseg.registry import MODELS

from mmseg_pointrend.errors import check_arguments
from mmseg_pointrend.models.checks import listed


class ListEncoderDecoder(EncoderDecoder):
    """An ``EncoderDecoder`` whose ``decode_head`` may be a list that runs as a cascade.

    Attributes:
        train_only: name of the part that learns, or None for all.
    """

    train_only: str | None = None

    @property
    def decode_heads(self) -> Sequence[BaseDecodeHead]:
        """The decode heads in the order they run."""
        return listed(self.decode_head)

    def _init_decode_head(self, decode_head: dict | list[dict]) -> None:
        if isinstance(decode_head, dict):
            super()._init_decode_head(decode_head)
        else:
            self.decode_head = ModuleList(MODELS.build(cfg) for cfg in decode_head)
            last = self.decode_head[-1]
            self.align_corners = last.align_corners
            self.num_classes = last.num_classes
            self.out_channels = last.out_channels
            # MMSegmentation's post-processing reads the threshold here.
            self.decode_head.threshold = last.threshold

    def _init_auxiliary_head(self, auxiliary_head: dict | list[dict] | None) -> None:
        if isinstance(auxiliary_head, list):
            self.auxiliary_head = ModuleList(map(MODELS.build, auxiliary_head))
        else:
            super()._init_auxiliary_head(auxiliary_head)

    def freeze_all_but(self, part: str | None) -> None:
        """Let one part learn alone; None lets all learn.

        It must come before anything wraps the model: DDP notes at the start which
        parameters have gradients.

        Raises:
            InputError: the part is not the point head.
        """
        right = part in (None, 'point_head')
        check_arguments(
            [(right, f'train_only={part!r}', "'point_head' or None")], 'model.'
        )
        self.train_only = part
        if part is not None:
            for name, parameter in self.named_parameters():
                parameter.requires_grad_(name.startswith(f'{part}.'))

    def train(self, mode: bool = True) -> Any:
        """Switch to training, but for what does not learn: it stays in evaluation.

        So BatchNorm keeps its statistics and dropout drops nothing.
        """
        super().train(mode)
        if self.train_only is not None:
            for name, module in self.named_children():
                module.train(mode and name == self.train_only)
        return self
