"""Several point heads trained at once on one frozen network."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

import torch
from mmengine.config import Config
from mmengine.model import ModuleDict
from mmseg.registry import MODELS
from mmseg.utils import SampleList, add_prefix
from torch import Tensor

from mmseg_pointrend.errors import InputError
from mmseg_pointrend.models import PointRendEncoderDecoder, PointRendHead

DEFAULT = 'default'


@MODELS.register_module()
class PointHeadComparison(PointRendEncoderDecoder):
    """Trains variants of a point head on the features of a network that stays as it is.

    The network runs once for all of them. Every variant sees the same images and, as
    far as its own settings allow, the same random points, and its gradients touch
    nothing but its own weights, so each is trained as if it were alone.

    Args:
        point_head: config of the head called ``'default'``, which predicts.
        variants: for each other head its name and the keys in which it differs.
        kwargs: as in :class:`~mmseg_pointrend.models.PointRendEncoderDecoder`.

    Raises:
        InputError: a variant has a name, ``in_index`` or ``fine_from`` that cannot be.
    """

    def __init__(
        self, *, point_head: dict, variants: Mapping[str, dict], **kwargs: Any
    ) -> None:
        for name in variants:
            if name == DEFAULT or 'loss' in name or '.' in name:
                raise InputError(
                    f"model.variants has the name {name!r}: take one without '.' and "
                    f"'loss', which MMEngine sums, and not {DEFAULT!r}."
                )
        super().__init__(point_head=point_head, **kwargs)
        self.variants = ModuleDict()
        for name, changes in variants.items():
            cfg = Config(dict(head=deepcopy(point_head)))
            cfg.merge_from_dict(dict(head=changes))
            head = self._build_point_head(cfg.head)
            if not head.reads_decode_head and min(head.in_index) < 0:
                raise InputError(
                    f'model.variants.{name}.in_index={head.in_index}: count feature '
                    'maps from 0.'
                )
            if head.fine_from != self.point_head.fine_from:
                raise InputError(
                    f'model.variants.{name}.fine_from={head.fine_from!r}: set it in '
                    'point_head, all heads read the same maps.'
                )
            self.variants[name] = head
        for module in self.frozen:
            module.requires_grad_(False)

    @property
    def frozen(self) -> list[torch.nn.Module]:
        """What keeps its weights and statistics."""
        trained = (self.point_head, self.variants)
        return [module for module in self.children() if module not in trained]

    @property
    def point_heads(self) -> dict[str, PointRendHead]:
        """All heads by name, ``'default'`` first."""
        return {DEFAULT: self.point_head, **self.variants}

    @property
    def reads_decode_head(self) -> bool:
        """Whether one of the heads looks at the decode head's features."""
        return any(head.reads_decode_head for head in self.point_heads.values())

    def train(self, mode: bool = True) -> PointHeadComparison:
        """Switch the heads to training, and nothing else."""
        super().train(mode)
        for module in self.frozen:
            module.eval()
        return self

    def loss(self, inputs: Tensor, data_samples: SampleList) -> dict[str, Tensor]:
        """Losses and accuracies of each head under its name.

        Args:
            inputs: images, (N, 3, H, W).
            data_samples: N samples with ``gt_sem_seg`` (1, H, W).
        """
        with torch.no_grad():
            feats, coarse = self.coarse_prediction(inputs)
        losses: dict[str, Tensor] = {}
        seed = int(torch.randint(2**31, ()))
        devices = [inputs.device] if inputs.is_cuda else []
        for name, head in self.point_heads.items():
            with torch.random.fork_rng(devices):
                torch.manual_seed(seed)
                losses |= add_prefix(head.loss(feats, coarse, data_samples), name)
        return losses
