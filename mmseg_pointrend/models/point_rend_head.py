"""PointRend for semantic segmentation: a loss on points and a cascade renderer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from mmseg.models.decode_heads.cascade_decode_head import BaseCascadeDecodeHead
from mmseg.registry import MODELS
from mmseg.utils import SampleList
from torch import Tensor, nn

from mmseg_pointrend.errors import InputError, check_arguments
from mmseg_pointrend.models.checks import check_channels, check_keys
from mmseg_pointrend.models.point_loss import point_losses
from mmseg_pointrend.models.uncertainties import get_uncertainty
from mmseg_pointrend.models.view import padding_of, paddings_of
from mmseg_pointrend.rendering.grids import (
    Grid,
    Region,
    Size,
    map_size,
    subdivision_grids,
    valid_region,
)
from mmseg_pointrend.rendering.points import (
    default_num_points,
    sample_training_points,
)
from mmseg_pointrend.rendering.refinement import Renderer, Step
from mmseg_pointrend.rendering.sampling import point_sample, read_features

DECODE_HEAD = 'decode_head'


@MODELS.register_module()
class PointRendHead(BaseCascadeDecodeHead):
    """Re-classifies the hard pixels of a coarse prediction.

    `PointRend: Image Segmentation as Rendering <https://arxiv.org/abs/1912.08193>`_,
    section 3. Shapes: N images, K output channels, P points an image.

    As ``point_head`` of :class:`PointRendEncoderDecoder` it takes ``num_classes``,
    ``out_channels``, ``threshold``, ``align_corners`` and ``ignore_index`` from the
    decode head. As the last entry of MMSegmentation's ``CascadeEncoderDecoder`` they
    are given.

    Args:
        num_classes: number of classes.
        in_index: which feature maps are the fine features; res2 is 0, and
            ``'decode_head'`` is what the (last) decode head classifies, in
            :class:`PointRendEncoderDecoder`.
        in_channels: channels of each of them.
        fine_from: whose maps ``in_index`` counts, in :class:`PointRendEncoderDecoder`:
            ``'neck'`` for what the decode head is given, which are the backbone's maps
            where there is no neck; ``'backbone'`` for those that enter the neck.
        mlp: config of the point classifier.
        uncertainty: name of the measure, of ``models/uncertainties.py`` or your own.
        num_points: N of section 3.1, training points an image; None means
            ceil(H / 16) * ceil(W / 16) of the crop.
        oversample_ratio: k of section 3.1.
        importance_sample_ratio: beta of section 3.1.
        subdivision_num_points: pixels re-classified at each step of rendering.
        scale_factor: growth of a rendering step; 2 in the paper.
        coarse_from: ``'current'`` gives the MLP the prediction being refined,
            ``'initial'`` the decode head's first output (the paper).
        coarse_window: side of the window of coarse cells around a point whose logits
            the MLP reads beside the fine features; 1 is none (the paper).
        padding_mode: what sampling sees outside of the outermost pixel centres,
            ``'border'`` or ``'zeros'``.
        detach: keep the gradient of the points to the MLP, so that the network trains
            as it does without a point head.
        loss_decode: config of one loss or a list; None means cross-entropy averaged
            over the points that are not ignored.
        out_channels: channels of the logits, 1 for a binary model.
        threshold: decision probability of a binary model.
        align_corners: as in the decode head.
        ignore_index: label that counts nowhere.
        init_cfg: MMEngine's; the MLP initialises itself.

    Raises:
        InputError: an argument is out of its range.
    """

    def __init__(
        self,
        *,
        num_classes: int,
        in_index: Sequence[int | str] = (0,),
        in_channels: Sequence[int] = (256,),
        fine_from: str = 'neck',
        mlp: dict[str, Any] | None = None,
        uncertainty: str = 'logit_margin',
        num_points: int | None = None,
        oversample_ratio: float = 3,
        importance_sample_ratio: float = 0.75,
        subdivision_num_points: int = 8096,
        scale_factor: float = 2,
        coarse_from: str = 'current',
        coarse_window: int = 1,
        padding_mode: str = 'border',
        detach: bool = False,
        loss_decode: dict | list[dict] | None = None,
        out_channels: int | None = None,
        threshold: float | None = None,
        align_corners: bool = False,
        ignore_index: int = 255,
        init_cfg: dict | list[dict] | None = None,
    ) -> None:
        rules = (
            (not isinstance(in_index, int), f'{in_index=}', f'a list, [{in_index}]'),
            (isinstance(in_index, int) or is_index_list(in_index), f'{in_index=}',
             "a list of numbers of feature maps, and 'decode_head' at most once"),
            (not isinstance(in_channels, int), f'{in_channels=}',
             f'a list, [{in_channels}]'),
            (isinstance(in_channels, int) or is_channel_list(in_channels),
             f'{in_channels=}', 'a list of positive integers'),
            (fine_from in ('neck', 'backbone'), f'{fine_from=}',
             "'neck' or 'backbone'"),
            (num_points is None or (isinstance(num_points, int) and num_points > 0),
             f'{num_points=}', 'None or a positive integer'),
            (oversample_ratio >= 1, f'{oversample_ratio=}', 'a number of at least 1'),
            (0 <= importance_sample_ratio <= 1, f'{importance_sample_ratio=}',
             'a number in [0, 1]'),
            (isinstance(subdivision_num_points, int) and subdivision_num_points >= 0,
             f'{subdivision_num_points=}', 'an integer of at least 0'),
            (scale_factor > 1, f'{scale_factor=}', 'a number above 1'),
            (coarse_from in ('current', 'initial'), f'{coarse_from=}',
             "'current' or 'initial'"),
            (isinstance(coarse_window, int) and coarse_window % 2 == 1
             and coarse_window > 0, f'{coarse_window=}', 'a positive odd integer'),
            (padding_mode in ('border', 'zeros'), f'{padding_mode=}',
             "'border' or 'zeros'"),
        )  # fmt: skip
        check_arguments(rules, 'point_head.')
        if len(in_index) != len(in_channels):
            raise InputError(
                f'point_head.{in_channels=}: give as many entries as {in_index=}.'
            )
        mlp = {'type': 'PointMLP', **(mlp or {})}
        check_keys('point_head.mlp', mlp)
        if loss_decode is None:
            loss_decode = dict(
                type='CrossEntropyLoss',
                use_sigmoid=out_channels == 1,
                avg_non_ignore=True,
            )
        super().__init__(
            in_channels=list(in_channels),
            channels=mlp.get('hidden_channels', 256),
            num_classes=num_classes,
            out_channels=out_channels,
            threshold=threshold,
            dropout_ratio=0,
            in_index=[-1 if index == DECODE_HEAD else index for index in in_index],
            input_transform='multiple_select',
            loss_decode=loss_decode,
            ignore_index=ignore_index,
            align_corners=align_corners,
            init_cfg=init_cfg,
        )
        del self.conv_seg
        self.reads_decode_head = DECODE_HEAD in in_index
        self.fine_from = fine_from
        self.follows_decode_head = False  # PointRendEncoderDecoder says otherwise
        self.has_weights: bool | None = None  # loaded or trained; None: nobody tried
        self.uncertainty = get_uncertainty(
            uncertainty, self.out_channels, self.threshold
        )
        self.num_points = num_points
        self.oversample_ratio = oversample_ratio
        self.importance_sample_ratio = importance_sample_ratio
        self.subdivision_num_points = subdivision_num_points
        self.scale_factor = scale_factor
        self.coarse_from = coarse_from
        self.coarse_window = coarse_window
        self.padding_mode = padding_mode
        self.detach = detach
        window_channels = (
            coarse_window**2 * self.out_channels if coarse_window > 1 else 0
        )
        self.mlp = MODELS.build(
            mlp,
            default_args=dict(
                in_channels=sum(in_channels) + window_channels,
                coarse_channels=self.out_channels,
                out_channels=self.out_channels,
            ),
        )

    def forward(self, inputs: Sequence[Tensor], prev_output: Tensor) -> Tensor:
        """Logits at the resolution of the finest input, (N, K, H, W).

        MMSegmentation's cascade calls this in ``mode='tensor'``.
        """
        fine = self.fine_features(inputs)
        return self.render(inputs, prev_output, map_size(fine[0]))

    def fine_features(self, inputs: Sequence[Tensor]) -> list[Tensor]:
        """The maps that ``in_index`` names, checked against ``in_channels``.

        Raises:
            InputError: an index or a channel count does not fit the backbone.
        """
        if self.reads_decode_head and not self.follows_decode_head:
            raise InputError(
                "point_head.in_index names 'decode_head', whose features come from "
                "model.type='PointRendEncoderDecoder' alone: use it or remove the name."
            )
        if self.fine_from == 'backbone' and not self.follows_decode_head:
            raise InputError(
                "point_head.fine_from='backbone' needs the backbone's maps, which "
                "model.type='PointRendEncoderDecoder' gives: use it or remove the key."
            )
        check_channels('point_head', self, inputs)
        return [inputs[index] for index in self.in_index]

    def with_windows(self, fine: Sequence[Tensor], coarse: Tensor) -> list[Tensor]:
        """What the MLP reads at a point beside its coarse prediction.

        Args:
            fine: fine feature maps.
            coarse: logits of the decode head, (N, K, h, w).

        Returns:
            The fine features and, if ``coarse_window`` w is above 1, the logits of the
            w * w cells around each cell as another map, (N, K * w * w, h, w).
        """
        side = self.coarse_window
        if side == 1:
            return list(fine)
        padded = F.pad(coarse, (side // 2,) * 4, mode='replicate')
        windows = F.unfold(padded, side).unflatten(2, map_size(coarse))
        return [*fine, windows]

    def sample(self, maps: Sequence[Tensor], points: Tensor) -> Tensor:
        """Interpolate several maps at points and stack their channels: (N, C, P)."""
        return stack(
            [
                point_sample(
                    one,
                    points,
                    padding_mode=self.padding_mode,
                    align_corners=self.align_corners,
                )
                for one in maps
            ]
        )

    def loss(
        self,
        inputs: Sequence[Tensor],
        prev_output: Tensor,
        batch_data_samples: SampleList,
        train_cfg: dict | None = None,
    ) -> dict[str, Tensor]:
        """Losses and accuracy on chosen points. PointRend, section 3.1.

        Args:
            inputs: feature maps of the backbone or neck.
            prev_output: coarse logits of the decode head, (N, K, h, w).
            batch_data_samples: N samples with ``gt_sem_seg`` (1, H, W).
            train_cfg: unused, MMSegmentation's signature.

        Returns:
            The losses by name and ``acc_point`` in percent.
        """
        self.has_weights = True
        fine = self.fine_features(inputs)
        if self.detach:
            fine, prev_output = [one.detach() for one in fine], prev_output.detach()
        maps = self.with_windows(fine, prev_output)
        labels = self._stack_batch_gt(batch_data_samples)
        size = map_size(labels)
        points = sample_training_points(
            prev_output.detach(),
            self.uncertainty,
            num_points=self.num_points or default_num_points(size),
            oversample_ratio=self.oversample_ratio,
            importance_sample_ratio=self.importance_sample_ratio,
            padding_mode=self.padding_mode,
            align_corners=self.align_corners,
            regions=self.valid_regions(paddings_of(batch_data_samples), size),
        )
        logits = self.mlp(self.sample(maps, points), self.sample([prev_output], points))
        return self.loss_by_feat(logits, points, labels)

    def _load_from_state_dict(
        self, state_dict: dict[str, Tensor], prefix: str, *args: Any
    ) -> None:
        super()._load_from_state_dict(state_dict, prefix, *args)
        fits = all(
            getattr(state_dict.get(prefix + name), 'shape', None) == weight.shape
            for name, weight in self.named_parameters()
        )
        self.has_weights = bool(self.has_weights) or fits

    def loss_by_feat(
        self, point_logits: Tensor, points: Tensor, labels: Tensor
    ) -> dict[str, Tensor]:
        """Losses of classified points.

        Args:
            point_logits: (N, K, P).
            points: (N, P, 2), (x, y) in [0, 1].
            labels: ground truth, (N, 1, H, W), integers.

        Returns:
            The losses by name and ``acc_point`` in percent.
        """
        sampled = point_sample(
            labels, points, mode='nearest', align_corners=self.align_corners
        )
        modules = (
            self.loss_decode
            if isinstance(self.loss_decode, nn.ModuleList)
            else [self.loss_decode]
        )
        return point_losses(
            modules,
            point_logits,
            sampled.squeeze(1).long(),
            ignore_index=self.ignore_index,
            threshold=self.threshold,
        )

    def valid_regions(
        self, paddings: Sequence[Sequence[int]], size: Size
    ) -> list[Region] | None:
        """The part of each image that is not padding, or None for all of it.

        Args:
            paddings: pixels of padding in each image, (left, right, top, bottom).
            size: (H, W) with the padding.
        """
        if not any(any(padding) for padding in paddings):
            return None
        return [
            valid_region(padding, size, align_corners=self.align_corners)
            for padding in paddings
        ]

    def predict(
        self,
        inputs: Sequence[Tensor],
        prev_output: Tensor,
        batch_img_metas: list[dict],
        test_cfg: dict | None = None,
    ) -> Tensor:
        """Render at the size MMSegmentation's cascade asks for.

        Args:
            inputs: feature maps of the backbone or neck.
            prev_output: coarse logits, (N, K, h, w).
            batch_img_metas: meta information of each image.
            test_cfg: unused, MMSegmentation's signature.

        Returns:
            Logits, (N, K, H, W), float32.
        """
        meta = batch_img_metas[0]
        # MMSegmentation's sliding window puts its own torch.Size here.
        window = isinstance(meta['img_shape'], torch.Size)
        shape = (
            meta['img_shape'] if window else meta.get('pad_shape', meta['img_shape'])
        )
        size: Size = (shape[0], shape[1])
        paddings = [] if window else [padding_of(meta) for meta in batch_img_metas]
        regions = self.valid_regions(paddings, size)
        return self.render(inputs, prev_output, size, regions)

    def render(
        self,
        inputs: Sequence[Tensor],
        coarse: Tensor,
        target: Size | Grid,
        regions: Sequence[Region] | None = None,
    ) -> Tensor:
        """Sharpen a coarse prediction while upsampling it.

        Args:
            inputs: feature maps of the backbone or neck.
            coarse: logits of the decode head, (N, K, h, w).
            target: (H, W) of the result, or a grid that covers a part of the image.
            regions: the part of each image that is not padding, from
                :meth:`valid_regions`; padding gets no points.

        Returns:
            Logits, (N, K, H, W), float32.
        """
        steps = self.steps(coarse, target, regions)
        renderer = self.renderer(self.fine_features(inputs), coarse)
        return renderer.logits(coarse, steps)

    def render_labels(
        self,
        inputs: Sequence[Tensor],
        coarse: Tensor,
        target: Size | Grid,
        regions: Sequence[Region] | None = None,
    ) -> Tensor:
        """The labels of what :meth:`render` returns, without its logits.

        Args:
            inputs: as in :meth:`render`.
            coarse: as in :meth:`render`.
            target: as in :meth:`render`.
            regions: as in :meth:`render`.

        Returns:
            (N, H, W), int64.
        """
        steps = self.steps(coarse, target, regions)
        return self.labels(self.fine_features(inputs), coarse, steps)

    def labels(
        self, fine: Sequence[Tensor], coarse: Tensor, steps: Sequence[Step]
    ) -> Tensor:
        """The tensor part of :meth:`render_labels`, which compiles to one graph."""
        with torch.no_grad():
            return self.renderer(fine, coarse).labels(coarse, steps)

    def render_steps(
        self,
        inputs: Sequence[Tensor],
        coarse: Tensor,
        target: Size | Grid,
        regions: Sequence[Region] | None = None,
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """The steps of :meth:`render`: logits and the pixels classified again.

        See :meth:`mmseg_pointrend.rendering.refinement.Renderer.refine`.
        """
        steps = self.steps(coarse, target, regions)
        return self.renderer(self.fine_features(inputs), coarse).refine(coarse, steps)

    def steps(
        self,
        coarse: Tensor,
        target: Size | Grid,
        regions: Sequence[Region] | None = None,
    ) -> list[Step]:
        """The steps from a coarse prediction to a target, see :meth:`render`."""
        if not isinstance(target, Grid):
            target = Grid.of_frame(target, self.align_corners)
        grids = subdivision_grids(
            map_size(coarse), target, self.scale_factor, self.align_corners
        )
        return [
            Step.of(grid, self.subdivision_num_points, regions, coarse.device)
            for grid in grids
        ]

    def renderer(self, fine: Sequence[Tensor], coarse: Tensor) -> Renderer:
        """What sharpens logits with the fine features of some images."""
        maps = self.with_windows(fine, coarse)

        def classify(points: Tensor, current: Tensor) -> Tensor:
            return self.classify(maps, coarse, points, current)

        return Renderer(classify, self.uncertainty, self.align_corners, self.threshold)

    def classify(
        self, maps: Sequence[Tensor], coarse: Tensor, points: Tensor, current: Tensor
    ) -> Tensor:
        """Classify points again with the MLP. PointRend, section 3.2.

        Args:
            maps: what :meth:`with_windows` gives, (N, F, h', w') each.
            coarse: the decode head's logits, (N, K, h, w).
            points: (N, P, 2), (x, y) in [0, 1].
            current: logits of the map being refined at the points, (N, K, P).

        Returns:
            (N, K, P).
        """
        read = partial(
            read_features,
            points=points,
            padding_mode=self.padding_mode,
            align_corners=self.align_corners,
        )
        if self.coarse_from == 'initial':
            current = read(coarse)
        return self.mlp(stack([read(features) for features in maps]), current)


def is_index_list(in_index: Any) -> bool:
    """Whether feature maps are named in a way that has one meaning.

    The decode head's features follow those of the backbone, so -1 is theirs.
    """
    if not isinstance(in_index, list | tuple):
        return False
    numbers = [index for index in in_index if type(index) is int]  # True is no number
    names = [index for index in in_index if type(index) is not int]
    if names:
        return names == [DECODE_HEAD] and min(numbers, default=0) >= 0
    return bool(numbers)


def is_channel_list(in_channels: Any) -> bool:
    """Whether channels are counted, one map each."""
    return isinstance(in_channels, list | tuple) and all(
        type(count) is int and count > 0 for count in in_channels
    )


def stack(parts: Sequence[Tensor]) -> Tensor:
    """Channels of several (N, C, P), without a copy of a single one."""
    return parts[0] if len(parts) == 1 else torch.cat(list(parts), dim=1)
