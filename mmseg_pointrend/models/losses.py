"""Losses of every head: those that cannot be right refused, the others see what counts.

Shapes: N images, K output channels, P pixels or points that count, of logits (N, K,
...) and labels (N, ...), which are maps or, for points, maps of width 1.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from functools import partial
from inspect import signature
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from mmengine.logging import print_log
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.models.losses import (
    CrossEntropyLoss,
    DiceLoss,
    FocalLoss,
    HuasdorffDisstanceLoss,
    LovaszLoss,
    TverskyLoss,
)
from mmseg.models.losses.lovasz_loss import lovasz_softmax
from mmseg.utils import SampleList
from torch import Tensor

from mmseg_pointrend.errors import InputError
from mmseg_pointrend.models.checks import NOT_ONE_MAP, listed, numbered

OF_A_SET = DiceLoss, FocalLoss, LovaszLoss, TverskyLoss
"""Losses of MMSegmentation's that need no map, beside cross-entropy."""
KNOWN = CrossEntropyLoss, HuasdorffDisstanceLoss, *OF_A_SET
"""All that heads can have of MMSegmentation's."""


def check_labels(samples: SampleList) -> None:
    """Refuse labels of another size than their images, where padding fits one alone.

    Raises:
        InputError: names the first label.
    """
    for sample in samples:
        # What MMSegmentation noted when it padded an image and its label.
        left, right, top, bottom = sample.get('padding_size') or (0, 0, 0, 0)
        if left + right + top + bottom and len(sample.gt_sem_seg.data) == 1:
            height, width = sample.pad_shape
            sizes = (height - top - bottom, width - left - right), sample.img_shape
            if sizes[0] != tuple(sizes[1]):
                label_size, image_size = ('x'.join(map(str, size)) for size in sizes)
                raise InputError(
                    f'{sample.get("seg_map_path")} has {label_size} pixels and its '
                    f'image {image_size}: put LoadAnnotations before the steps of '
                    'train_dataloader.dataset.pipeline that change the size, and give '
                    'each image a label of its size.'
                )


def guard_heads(model: Any) -> None:
    """Do what :func:`guard_losses` does for the decode and auxiliary heads of a model.

    The points do not inherit ``class_weight``; a model that has it elsewhere says so.
    What pads labels with 255, MMSegmentation's default, follows the decode head.
    """
    padding = model.data_preprocessor
    if getattr(padding, 'seg_pad_val', None) == 255:
        padding.seg_pad_val = model.decode_heads[-1].ignore_index
    heads = [*numbered('decode_head', model.decode_heads)]
    weighted = any(has_weights(head) for _, head in heads)
    if model.with_auxiliary_head:
        heads += numbered('auxiliary_head', listed(model.auxiliary_head))
    for key, head in heads:
        if type(head).__name__ not in NOT_ONE_MAP and hasattr(head, 'loss_decode'):
            guard_losses(key, head)
        if getattr(head, 'out_channels', None) == 1:
            head.loss_by_feat = partial(losses_without_accuracy, head)
    if weighted and not has_weights(model.point_head):
        print_log(
            'point_head.loss_decode has no class_weight and does not inherit that of '
            'decode_head: classes weigh the same at the points.',
            logger='current',
            level=logging.WARNING,
        )


def losses_without_accuracy(head: Any, *args: Any) -> dict[str, Tensor]:
    """Leave out MMSegmentation's accuracy, which in one channel is that of label 0."""
    losses = type(head).loss_by_feat(head, *args)
    losses.pop('acc_seg', None)
    return losses


def has_weights(head: Any) -> bool:
    """Tell whether a loss of a head weighs the classes."""
    losses = listed(head.loss_decode)
    return any(getattr(loss, 'class_weight', None) is not None for loss in losses)


