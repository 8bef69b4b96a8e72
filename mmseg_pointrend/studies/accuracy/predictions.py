"""Several label maps of an image from one run of the network."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from copy import copy
from typing import Any

import torch
from mmseg.models.decode_heads import PointHead
from mmseg.models.segmentors import EncoderDecoder
from mmseg.models.utils import resize
from mmseg.utils import SampleList
from torch import Tensor

from mmseg_pointrend.errors import InputError
from mmseg_pointrend.models import PointRendEncoderDecoder, PointRendHead
from mmseg_pointrend.models.checks import listed
from mmseg_pointrend.rendering.grids import map_size

UPSAMPLED = 'one bilinear resize'
"""The coarse logits after one bilinear resize, what a model without points does."""
RENDERED = 'PointRend'
"""What ``predict`` of a model with points returns."""

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
        A name and N maps (H, W): ``'one bilinear resize'``, then ``'PointRend'`` if
        the model has points, then each of ``settings``.
    """
    ours = isinstance(model, PointRendEncoderDecoder)
    heads = listed(model.decode_head)
    if not ours and not isinstance(heads[-1], PointHead | PointRendHead):
        yield UPSAMPLED, labels_of(model.predict(inputs, samples))
        return
    size = map_size(inputs)
    if ours:
        fine, (*_, coarse) = model.decode(*model.extract(inputs))
    else:
        coarse = heads[0](model.extract_feat(inputs))
    logits = resize(coarse, size, mode='bilinear', align_corners=model.align_corners)
    yield UPSAMPLED, labels_of(model.postprocess_result(logits, samples))
    if not ours:
        yield RENDERED, labels_of(model.predict(inputs, samples))
    else:
        for name, attributes in {RENDERED: {}, **settings}.items():
            head = copy(model.point_head)
            vars(head).update(attributes)
            results = model.predict_from_coarse(fine, coarse, size, samples, head=head)
            yield name, labels_of(results)


def check_whole_images(model: EncoderDecoder) -> None:
    """Refuse a model that :func:`predict_in_each_way` does not do justice.

    Raises:
        InputError: it predicts by windows, or renders at another size.
    """
    if model.test_cfg.mode == 'slide' or model.test_cfg.get('resize_logits', False):
        raise InputError(
            'one run of the network is to give all predictions of an image: set '
            "model.test_cfg.mode='whole' and model.test_cfg.resize_logits=False."
        )


def labels_of(samples: SampleList) -> list[Tensor]:
    """Take the predicted label maps, (H, W) each."""
    return [sample.pred_sem_seg.data.squeeze(0) for sample in samples]
