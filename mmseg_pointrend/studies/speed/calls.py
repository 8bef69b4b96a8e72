"""What the contenders do in turn: a training step, ``predict()``, the tail."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from mmengine.optim import OptimWrapper
from mmengine.structures import PixelData
from mmseg.models.segmentors import CascadeEncoderDecoder
from mmseg.structures import SegDataSample
from torch import Tensor

from mmseg_pointrend.models import PointRendEncoderDecoder
from mmseg_pointrend.studies.speed.meters import Call
from mmseg_pointrend.studies.speed.settings import Settings

TRAIN_BATCH = 2


def training_step(model: Any, settings: Settings) -> Call:
    """Make a call of a whole step: preprocessing, losses, gradients and SGD."""
    data = training_data(model.train(), settings)
    # The rate is so low that random labels do not spoil the weights.
    learning = [one for one in model.parameters() if one.requires_grad]
    sgd = torch.optim.SGD(learning, lr=1e-5, momentum=0.9)
    optimizer = OptimWrapper(sgd)

    def step() -> None:
        with settings.autocast_context():
            losses = model(**model.data_preprocessor(data, True), mode='loss')
        optimizer.update_params(model.parse_losses(losses)[0])

    return step


def training_forward(model: Any, settings: Settings) -> Call:
    """Make a call of a training step's forward pass."""
    data = model.data_preprocessor(training_data(model, settings), True)
    return inference(partial(model.train(), **data, mode='loss'), settings)


def prediction(model: Any, settings: Settings) -> Call:
    """Make a call from a normalised image to labels, with post-processing."""
    model.eval()
    random = torch.Generator().manual_seed(settings.seed)
    image = torch.randn(1, 3, *settings.size, generator=random).to(settings.device)
    return inference(lambda: model.predict(image, [blank_sample(settings)]), settings)


def tail(model: Any, fine: Tensor, coarse: Tensor, settings: Settings) -> Call:
    """Make a call from fine features and coarse logits to a sample with labels.

    MMSegmentation's tails are what its ``encode_decode`` and ``predict`` do after the
    coarse head.
    """

    size = tuple(settings.size)

    def call() -> list[SegDataSample]:
        samples = [blank_sample(settings)]
        if isinstance(model, PointRendEncoderDecoder):
            return model.predict_from_coarse([fine], coarse, size, samples)
        metas = [samples[0].metainfo]
        if isinstance(model, CascadeEncoderDecoder):
            head = model.decode_head[-1]
            logits = head.predict([fine], coarse, metas, model.test_cfg)
        else:
            logits = model.decode_head.predict_by_feat(coarse, metas)
        return model.postprocess_result(logits, samples)

    return inference(call, settings)


def inference(function: Call, settings: Settings) -> Call:
    """Call a function without gradients and in the precision of the settings."""

    def call() -> object:
        with torch.no_grad(), settings.autocast_context():
            return function()

    return call


def blank_sample(settings: Settings) -> SegDataSample:
    """Describe an image that is neither padded nor resized."""
    size = tuple(settings.size)
    return SegDataSample(metainfo=dict(img_shape=size, ori_shape=size, pad_shape=size))


def training_data(model: Any, settings: Settings) -> dict[str, list]:
    """Draw images (3, H, W), uint8, with a random label for each pixel."""
    random = torch.Generator().manual_seed(settings.seed)
    draw = partial(torch.randint, generator=random)
    images, samples = [], []
    for _ in range(TRAIN_BATCH):
        images.append(draw(256, (3, *settings.train_size)).to(torch.uint8))
        labels = PixelData(data=draw(model.num_classes, (1, *settings.train_size)))
        samples.append(SegDataSample(gt_sem_seg=labels))
    return dict(inputs=images, data_samples=samples)
