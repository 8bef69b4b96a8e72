"""The segmentor: one coarse forward, then losses or the renderer."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import torch
from mmengine.config import ConfigDict
from mmengine.model import ModuleList
from mmengine.structures import PixelData
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.models.segmentors.encoder_decoder import EncoderDecoder
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from mmseg.utils import OptSampleList, SampleList, add_prefix
from torch import Tensor, nn

from mmseg_pointrend.errors import InputError
from mmseg_pointrend.models.checks import (
    check_channels,
    check_classes,
    check_hosts,
    check_images,
    check_keys,
    check_maps,
    check_windows,
    class_of,
    numbered,
)
from mmseg_pointrend.models.point_rend_head import PointRendHead
from mmseg_pointrend.models.view import View, padding_of
from mmseg_pointrend.rendering.grids import Size, map_size
from mmseg_pointrend.rendering.labels import decide

INHERITED = (
    'num_classes',
    'out_channels',
    'threshold',
    'align_corners',
    'ignore_index',
)


@MODELS.register_module()
class PointRendEncoderDecoder(EncoderDecoder):
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
        test_cfg: MMSegmentation's keys, and, for whole images, ``return_logits``
            (default False): whether ``predict`` puts ``seg_logits`` beside
            ``pred_sem_seg``; ``resize_logits`` (default False): whether it renders at
            the size of the network's input and resizes those logits to the original
            image, MMSegmentation's order, instead of rendering there.
        kwargs: ``backbone``, ``neck``, ``auxiliary_head``, ``data_preprocessor``,
            ``pretrained``, ``train_cfg``, ``init_cfg`` as in ``EncoderDecoder``.

    Raises:
        InputError: the decode head cannot host a point head, or a key of the two heads
            contradicts the other.
    """

    def __init__(
        self,
        *,
        decode_head: dict | list[dict],
        point_head: dict | None = None,
        num_stages: int | None = None,
        test_cfg: dict | None = None,
        **kwargs: Any,
    ) -> None:
        check_keys('model', kwargs, EncoderDecoder)
        check_hosts(decode_head, num_stages)
        super().__init__(
            decode_head=decode_head,
            test_cfg=ConfigDict({'mode': 'whole', **(test_cfg or {})}),
            **kwargs,
        )
        check_windows(self.test_cfg)
        self.point_head = self._build_point_head(point_head)
        classifier = getattr(self.decode_heads[-1], 'conv_seg', None)
        if classifier is not None:
            classifier.register_forward_pre_hook(keep_input)

    @property
    def reads_decode_head(self) -> bool:
        """Whether the point head looks at the decode head's features."""
        return self.point_head.reads_decode_head

    @property
    def decode_heads(self) -> Sequence[BaseDecodeHead]:
        """The decode heads in the order they run."""
        if isinstance(self.decode_head, nn.ModuleList):
            return list(self.decode_head)
        return [self.decode_head]

    def _init_decode_head(self, decode_head: dict | list[dict]) -> None:
        if isinstance(decode_head, dict):
            super()._init_decode_head(decode_head)
        else:
            # MMEngine's list, unlike torch's, passes init_weights on.
            self.decode_head = ModuleList(MODELS.build(cfg) for cfg in decode_head)
            last = self.decode_head[-1]
            self.align_corners = last.align_corners
            self.num_classes = last.num_classes
            self.out_channels = last.out_channels
            # MMSegmentation's post-processing reads the threshold here.
            self.decode_head.threshold = last.threshold

    def _init_auxiliary_head(self, auxiliary_head: dict | list[dict] | None) -> None:
        if auxiliary_head is None:
            return
        several = isinstance(auxiliary_head, list)
        heads = ModuleList(
            MODELS.build(cfg)
            for cfg in (auxiliary_head if several else [auxiliary_head])
        )
        for key, head in numbered('auxiliary_head', heads):
            check_classes(key, head, self.num_classes)
        self.auxiliary_head = heads if several else heads[0]

    def _build_point_head(self, cfg: dict | None) -> PointRendHead:
        if not isinstance(cfg, dict):
            raise InputError(
                f"point_head={cfg}: give a dict with type='PointRendHead', or use "
                "model.type='EncoderDecoder' without it."
            )
        cfg = {'type': 'PointRendHead', **cfg}
        kind = class_of(cfg)
        if not (inspect.isclass(kind) and issubclass(kind, PointRendHead)):
            raise InputError(f"point_head.type={cfg['type']!r}: give 'PointRendHead'.")
        host = self.decode_heads[-1]
        for key in INHERITED:
            value = getattr(host, key)
            if cfg.setdefault(key, value) != value:
                raise InputError(
                    f'point_head.{key}={cfg[key]} but decode_head.{key}={value}: '
                    f'remove {key} from point_head, it follows the decode head.'
                )
        check_keys('point_head', cfg)
        head = MODELS.build(cfg)
        head.follows_decode_head = True
        return head

    def extract_maps(self, inputs: Tensor) -> tuple[Sequence[Tensor], Sequence[Tensor]]:
        """Run the backbone and the neck once.

        Args:
            inputs: images, (N, 3, H, W).

        Returns:
            The fine feature maps that ``point_head.fine_from`` names, and those that
            the decode head is given: the neck's, or the backbone's without a neck.

        Raises:
            InputError: these are no lists of maps.
        """
        maps = self.backbone(inputs)
        feats = self.neck(maps) if self.with_neck else maps
        fine = maps if self.point_head.fine_from == 'backbone' else feats
        check_maps(fine)
        check_maps(feats)
        return fine, feats

    def coarse_logits(self, feats: Sequence[Tensor]) -> list[Tensor]:
        """Run every decode head once.

        Args:
            feats: feature maps of the backbone or neck.

        Returns:
            The logits of each head, (N, K, h, w); the last is what gets rendered.

        Raises:
            InputError: a head returns something else than one map of logits.
        """
        outputs: list[Tensor] = []
        for key, head in numbered('decode_head', self.decode_heads):
            check_channels(key, head, feats)
            logits = head(feats, *outputs[-1:])
            if not isinstance(logits, Tensor):
                raise InputError(
                    f'{type(head).__name__} returns {type(logits).__name__} and not '
                    'one map of logits, so it cannot host a point head: use another '
                    'decode head, such as DepthwiseSeparableASPPHead.'
                )
            outputs.append(logits)
        return outputs

    def run_decode_heads(
        self, fine: Sequence[Tensor], feats: Sequence[Tensor]
    ) -> tuple[list[Tensor], list[Tensor]]:
        """Run every decode head once.

        Args:
            fine: fine feature maps, of :meth:`extract_maps`.
            feats: feature maps of the backbone or neck.

        Returns:
            What the point head may read, and the logits of :meth:`coarse_logits`. The
            former are ``fine`` and, if the point head's ``in_index`` names them, the
            decode head's features: what its classifier ``conv_seg`` was given.

        Raises:
            InputError: the decode head does not use its ``conv_seg``.
        """
        if not self.reads_decode_head:
            return list(fine), self.coarse_logits(feats)
        head = self.decode_heads[-1]
        kept = head.conv_seg.kept_inputs = []
        try:
            logits = self.coarse_logits(feats)
        finally:
            head.conv_seg.kept_inputs = None
        if not kept:
            raise InputError(
                f'{type(head).__name__} does not classify with the conv_seg that it '
                "was built with: remove 'decode_head' from point_head.in_index."
            )
        return [*fine, kept[0]], logits

    def loss(self, inputs: Tensor, data_samples: SampleList) -> dict[str, Tensor]:
        """Losses of the decode head, the point head and the auxiliary head.

        Args:
            inputs: images, (N, 3, H, W).
            data_samples: N samples with ``gt_sem_seg`` (1, H, W).

        Returns:
            The losses and accuracies under ``decode.*`` (``decode_0.*``, … for a list),
            ``point.*`` and ``aux.*``.
        """
        maps, feats = self.extract_maps(inputs)
        fine, coarse = self.run_decode_heads(maps, feats)
        losses: dict[str, Tensor] = {}
        for i, (head, logits) in enumerate(zip(self.decode_heads, coarse, strict=True)):
            prefix = 'decode' if len(coarse) == 1 else f'decode_{i}'
            losses |= add_prefix(head.loss_by_feat(logits, data_samples), prefix)
        losses |= add_prefix(
            self.point_head.loss(fine, coarse[-1], data_samples, self.train_cfg),
            'point',
        )
        if self.with_auxiliary_head:
            losses |= self._auxiliary_head_forward_train(feats, data_samples)
        return losses

    def _auxiliary_head_forward_train(
        self, inputs: Sequence[Tensor], data_samples: SampleList
    ) -> dict[str, Tensor]:
        several = isinstance(self.auxiliary_head, nn.ModuleList)
        heads = self.auxiliary_head if several else [self.auxiliary_head]
        for key, head in numbered('auxiliary_head', heads):
            check_channels(key, head, inputs)
        return super()._auxiliary_head_forward_train(inputs, data_samples)

    def coarse_prediction(self, inputs: Tensor) -> tuple[Sequence[Tensor], Tensor]:
        """What gets rendered: fine features, and logits of the (last) decode head.

        Args:
            inputs: images, (N, 3, H, W).

        Raises:
            InputError: weights were loaded, but none that fit the point head, and it
                has not been trained since.
        """
        if self.point_head.has_weights is False:
            raise InputError(
                'the weights that were loaded have none for this point head, and '
                'random ones would spoil the prediction: train with load_from=FILE, or '
                'take the plain config.'
            )
        fine, coarse = self.run_decode_heads(*self.extract_maps(inputs))
        return fine, coarse[-1]

    def render(self, inputs: Tensor, paddings: Sequence[Sequence[int]]) -> Tensor:
        """Logits at the size of the input.

        Args:
            inputs: images, (N, 3, H, W).
            paddings: pixels of padding in each image, (left, right, top, bottom).

        Returns:
            (N, K, H, W), float32.
        """
        feats, coarse = self.coarse_prediction(inputs)
        size = map_size(inputs)
        regions = self.point_head.valid_regions(paddings, size)
        return self.point_head.render(feats, coarse, size, regions)

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

    def predict(self, inputs: Tensor, data_samples: OptSampleList = None) -> SampleList:
        """Predict labels at the size of the original images.

        Args:
            inputs: images, (N, 3, H, W), resized and padded.
            data_samples: N samples whose meta information says how the images were
                made; None for images as they are.

        Returns:
            The samples with ``pred_sem_seg`` (1, H, W), int64, and, where
            ``test_cfg.return_logits`` or the slide mode asks for it, ``seg_logits``
            (K, H, W): logits, or the probability of a binary model.
        """
        if self.test_cfg.mode == 'slide' or self.test_cfg.get('resize_logits', False):
            return super().predict(inputs, data_samples)
        feats, coarse = self.coarse_prediction(inputs)
        return self.predict_from_coarse(feats, coarse, map_size(inputs), data_samples)

    @torch.compiler.disable
    def predict_from_coarse(
        self,
        feats: Sequence[Tensor],
        coarse: Tensor,
        size: Size,
        data_samples: OptSampleList = None,
    ) -> SampleList:
        """Everything in :meth:`predict` that follows the decode head.

        Args:
            feats: feature maps of the backbone or neck.
            coarse: logits of the decode head, (N, K, h, w).
            size: (H, W) of the network's input.
            data_samples: as in :meth:`predict`.

        Returns:
            As :meth:`predict`.
        """
        samples = data_samples or [SegDataSample() for _ in coarse]
        views = [View.of(sample.metainfo, size) for sample in samples]
        # A GPU renders images of one geometry together; a CPU is faster one by one.
        together = len(set(views)) == 1 and coarse.device.type != 'cpu'
        step = len(samples) if together else 1
        for start in range(0, len(samples), step):
            batch = slice(start, start + step)
            view, chosen = views[start], samples[batch]
            maps = [one[batch] for one in feats], coarse[batch]
            regions = self.point_head.valid_regions([view.padding] * len(chosen), size)
            target = view.target(self.align_corners)
            if not self.test_cfg.get('return_logits', False):
                labels = self.point_head.render_labels(*maps, target, regions)
                for sample, label in zip(chosen, view.restore(labels), strict=True):
                    sample.pred_sem_seg = PixelData(data=label[None].contiguous())
                continue
            logits = view.restore(self.point_head.render(*maps, target, regions))
            labels = decide(logits, self.decode_head.threshold)
            for sample, logit, label in zip(chosen, logits, labels, strict=True):
                value = logit.sigmoid() if len(logit) == 1 else logit
                sample.seg_logits = PixelData(data=value)
                sample.pred_sem_seg = PixelData(data=label[None])
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
        height, width = inputs.shape[-2:]
        crop_height, crop_width = self.test_cfg.crop_size
        stride_height, stride_width = self.test_cfg.stride
        total: Tensor | None = None
        count = torch.zeros(1, 1, height, width, device=inputs.device)
        for top in window_starts(height, crop_height, stride_height):
            for left in window_starts(width, crop_width, stride_width):
                bottom = min(top + crop_height, height)
                right = min(left + crop_width, width)
                paddings = [
                    (
                        max(pad_left - left, 0),
                        max(pad_right - (width - right), 0),
                        max(pad_top - top, 0),
                        max(pad_bottom - (height - bottom), 0),
                    )
                    for pad_left, pad_right, pad_top, pad_bottom in map(
                        padding_of, batch_img_metas
                    )
                ]
                logits = self.render(inputs[..., top:bottom, left:right], paddings)
                if total is None:
                    total = logits.new_zeros(*logits.shape[:2], height, width)
                total[..., top:bottom, left:right] += logits
                count[..., top:bottom, left:right] += 1
        assert total is not None
        return total / count

    def postprocess_result(
        self, seg_logits: Tensor, data_samples: OptSampleList = None
    ) -> SampleList:
        """Crop, flip back, resize to the original size and decide the label.

        Args:
            seg_logits: (N, K, H, W), at the size of the padded input.
            data_samples: N samples whose meta information says how the image was made.

        Returns:
            The samples with ``pred_sem_seg`` (1, H, W), int64, and, where
            ``test_cfg.return_logits`` or the slide mode asks for it, ``seg_logits``
            (K, H, W): logits, or the probability of a binary model.
        """
        results = super().postprocess_result(seg_logits, data_samples)
        keep_logits = self.test_cfg.mode == 'slide' or self.test_cfg.get(
            'return_logits', False
        )
        for result in results:
            result.pred_sem_seg.data = result.pred_sem_seg.data.long()
            if not keep_logits:
                del result.seg_logits
        return results


def keep_input(module: nn.Module, args: tuple[Tensor]) -> None:
    """Forward hook: note what a module is given while somebody listens."""
    kept = getattr(module, 'kept_inputs', None)
    if kept is not None:
        kept.append(args[0])


def window_starts(size: int, crop: int, stride: int) -> list[int]:
    """First pixel of each sliding window along an axis, the last one flush."""
    last = max(size - crop, 0)
    return [*range(0, last, stride), last]