def guard_losses(key: str, head: Any) -> None:
    """Refuse losses that cannot be right in a head; others become :func:`counted_loss`.

    Only these objects change, so that MMSegmentation's other models, and the names of
    weights, stay as they are.

    Args:
        key: name of the head in the config.
        head: a decode head, auxiliary head or point head.

    Raises:
        InputError: names the first loss that cannot.
    """
    for loss in listed(head.loss_decode):
        for wrong, what, fix in faults_of(head, loss):
            if wrong:
                raise InputError(f'{key}.{what}: {fix}.')
        loss.forward = partial(counted_loss, loss)


def faults_of(head: Any, loss: Any) -> Iterator[tuple[bool, str, str]]:
    """List what keeps a loss from being right: whether it is so, what, and the fix."""
    kind, channels = type(loss).__name__, head.out_channels
    name, one = f'loss_decode.type={kind!r}', channels == 1
    lovasz, of_maps = isinstance(loss, LovaszLoss), HuasdorffDisstanceLoss
    softmax = isinstance(loss, KNOWN) and not getattr(loss, 'use_sigmoid', False)
    fix = 'set use_sigmoid=True' if hasattr(loss, 'use_sigmoid') else "use 'DiceLoss'"
    if lovasz:
        softmax = loss.cls_criterion is lovasz_softmax
        fix = "set loss_type='binary'"
    yield (
        not takes_labels(head, loss),
        f'{name} takes no ignore_index or no weight',
        "use 'CrossEntropyLoss'",
    )
    yield (
        isinstance(loss, of_maps) and hasattr(head, 'point_loss'),
        f'{name} wants a map, and points are none',
        "use 'DiceLoss'",
    )
    yield (
        one and softmax,
        f'{name} takes a softmax, which is 1 everywhere in one channel',
        fix,
    )
    yield (
        lovasz and not softmax and not one,
        "loss_decode.loss_type='binary' is for one channel",
        "set loss_type='multi_class'",
    )
    weights = getattr(loss, 'class_weight', None)
    of_cross_entropy = isinstance(loss, CrossEntropyLoss) and not one
    without = not softmax and (lovasz or of_cross_entropy)
    yield (
        weights is not None and (without or isinstance(loss, of_maps)),
        f'loss_decode.class_weight does not work in {kind}'
        + ' without softmax' * without,
        'remove it',
    )
    alpha = getattr(loss, 'alpha', None)
    for key, values, known in (
        ('class_weight', weights, KNOWN),
        ('alpha', alpha if isinstance(alpha, list) else None, FocalLoss),
    ):
        shape = np.shape(values)  # type: ignore[arg-type]
        yield (
            isinstance(loss, known) and values is not None and shape != (channels,),
            f'loss_decode.{key} has the shape {shape}',
            'give one number, the weight of the foreground'
            if one
            else f'give {channels} numbers, one for each class',
        )
    sampler = getattr(head, 'sampler', None)
    yield (
        one and getattr(sampler, 'thresh', None) is not None,
        'sampler.thresh is that of a softmax, which is 1 everywhere in one channel',
        'remove it, so that min_kept decides',
    )
    yield (
        sampler is not None and isinstance(loss, DiceLoss | FocalLoss),
        f'sampler weighs pixels, which {name} cannot',
        'remove one of the two',
    )


def takes_labels(head: Any, loss: Any) -> bool:
    """Tell whether a loss takes what points, or MMSegmentation's heads, give it."""
    given = {'ignore_index': 0}
    if not hasattr(head, 'point_loss'):
        given['weight'] = 0
        if type(head).loss_by_feat is not BaseDecodeHead.loss_by_feat:
            return True
    try:
        signature(type(loss).forward).bind(loss, 0, 0, **given)
    except TypeError:
        return False
    return True


