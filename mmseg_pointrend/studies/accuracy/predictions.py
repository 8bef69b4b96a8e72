"""Several label maps of an image from one run of the network."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from copy import copy
from typing import Any

import torch
from mmseg.models.segmentors import EncoderDecoder
from mmseg.models.utils import resize
from mmseg.utils import SampleList
from torch import Tensor

from mmseg_pointrend.models import PointRendEncoderDecoder
from mmseg_pointrend.rendering.grids import map_size

UPSAMPLED = 'upsampled'
"""The coarse logits after one bilinear resize, what a model without points does."""
PREDICTED = 'predicted'
"""What ``predict`` of the model returns."""

Settings = Mapping[str, Mapping[str, Any]]
"""Attributes of the point head for each rendering: ``{'fast': {'coarse_from': …}}``."""


@torch.no_grad()
def predict_in_each_way(
    model: EncoderDecoder, inputs: Tensor, samples: SampleList, settings: Settings
) -> Iterator[tuple[str, list[Tensor]]]:
    """Predict label maps of images, at the size of the files.

    Args:
        model: any ``EncoderDecoder`` of MMSegmentation or ours.
        inputs: images, (N, 3, H, W), as the network wants them.
        samples: N samples with meta information.
        settings: for our segmentor, what changes between training and rendering.

    Yields:
        A name and N maps (H, W): ``'upsampled'``, then ``'predicted'`` if the model
        has points, then each of ``settings``.
    """
    ours = isinstance(model, PointRendEncoderDecoder)
    cascade = not ours and getattr(model, 'num_stages', 1) > 1
    size = map_size(inputs)
    if ours:
        fine, (*_, coarse) = model.decode(*model.extract(inputs))
    else:
        first = model.decode_head[0] if cascade else model.decode_head
        coarse = first(model.extract_feat(inputs))
    logits = resize(coarse, size, mode='bilinear', align_corners=model.align_corners)
    yield UPSAMPLED, labels_of(model.postprocess_result(logits, samples))
    if cascade:
        yield PREDICTED, labels_of(model.predict(inputs, samples))
    if ours:
        for name, attributes in {PREDICTED: {}, **settings}.items():
            head = copy(model.point_head)
            vars(head).update(attributes)
            results = model.predict_from_coarse(fine, coarse, size, samples, head=head)
            yield name, labels_of(results)


def labels_of(samples: SampleList) -> list[Tensor]:
    """Take the predicted label maps, (H, W) each."""
    return [sample.pred_sem_seg.data.squeeze(0) for sample in samples]
