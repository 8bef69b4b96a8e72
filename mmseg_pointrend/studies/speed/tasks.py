"""What the contenders do in turn: a training step, ``predict()``, the tail."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import torch
from mmengine.config import ConfigDict
from mmengine.optim import AmpOptimWrapper, OptimWrapper
from mmengine.structures import PixelData
from mmseg.models.segmentors import CascadeEncoderDecoder
from mmseg.structures import SegDataSample
from torch import Tensor, nn

from mmseg_pointrend.models import PointRendEncoderDecoder
from mmseg_pointrend.studies.speed.contenders import build_contenders
from mmseg_pointrend.studies.speed.meters import Call
from mmseg_pointrend.studies.speed.settings import Settings
from mmseg_pointrend.studies.speed.tail_inputs import TailInputs

NOT_TRAINED = {
    'ours-compiled': 'compiled for inference only',
    'ours-fused-compiled': 'compiled for inference only',
}
SAME_FLOPS = {
    'ours-compiled': 'the same arithmetic as ours',
    'ours-fused-compiled': 'the same arithmetic as ours',
}
SAME_TAIL = {
    'plain-d8': 'the same tail as plain',
    'ours-fused-compiled': 'the same tail as ours-compiled',
}


@dataclass
class Task:
    """Calls to compare.

    Args:
        name: key in the JSON file.
        title: for the table.
        calls: a call of each contender.
        absent: contenders without a call, and why.
    """

    name: str
    title: str
    calls: dict[str, Call]
    absent: dict[str, str] = field(default_factory=dict)


def make_task(
    name: str,
    title: str,
    models: Mapping[str, Any],
    absent: Mapping[str, str],
    make_call: Callable[[Any], Call],
    settings: Settings,
) -> Task:
    """A task of the contenders that were asked for and are not absent."""
    return Task(
        name=name,
        title=title,
        calls={
            name: make_call(model)
            for name, model in models.items()
            if name not in absent
        },
        absent={name: absent[name] for name in settings.contenders if name in absent},
    )


def training_task(models: Mapping[str, Any], settings: Settings) -> Task:
    """Whole training steps: preprocessing, losses, gradients and SGD."""

    def make_call(model: Any) -> Call:
        optimizer = _optimizer(model.train(), settings)
        return partial(model.train_step, _training_data(model, settings), optimizer)

    title = f'training step, {_shape(settings.train_batch, settings.train_size)}'
    return make_task('train', title, models, NOT_TRAINED, make_call, settings)


def training_flops_task(models: Mapping[str, Any], settings: Settings) -> Task:
    """The forward pass of a training step, in fp32."""

    def make_call(model: Any) -> Call:
        data = model.data_preprocessor(_training_data(model, settings), True)
        loss = partial(model.train(), **data, mode='loss')
        return _inference(loss, replace(settings, autocast='none'))

    title = f'training forward, {_shape(settings.train_batch, settings.train_size)}'
    return make_task('train_flops', title, models, SAME_FLOPS, make_call, settings)


def predict_task(models: Mapping[str, Any], settings: Settings) -> Task:
    """``predict()`` from normalised images to labels, with post-processing."""
    torch.compiler.reset()
    inputs = _random(settings, settings.batch, 3, *settings.size)

    def make_call(model: Any) -> Call:
        model.eval()
        return _inference(
            lambda: model.predict(inputs, _blank_samples(settings)), settings
        )

    title = f'predict(), {_shape(settings.batch, settings.size)}'
    return make_task('predict', title, models, {}, make_call, settings)


def predict_flops_task(models: Mapping[str, Any], settings: Settings) -> Task:
    """The same in fp32, without the compiled contenders."""
    eager = {name: model for name, model in models.items() if name not in SAME_FLOPS}
    task = predict_task(eager, replace(settings, autocast='none'))
    absent = {name: SAME_FLOPS[name] for name in models if name in SAME_FLOPS}
    return replace(task, name='predict_flops', absent=absent)


def tail_task(
    name: str, inputs: TailInputs, ours: ConfigDict, settings: Settings
) -> Task:
    """From fine features and coarse logits to samples with labels.

    MMSegmentation's tails are what its ``encode_decode`` and ``predict`` do after the
    coarse head.

    Args:
        name: the kind of logits.
        inputs: where the tail starts.
        ours: config of our model.
        settings: size, precision and contenders.
    """
    # Else torch.compile answers a second size with slower code for any size.
    torch.compiler.reset()
    fine = inputs.fine.to(settings.device, settings.dtype)
    coarse = inputs.coarse.to(settings.device, settings.dtype)
    cfg = deepcopy(ours)
    cfg.point_head.update(in_index=[0], in_channels=[fine.shape[1]])
    models = build_contenders(
        cfg,
        settings,
        [name for name in settings.contenders if name not in SAME_TAIL],
        point_head=inputs.point_head,
    )

    def make_call(model: Any) -> Call:
        return _inference(
            lambda: _run_tail(model, fine, coarse, _blank_samples(settings)), settings
        )

    title = f'tail, {name} logits, {_shape(settings.batch, settings.size)}'
    return make_task(f'tail_{name}', title, models, SAME_TAIL, make_call, settings)


def _run_tail(
    model: Any, fine: Tensor, coarse: Tensor, samples: list[SegDataSample]
) -> list[SegDataSample]:
    metas = [sample.metainfo for sample in samples]
    if isinstance(model, PointRendEncoderDecoder):
        size = metas[0]['img_shape']
        return model.predict_from_coarse([fine], coarse, size, samples)
    if isinstance(model, CascadeEncoderDecoder):
        logits = model.decode_head[-1].predict([fine], coarse, metas, model.test_cfg)
    else:
        logits = model.decode_head.predict_by_feat(coarse, metas)
    return model.postprocess_result(logits, samples)


def _inference(function: Call, settings: Settings) -> Call:
    def call() -> object:
        with torch.no_grad(), settings.autocast_context():
            return function()

    return call


def _blank_samples(settings: Settings) -> list[SegDataSample]:
    """Samples of images that are neither padded nor resized."""
    size = tuple(settings.size)
    meta = dict(img_shape=size, ori_shape=size, pad_shape=size)
    return [SegDataSample(metainfo=meta) for _ in range(settings.batch)]


def _training_data(model: Any, settings: Settings) -> dict[str, list]:
    """Random images (3, H, W), uint8, with a random label for each pixel."""
    random = torch.Generator().manual_seed(settings.seed)
    height, width = settings.train_size
    images, samples = [], []
    for _ in range(settings.train_batch):
        image = torch.randint(256, (3, height, width), generator=random)
        labels = torch.randint(model.num_classes, (1, height, width), generator=random)
        images.append(image.to(torch.uint8))
        samples.append(SegDataSample(gt_sem_seg=PixelData(data=labels)))
    return dict(inputs=images, data_samples=samples)


def _optimizer(model: nn.Module, settings: Settings) -> OptimWrapper:
    # The rate is so low that random labels do not spoil the weights.
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-5, momentum=0.9)
    if settings.autocast == 'none':
        return OptimWrapper(optimizer)
    if settings.device == 'cuda':
        return AmpOptimWrapper(dtype=settings.dtype, optimizer=optimizer)
    return CpuAmpOptimWrapper(optimizer, settings)


class CpuAmpOptimWrapper(OptimWrapper):
    """Autocasts on a CPU, which MMEngine's ``AmpOptimWrapper`` refuses."""

    def __init__(self, optimizer: torch.optim.Optimizer, settings: Settings) -> None:
        super().__init__(optimizer)
        self.settings = settings

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        with super().optim_context(model), self.settings.autocast_context():
            yield


def _random(settings: Settings, *shape: int) -> Tensor:
    random = torch.Generator().manual_seed(settings.seed)
    return torch.randn(shape, generator=random).to(settings.device)


def _shape(batch: int, size: tuple[int, int]) -> str:
    return f'{batch}x{size[0]}x{size[1]}'