def counted_loss(
    loss: Any, logits: Tensor, labels: Tensor, *args: Any, **kwargs: Any
) -> Tensor:
    """Compute a loss in which what has the label ``ignore_index`` counts nowhere.

    Cross-entropy divides by what its ``avg_non_ignore`` says, or by the weights of the
    classes that count. MMSegmentation's other losses are handed what counts and nothing
    else; one that wants a map, and one that is not MMSegmentation's, finds logits of 0
    where it is ignored. Where nothing counts, the loss and its gradients are 0.

    Args:
        loss: the module; its class has the method.
        logits: (N, K, ...).
        labels: (N, ...), integers; what has another shape is left to the loss.
        args: of the loss.
        kwargs: of the loss, among them ``ignore_index``.
    """
    forward = partial(type(loss).forward, loss)
    ignore_index = kwargs.get('ignore_index')
    if ignore_index is None or labels.dim() + 1 != logits.dim():
        return forward(logits, labels, *args, **kwargs)
    counted = labels != ignore_index
    if isinstance(loss, CrossEntropyLoss):
        if (kwargs.get('reduction_override') or loss.reduction) == 'mean':
            kwargs['avg_factor'] = average_factor(loss, logits, labels, counted)
        if loss.use_sigmoid:  # ignores -1, and wants one label that is not ignore_index
            labels = labels.where(counted, -1)
            kwargs['ignore_index'] = -100
        return forward(logits, labels, *args, **kwargs)
    if not counted.any():
        return logits.where(counted.unsqueeze(1), 0).sum()
    if not isinstance(loss, OF_A_SET):
        if isinstance(loss, HuasdorffDisstanceLoss):
            labels = labels.where(counted, 0)
        logits = logits.where(counted.unsqueeze(1), 0)
        return forward(logits, labels, *args, **kwargs)
    pieces = [(logits, labels)]
    if not counted.all():
        by_image = getattr(loss, 'per_image', not isinstance(loss, FocalLoss))
        size = 1 if by_image else len(logits)
        parts = zip(
            *(one.split(size) for one in (logits, labels, counted)), strict=True
        )
        pieces = [only(*part) for part in parts if part[2].any()]
    # Nothing is ignored any more; Lovász fails on one pixel unless it is told so.
    rest = None if isinstance(loss, LovaszLoss) else -1
    values = [
        forward(piece, target_of(loss, piece, truth), ignore_index=rest)
        for piece, truth in pieces
    ]
    total = torch.stack([value.mean() for value in values])
    return total.sum() if getattr(loss, 'reduction', 'mean') == 'sum' else total.mean()


def average_factor(
    loss: Any, logits: Tensor, labels: Tensor, counted: Tensor
) -> Tensor | None:
    """Count what the average of cross-entropy divides by; None for all that there is.

    MMSegmentation fetches the number from the GPU, and with class weights it fails on
    ignored labels; a tensor avoids both.
    """
    if loss.class_weight is not None and not loss.use_sigmoid:
        weights = torch.as_tensor(loss.class_weight, dtype=torch.float32)
        weights = weights.to(labels.device, non_blocking=True)
        return (weights[labels.where(counted, 0)] * counted).sum()
    if not loss.avg_non_ignore:
        return None
    return counted.sum() * (logits.shape[1] if loss.use_sigmoid else 1)


def only(logits: Tensor, labels: Tensor, counted: Tensor) -> tuple[Tensor, Tensor]:
    """Make one map of width 1 of all that counts: (1, K, P, 1) and (1, P, 1)."""
    index = counted.flatten().nonzero().squeeze(1)
    kept = logits.transpose(0, 1).flatten(1).index_select(1, index)
    return kept[None, :, :, None], labels.flatten()[index][None, :, None]


def target_of(loss: Any, logits: Tensor, labels: Tensor) -> Tensor:
    """Write labels as the loss reads them right.

    MMSegmentation's Dice takes one channel for that of the background, and its focal
    loss fails on labels on a CPU; neither does with a target of the logits' shape.
    """
    binary_dice = isinstance(loss, DiceLoss) and logits.shape[1] == 1
    if binary_dice or (isinstance(loss, FocalLoss) and not logits.is_cuda):
        if logits.shape[1] == 1:
            return labels.unsqueeze(1)
        return F.one_hot(labels, logits.shape[1]).movedim(-1, 1)
    return labels
