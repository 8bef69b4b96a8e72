"""Several label maps of an image from one run of the network."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from copy import copy
from typing import Any

import torch
from mmengine.structures import PixelData
from mmseg.models.decode_heads import PointHead
from mmseg.models.segmentors import EncoderDecoder
from mmseg.models.utils import resize
from mmseg.utils import SampleList
from torch import Tensor

from mmseg_pointrend.errors import InputError
from mmseg_pointrend.models import (
    PointRendEncoderDecoder,
    PointRendHead,
    RefinedSegmentor,
)
from mmseg_pointrend.models.checks import listed
from mmseg_pointrend.rendering.grids import map_size
from mmseg_pointrend.rendering.points import hardest_pixels
from mmseg_pointrend.rendering.uncertainty import logit_margin

UPSAMPLED = 'one bilinear resize'
"""The coarse logits after one bilinear resize, what a model without points does."""
RENDERED = 'PointRend'
"""What ``predict`` of a model with points returns."""

Settings = Mapping[str, Mapping[str, Any]]
"""Attributes of the point head for each rendering: ``{'fast': {'coarse_from': …}}``."""


@torch.no_grad()
def predict_in_each_way(
    model: EncoderDecoder,
    inputs: Tensor,
    samples: SampleList,
    settings: Settings,
    ceilings: Sequence[int] = (),
) -> Iterator[tuple[str, list[Tensor]]]:
    """Predict label maps of images, at the size of the files.

    Args:
        model: any ``EncoderDecoder`` of MMSegmentation or ours, or one refined.
        inputs: images, (N, 3, H, W), as the network wants them.
        samples: N samples with meta information.
        settings: for our segmentor, what changes between training and rendering.
        ceilings: at how many of the hardest pixels to write the truth.

    Yields:
        A name and N maps (H, W): ``'one bilinear resize'``, then that with the truth
        at each of ``ceilings``, then ``'PointRend'`` if the model has points, then each
        of ``settings``; after each of these, ``', refined'`` if the model refines.
    """
    if isinstance(model, RefinedSegmentor):
        ways = predict_in_each_way(model.segmentor, inputs, samples, settings, ceilings)
        for name, maps in ways:
            yield name, maps
            for sample, labels in zip(samples, maps, strict=True):
                sample.pred_sem_seg = PixelData(data=labels[None])
            yield f'{name}, refined', model.refine(inputs, samples)
        return
    ours = isinstance(model, PointRendEncoderDecoder)
    heads = listed(model.decode_head)
    if not ours and not isinstance(heads[-1], PointHead | PointRendHead):
        yield from with_ceilings(model.predict(inputs, samples), heads[-1], ceilings)
        return
    size = map_size(inputs)
    if ours:
        fine, (*_, coarse) = model.decode(*model.extract(inputs))
    else:
        coarse = heads[0](model.extract_feat(inputs))
    logits = resize(coarse, size, mode='bilinear', align_corners=model.align_corners)
    results = model.postprocess_result(logits, samples)
    yield from with_ceilings(results, heads[0], ceilings)
    if not ours:
        yield RENDERED, labels_of(model.predict(inputs, samples))
    else:
        for name, attributes in {RENDERED: {}, **settings}.items():
            head = copy(model.point_head)
            vars(head).update(attributes)
            results = model.predict_from_coarse(fine, coarse, size, samples, head=head)
            yield name, labels_of(results)


def with_ceilings(
    samples: SampleList, head: Any, ceilings: Sequence[int]
) -> Iterator[tuple[str, list[Tensor]]]:
    """Yield predicted labels, and what they were with the truth at hard pixels.

    Args:
        samples: with ``seg_logits``, ``pred_sem_seg`` and, for ceilings, the truth.
        head: the head that made the logits.
        ceilings: how many pixels of an image know the truth.
    """
    before = labels_of(samples)
    yield UPSAMPLED, before
    for count in ceilings:
        maps = []
        for sample, labels in zip(samples, before, strict=True):
            logits = sample.seg_logits.data.unsqueeze(0)
            if len(logits[0]) > 1:
                hardness = logit_margin(logits)
            else:  # a probability
                hardness = -(logits[:, 0] - head.threshold).abs()
            hardest = hardest_pixels(hardness, min(count, labels.numel()))[0]
            truth = sample.gt_sem_seg.data.flatten().to(labels)
            better = labels.flatten().scatter(0, hardest, truth[hardest])
            maps.append(better.view_as(labels))
        yield f'truth at the {count} hardest pixels', maps


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
