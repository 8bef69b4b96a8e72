"""Several label maps of an image from one run of the network."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from mmseg.models.segmentors import EncoderDecoder
from mmseg.models.utils import resize
from mmseg.utils import SampleList
from torch import Tensor

from mmseg_pointrend.errors import InputError
from mmseg_pointrend.models import PointRendEncoderDecoder, PointRendHead
from mmseg_pointrend.models.uncertainties import get_uncertainty
from mmseg_pointrend.rendering.grids import map_size
from mmseg_pointrend.studies.accuracy.point_heads import PointHeadComparison

UPSAMPLED = 'upsampled'
"""The coarse logits after one bilinear resize, what a model without points does."""
PREDICTED = 'predicted'
"""What ``predict`` of the model returns."""

RENDERING = ('subdivision_num_points', 'scale_factor', 'coarse_from', 'uncertainty')
"""What can change between training and rendering."""

Settings = Mapping[str, Mapping[str, Any]]


@torch.no_grad()
def predict_in_each_way(
    model: EncoderDecoder, inputs: Tensor, samples: SampleList, settings: Settings
) -> Iterator[tuple[str, list[Tensor]]]:
    """Label maps of images, at the size of the files.

    Args:
        model: any ``EncoderDecoder`` of MMSegmentation or ours.
        inputs: images, (N, 3, H, W), as the network wants them.
        samples: N samples with meta information.
        settings: name and attributes of the point head for each rendering of our
            segmentor, such as ``{'fast': {'subdivision_num_points': 512}}``.

    Yields:
        A name and N maps (H, W): ``'upsampled'``, then ``'predicted'`` if the model
        has points, then each of ``settings``, then each head of ``variants``.
    """
    if isinstance(model, PointRendEncoderDecoder):
        fine, [coarse] = model.decode(*model.extract(inputs))
    else:
        feats = model.extract_feat(inputs)
        heads = getattr(model, 'num_stages', 1)
        first = model.decode_head[0] if heads > 1 else model.decode_head
        coarse = first(feats)
    logits = resize(
        coarse, map_size(inputs), mode='bilinear', align_corners=model.align_corners
    )
    yield UPSAMPLED, labels_of(model.postprocess_result(logits, samples))
    if isinstance(model, PointRendEncoderDecoder):
        head, size = model.point_head, map_size(inputs)
        ways = [(name, head, changes) for name, changes in settings.items()]
        variants = model.variants if isinstance(model, PointHeadComparison) else {}
        ways += [(name, variant, {}) for name, variant in variants.items()]
        for name, chosen, changes in [(PREDICTED, head, {}), *ways]:
            with changed(chosen, changes):
                results = model.predict_from_coarse(
                    fine, coarse, size, samples, head=chosen
                )
            yield name, labels_of(results)
    elif getattr(model, 'num_stages', 1) > 1:
        yield PREDICTED, labels_of(model.predict(inputs, samples))


def labels_of(samples: SampleList) -> list[Tensor]:
    """The predicted label maps, (H, W) each."""
    return [sample.pred_sem_seg.data.squeeze(0) for sample in samples]


@contextmanager
def changed(head: PointRendHead, attributes: Mapping[str, Any]) -> Iterator[None]:
    """Give a head other attributes for a while.

    Raises:
        InputError: an attribute is none of :data:`RENDERING`.
    """
    wrong = [name for name in attributes if name not in RENDERING]
    if wrong:
        raise InputError(
            f'point_head.{wrong[0]} does not act in rendering alone: change one of '
            f'{", ".join(RENDERING)}.'
        )
    before = {name: getattr(head, name) for name in attributes}
    for name, value in attributes.items():
        if name == 'uncertainty':
            value = get_uncertainty(value, head.out_channels, head.threshold)
        setattr(head, name, value)
    try:
        yield
    finally:
        for name, value in before.items():
            setattr(head, name, value)
