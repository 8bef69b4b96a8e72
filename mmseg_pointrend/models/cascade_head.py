"""The part of a point head that MMSegmentation's own cascade calls."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mmseg.models.decode_heads.cascade_decode_head import BaseCascadeDecodeHead
from mmseg.utils import SampleList
from torch import Tensor

from mmseg_pointrend.errors import InputError
from mmseg_pointrend.models.view import padding_of
from mmseg_pointrend.rendering.grids import map_size, valid_regions


class CascadeHead(BaseCascadeDecodeHead):
    """Let a point head be the last entry of ``CascadeEncoderDecoder``'s heads.

    :class:`PointRendEncoderDecoder` calls none of this. Feature maps are those of the
    backbone or neck, coarse logits (N, K, h, w) those of the head before this one.
    """

    choose: Any
    point_loss: Any
    render: Any
    steps: Any

    def forward(self, feats: Sequence[Tensor], coarse: Tensor) -> Tensor:
        """Render at the size of the finest features: logits (N, K, H, W), float32."""
        fine = self.choose_alone(feats)
        return self.render(fine, coarse, self.steps(coarse, map_size(fine[0])))

    def loss(
        self,
        feats: Sequence[Tensor],
        coarse: Tensor,
        batch_data_samples: SampleList,
        train_cfg: dict | None = None,
    ) -> dict[str, Tensor]:
        """Compute :meth:`point_loss`."""
        return self.point_loss(self.choose_alone(feats), coarse, batch_data_samples)

    def predict(
        self,
        feats: Sequence[Tensor],
        coarse: Tensor,
        batch_img_metas: list[dict],
        test_cfg: dict | None = None,
    ) -> Tensor:
        """Render at the size of the input: logits (N, K, H, W), float32.

        Where windows slide (``test_cfg`` says so), ``img_shape`` of the first image is
        the size of the window.
        """
        meta = batch_img_metas[0]
        slides = (test_cfg or {}).get('mode') == 'slide'
        shape = None if slides else meta.get('pad_shape')
        height, width = (shape or meta['img_shape'])[:2]
        paddings = [] if slides else [padding_of(one) for one in batch_img_metas]
        size = height, width
        regions = valid_regions(paddings, size, align_corners=self.align_corners)
        steps = self.steps(coarse, size, regions)
        return self.render(self.choose_alone(feats), coarse, steps)

    def choose_alone(self, feats: Sequence[Tensor]) -> list[Tensor]:
        """Choose as :meth:`choose` does, in a cascade that has no other maps.

        Raises:
            InputError: as :meth:`choose`, or other maps are asked for.
        """
        for asked, what in (
            (self.reads_decode_head, "in_index names 'decode_head'"),
            (self.fine_from == 'backbone', "fine_from='backbone'"),
        ):
            if asked:
                raise InputError(
                    f'point_head.{what} needs maps that '
                    "model.type='PointRendEncoderDecoder' alone gives: use it, or "
                    'remove that.'
                )
        return self.choose(feats)
