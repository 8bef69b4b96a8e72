"""PointRend for semantic segmentation: a loss on points and a cascade renderer."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from mmseg.registry import MODELS
from mmseg.utils import SampleList
from torch import Tensor

from mmseg_pointrend.errors import InputError
from mmseg_pointrend.models.cascade_head import CascadeHead
from mmseg_pointrend.models.checks import (
    DECODE_HEAD,
    check_channels,
    check_fine_features,
    check_point_head,
    listed,
)
from mmseg_pointrend.models.losses import check_labels, guard_losses
from mmseg_pointrend.models.point_loss import point_losses
from mmseg_pointrend.models.uncertainties import get_uncertainty
from mmseg_pointrend.models.view import paddings_of
from mmseg_pointrend.rendering.grids import Grid, Region, Size, map_size, valid_regions
from mmseg_pointrend.rendering.points import default_num_points, sample_training_points
from mmseg_pointrend.rendering.refinement import Renderer, Step, plan
from mmseg_pointrend.rendering.sampling import (
    point_sample,
    sample_features,
    windows,
)


@MODELS.register_module()
class PointRendHead(CascadeHead):
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
            over the points that are not ignored. Nothing of the decode head's.
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
        check_fine_features(in_index, in_channels)
        mlp = {'type': 'PointMLP', **(mlp or {})}
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
        self.weights = 'initial'  # 'missing' in a file that was loaded, or 'known'
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
        check_point_head(self)
        guard_losses('point_head', self)
        cells = coarse_window**2 if coarse_window > 1 else 0
        self.mlp = MODELS.build(
            mlp,
            default_args=dict(
                in_channels=sum(in_channels) + cells * self.out_channels,
                coarse_channels=self.out_channels,
                out_channels=self.out_channels,
            ),
        )

    def _load_from_state_dict(
        self, state_dict: dict[str, Tensor], prefix: str, *args: Any
    ) -> None:
        super()._load_from_state_dict(state_dict, prefix, *args)
        fit = all(
            getattr(state_dict.get(prefix + name), 'shape', None) == weight.shape
            for name, weight in self.named_parameters()
        )
        if fit or self.weights == 'initial':
            self.weights = 'known' if fit else 'missing'

    def choose(self, feats: Sequence[Tensor]) -> list[Tensor]:
        """Choose the fine features, those maps that ``in_index`` names.

        Args:
            feats: feature maps, and last, where ``in_index`` names them, the features
                of the decode head.

        Raises:
            InputError: an index or a channel count does not fit.
        """
        check_channels('point_head', self, feats)
        return [feats[index] for index in self.in_index]

    def with_windows(self, fine: Sequence[Tensor], coarse: Tensor) -> list[Tensor]:
        """List the maps that the MLP reads at a point beside its coarse prediction.

        Args:
            fine: fine feature maps.
            coarse: logits of the decode head, (N, K, h, w).

        Returns:
            The fine features and, if ``coarse_window`` w is above 1, the logits of the
            w * w cells around each cell as another map, (N, K * w * w, h, w).
        """
        if self.coarse_window == 1:
            return list(fine)
        return [*fine, windows(coarse, self.coarse_window)]

    def sample(self, maps: Sequence[Tensor], points: Tensor) -> Tensor:
        """Interpolate several maps at points and stack their channels: (N, C, P)."""
        return sample_features(
            maps,
            points,
            padding_mode=self.padding_mode,
            align_corners=self.align_corners,
        )

    def point_loss(
        self, fine: Sequence[Tensor], coarse: Tensor, batch_data_samples: SampleList
    ) -> dict[str, Tensor]:
        """Losses and accuracy on chosen points. PointRend, section 3.1.

        Args:
            fine: fine features, of :meth:`choose`.
            coarse: logits of the decode head, (N, K, h, w).
            batch_data_samples: N samples with ``gt_sem_seg`` (1, H, W).

        Returns:
            The losses by name and ``acc_point`` in percent.
        """
        self.weights = 'known'
        if self.detach:
            fine, coarse = [one.detach() for one in fine], coarse.detach()
        check_labels(batch_data_samples)
        labels = self._stack_batch_gt(batch_data_samples)
        size = map_size(labels)
        points = sample_training_points(
            coarse.detach(),
            self.uncertainty,
            num_points=self.num_points or default_num_points(size),
            oversample_ratio=self.oversample_ratio,
            importance_sample_ratio=self.importance_sample_ratio,
            padding_mode=self.padding_mode,
            align_corners=self.align_corners,
            regions=valid_regions(
                paddings_of(batch_data_samples), size, align_corners=self.align_corners
            ),
        )
        seen = self.sample(self.with_windows(fine, coarse), points)
        logits = self.mlp(seen, self.sample([coarse], points))
        return self.loss_by_feat(logits, points, labels)

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
        return point_losses(
            listed(self.loss_decode),
            point_logits,
            sampled.squeeze(1).long(),
            ignore_index=self.ignore_index,
            threshold=self.threshold,
        )

    def steps(
        self,
        coarse: Tensor,
        target: Size | Grid,
        regions: Sequence[Region] | None = None,
    ) -> list[Step]:
        """Plan the way to a target, see :func:`plan`.

        Args:
            coarse: logits of the decode head, (N, K, h, w).
            target: (H, W) of the result, or a grid that covers a part of the image.
            regions: the part of each image that is not padding.
        """
        return plan(
            coarse,
            target,
            regions,
            num_points=self.subdivision_num_points,
            scale_factor=self.scale_factor,
            align_corners=self.align_corners,
        )

    def render(
        self, fine: Sequence[Tensor], coarse: Tensor, steps: Sequence[Step]
    ) -> Tensor:
        """Sharpen a coarse prediction while upsampling it.

        Args:
            fine: fine features, of :meth:`choose`.
            coarse: logits of the decode head, (N, K, h, w).
            steps: of :meth:`steps`.

        Returns:
            Logits, (N, K, H, W), float32.

        Raises:
            InputError: weights were loaded, but none that fit this head, and it has
                not been trained since.
        """
        return self.renderer(fine, coarse).logits(coarse, steps)

    def render_labels(
        self, fine: Sequence[Tensor], coarse: Tensor, steps: Sequence[Step]
    ) -> Tensor:
        """Find the labels of what :meth:`render` returns, without its logits.

        Args and errors are those of :meth:`render`.

        Returns:
            (N, H, W), int64.
        """
        with torch.no_grad():
            return self.renderer(fine, coarse).labels(coarse, steps)

    def renderer(self, fine: Sequence[Tensor], coarse: Tensor) -> Renderer:
        """Make what sharpens logits with the fine features of some images."""
        if self.weights == 'missing':
            raise InputError(
                'the weights that were loaded have none for this point head, and '
                'random ones would spoil the prediction: train with load_from=FILE, or '
                'take the plain config.'
            )
        classify = partial(self.classify, self.with_windows(fine, coarse), coarse)
        return Renderer(classify, self.uncertainty, self.align_corners, self.threshold)

    def classify(
        self, maps: Sequence[Tensor], coarse: Tensor, points: Tensor, current: Tensor
    ) -> Tensor:
        """Classify points again with the MLP. PointRend, section 3.2.

        Args:
            maps: what :meth:`with_windows` gives, (N, F, h', w') each.
            coarse: logits of the decode head, (N, K, h, w).
            points: (N, P, 2), (x, y) in [0, 1].
            current: logits of the map being refined at the points, (N, K, P).

        Returns:
            (N, K, P).
        """
        if self.coarse_from == 'initial':
            current = self.sample([coarse], points)
        return self.mlp(self.sample(maps, points), current)
