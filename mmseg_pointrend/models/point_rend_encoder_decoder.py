"""The segmentor: one coarse forward, then losses or the renderer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from mmengine.config import ConfigDict
from mmengine.structures import PixelData
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from mmseg.utils import OptSampleList, SampleList, add_prefix
from torch import Tensor

from mmseg_pointrend.errors import InputError
from mmseg_pointrend.models.checks import (
    check_channels,
    check_hosts,
    check_images,
    check_maps,
    complete_point_head,
    listed,
    numbered,
)
from mmseg_pointrend.models.classifier_inputs import note_input, noted_inputs
from mmseg_pointrend.models.head_lists import ListEncoderDecoder
from mmseg_pointrend.models.losses import guard_heads
from mmseg_pointrend.models.point_rend_head import PointRendHead
from mmseg_pointrend.models.settings import check_mode, check_settings
from mmseg_pointrend.models.view import View, Window, padding_of
from mmseg_pointrend.rendering.grids import Padding, Size, map_size, valid_regions
from mmseg_pointrend.rendering.labels import decide


@MODELS.register_module()
class PointRendEncoderDecoder(ListEncoderDecoder):
    """MMSegmentation's ``EncoderDecoder`` with a point head that sharpens boundaries.

    `PointRend: Image Segmentation as Rendering <https://arxiv.org/abs/1912.08193>`_.
    The decode head runs once in training and once in inference. Checkpoints of the
    plain model load with ``point_head.*`` missing and nothing else.

    Args:
        decode_head: config of a decode head, as in ``EncoderDecoder``, or a list of
            configs that run as a cascade (OCRNet), each once.
        point_head: config of :class:`PointRendHead`, the default ``type``;
            ``num_classes``, ``out_channels``, ``threshold``, ``align_corners`` and
            ``ignore_index`` are those of the (last) decode head.
        num_stages: number of decode heads, as in ``CascadeEncoderDecoder``, whose
            configs become ours with it; it need not be given.
        train_only: ``'point_head'`` sharpens a trained network as it is: nothing else
            learns, BatchNorm and dropout outside are those of evaluation, and the
            network runs without gradients. None trains all.
        test_cfg: MMSegmentation's keys, and, for whole images, ``return_logits``
            (default False): whether ``predict`` puts ``seg_logits`` beside
            ``pred_sem_seg``; ``resize_logits`` (default False): whether it renders at
            the size of the network's input and resizes those logits to the original
            image, MMSegmentation's order, instead of rendering there.
        kwargs: ``backbone``, ``neck``, ``auxiliary_head``, ``data_preprocessor``,
            ``pretrained``, ``train_cfg``, ``init_cfg`` as in ``EncoderDecoder``.

    Raises:
        InputError: the decode head cannot host a point head, keys of heads contradict
            each other, or ``train_cfg`` or ``test_cfg`` hold what nothing reads.
    """

    def __init__(
        self,
        *,
        decode_head: dict | list[dict],
        point_head: dict | None = None,
        num_stages: int | None = None,
        train_only: str | None = None,
        test_cfg: dict | None = None,
        **kwargs: Any,
    ) -> None:
        check_hosts(decode_head, num_stages)
        super().__init__(
            decode_head=decode_head,
            test_cfg=ConfigDict({'mode': 'whole', **(test_cfg or {})}),
            **kwargs,
        )
        check_settings(self.train_cfg or {}, self.test_cfg)
        cfg = complete_point_head(point_head, self.decode_heads[-1])
        self.point_head = MODELS.build(cfg)
        guard_heads(self)
        classifier = getattr(self.decode_heads[-1], 'conv_seg', None)
        if classifier is not None and self.point_head.reads_decode_head:
            classifier.register_forward_pre_hook(note_input)
        self.freeze_all_but(train_only)

    def extract(self, inputs: Tensor) -> tuple[Sequence[Tensor], Sequence[Tensor]]:
        """Run the backbone and the neck once.

        Args:
            inputs: images, (N, 3, H, W).

        Returns:
            The feature maps that the decode head is given, the neck's or the backbone's
            where there is none; and those that ``point_head.fine_from`` names.

        Raises:
            InputError: these are no lists of maps.
        """
        maps = self.backbone(inputs)
        feats = self.neck(maps) if self.with_neck else maps
        check_maps(feats)
        check_maps(maps)
        return feats, maps if self.point_head.fine_from == 'backbone' else feats

    def decode(
        self, feats: Sequence[Tensor], maps: Sequence[Tensor]
    ) -> tuple[list[Tensor], list[Tensor]]:
        """Run every decode head once.

        Args:
            feats: what the decode head is given, of :meth:`extract`.
            maps: what the fine features are among, of :meth:`extract`.

        Returns:
            The fine features, and the logits of each head, (N, K, h, w); the last are
            what gets rendered.

        Raises:
            InputError: a head returns something else than one map of logits, or does
                not fit its features.
        """
        outputs: list[Tensor] = []
        with noted_inputs(self.point_head.reads_decode_head) as noted:
            for key, head in numbered('decode_head', self.decode_heads):
                check_channels(key, head, feats)
                logits = head(feats, *outputs[-1:])
                if not isinstance(logits, Tensor):
                    raise InputError(
                        f'{type(head).__name__} returns {type(logits).__name__} and '
                        'not one map of logits, so it cannot host a point head: use '
                        'another decode head, such as DepthwiseSeparableASPPHead.'
                    )
                outputs.append(logits)
        if self.point_head.reads_decode_head:
            if not noted:
                raise InputError(
                    f'{type(head).__name__} does not classify with the conv_seg that '
                    "it was built with: remove 'decode_head' from point_head.in_index."
                )
            maps = [*maps, noted[0]]
        return self.point_head.choose(maps), outputs

    def loss(self, inputs: Tensor, data_samples: SampleList) -> dict[str, Tensor]:
        """Losses of the decode head, the point head and the auxiliary head.

        Args:
            inputs: images, (N, 3, H, W).
            data_samples: N samples with ``gt_sem_seg`` (1, H, W).

        Returns:
            The losses and accuracies under ``decode.*`` (``decode_0.*``, … for a list),
            ``point.*`` and ``aux.*``; with ``train_only`` those of the points alone.
        """
        alone = self.train_only is not None
        with torch.set_grad_enabled(torch.is_grad_enabled() and not alone):
            feats, maps = self.extract(inputs)
            fine, outputs = self.decode(feats, maps)
        losses: dict[str, Tensor] = {}
        heads = [] if alone else zip(self.decode_heads, outputs, strict=True)
        for i, (head, out) in enumerate(heads):
            prefix = 'decode' if len(outputs) == 1 else f'decode_{i}'
            losses |= add_prefix(head.loss_by_feat(out, data_samples), prefix)
        points = self.point_head.point_loss(fine, outputs[-1], data_samples)
        losses |= add_prefix(points, 'point')
        if self.with_auxiliary_head and not alone:
            for key, head in numbered('auxiliary_head', listed(self.auxiliary_head)):
                check_channels(key, head, feats)
            losses |= self._auxiliary_head_forward_train(feats, data_samples)
        return losses

    def render(self, inputs: Tensor, paddings: Sequence[Padding]) -> Tensor:
        """Logits at the size of the input.

        Args:
            inputs: images, (N, 3, H, W).
            paddings: pixels of padding in each image, (left, right, top, bottom).

        Returns:
            (N, K, H, W), float32.
        """
        fine, [*_, coarse] = self.decode(*self.extract(inputs))
        size = map_size(inputs)
        regions = valid_regions(paddings, size, align_corners=self.align_corners)
        steps = self.point_head.steps(coarse, size, regions)
        return self.point_head.render(fine, coarse, steps)

    def test_step(self, data: dict[str, Any]) -> SampleList:
        """Predict a batch as it comes from the pipeline.

        Args:
            data: ``inputs``, N images (C, H, W), and maybe ``data_samples``.

        Returns:
            As :meth:`predict`.

        Raises:
            InputError: as in :func:`~mmseg_pointrend.models.checks.check_images`.
        """
        mean = getattr(self.data_preprocessor, 'mean', None)
        check_images(data['inputs'], data.get('data_samples'), mean)
        return super().test_step(data)

    val_step = test_step

    def predict(
        self,
        inputs: Tensor,
        data_samples: OptSampleList = None,
        *,
        return_logits: bool | None = None,
    ) -> SampleList:
        """Predict labels at the size of the original images.

        Args:
            inputs: images, (N, 3, H, W), resized and padded.
            data_samples: N samples whose meta information says how the images were
                made; None for images as they are.
            return_logits: in place of that of ``test_cfg``, which None takes.

        Returns:
            The samples with ``pred_sem_seg`` (1, H, W), int64, and, where
            ``return_logits`` or the slide mode asks for it, ``seg_logits`` (K, H, W):
            logits, or the probability of a binary model.
        """
        if return_logits is None:
            return_logits = self.test_cfg.get('return_logits', False)
        check_mode(self.test_cfg)  # users change it between images
        slides = self.test_cfg.mode == 'slide'
        if slides or self.test_cfg.get('resize_logits', False):
            samples = super().predict(inputs, data_samples)
            for sample in samples:
                sample.pred_sem_seg.data = sample.pred_sem_seg.data.long()
                if not (slides or return_logits):
                    del sample.seg_logits
            return samples
        fine, [*_, coarse] = self.decode(*self.extract(inputs))
        return self.predict_from_coarse(
            fine,
            coarse,
            map_size(inputs),
            data_samples,
            return_logits=return_logits,
        )

    @torch.compiler.disable
    def predict_from_coarse(
        self,
        fine: Sequence[Tensor],
        coarse: Tensor,
        size: Size,
        data_samples: OptSampleList = None,
        *,
        head: PointRendHead | None = None,
        return_logits: bool = False,
    ) -> SampleList:
        """Everything in :meth:`predict` that follows the decode head.

        Args:
            fine: fine features, of :meth:`decode`.
            coarse: logits of the last decode head, (N, K, h, w).
            size: (H, W) of the network's input.
            data_samples: as in :meth:`predict`.
            head: a point head in place of the model's own.
            return_logits: whether to keep ``seg_logits``.

        Returns:
            As :meth:`predict`.
        """
        head = head or self.point_head
        samples = data_samples or [SegDataSample() for _ in coarse]
        views = [View.of(sample.metainfo, size) for sample in samples]
        # A GPU renders images of one geometry together; a CPU is faster one by one.
        together = len(set(views)) == 1 and coarse.device.type != 'cpu'
        count = len(samples) if together else 1
        for start in range(0, len(samples), count):
            batch = slice(start, start + count)
            view, chosen = views[start], samples[batch]
            fine_part, coarse_part = [one[batch] for one in fine], coarse[batch]
            paddings = [view.padding] * len(chosen)
            regions = valid_regions(paddings, size, align_corners=self.align_corners)
            target = view.target(self.align_corners)
            steps = head.steps(coarse_part, target, regions)
            if return_logits:
                logits = view.restore(head.render(fine_part, coarse_part, steps))
                labels = decide(logits, self.decode_head.threshold)
                for sample, one in zip(chosen, logits, strict=True):
                    value = one.sigmoid() if len(one) == 1 else one
                    sample.seg_logits = PixelData(data=value)
            else:
                labels = head.render_labels(fine_part, coarse_part, steps)
                labels = view.restore(labels)
            for sample, label in zip(chosen, labels, strict=True):
                sample.pred_sem_seg = PixelData(data=label[None].contiguous())
        return samples

    def _forward(self, inputs: Tensor, data_samples: OptSampleList = None) -> Tensor:
        return self.render(inputs, [])

    def encode_decode(self, inputs: Tensor, batch_img_metas: list[dict]) -> Tensor:
        """Logits at the size of the input: (N, 3, H, W) to (N, K, H, W), float32."""
        return self.render(inputs, [padding_of(meta) for meta in batch_img_metas])

    def slide_inference(self, inputs: Tensor, batch_img_metas: list[dict]) -> Tensor:
        """Average the logits of overlapping windows (``test_cfg.mode='slide'``).

        Unlike MMSegmentation's, each window knows which of its pixels are padding, and
        the meta information stays as it is.

        Args:
            inputs: images, (N, 3, H, W).
            batch_img_metas: meta information of each image.

        Returns:
            (N, K, H, W), float32.
        """
        size = map_size(inputs)
        paddings = [padding_of(meta) for meta in batch_img_metas]
        total = inputs.new_zeros(
            len(inputs), self.out_channels, *size, dtype=torch.float32
        )
        count = total.new_zeros(size)
        for window in Window.cover(size, self.test_cfg.crop_size, self.test_cfg.stride):
            logits = self.render(window.cut(inputs), window.paddings(paddings, size))
            window.cut(total).add_(logits)
            window.cut(count).add_(1)
        return total / count
