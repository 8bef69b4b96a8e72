"""The host never waits for a GPU, and hands it every tensor: checked without a GPU.

A CUDA build of torch runs a model on fake tensors, which have a shape and a device but
no values: whatever asks for a value fails. Backward does not run on them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from mmseg.models.decode_heads import decode_head
from mmseg.models.losses import LovaszLoss
from mmseg.registry import MODELS
from torch import Tensor
from torch._subclasses import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from mmseg_pointrend.models import losses, point_loss
from mmseg_pointrend.rendering import points
from tests.helpers import batch, tiny_model_config

pytestmark = pytest.mark.skipif(
    torch.version.cuda is None, reason='needs a CUDA build of torch (not a GPU)'
)

RICH = dict(
    in_index=[0, 'decode_head'],
    in_channels=[8, 8],
    coarse_window=3,
    coarse_from='initial',
    detach=True,
    mlp=dict(type='PointMLP', residual=True),
    loss_decode=[
        dict(type='CrossEntropyLoss'),
        dict(type='LovaszLoss', reduction='none'),
    ],
)
PADDED = dict(ori_shape=(50, 70), padding_size=(0, 26, 0, 14))
SLIDE = dict(mode='slide', crop_size=(48, 64), stride=(32, 32))
TRAINED: dict[str, dict[str, Any]] = {
    'plain': {},
    'rich': dict(head=RICH),
    'bfloat16': dict(amp=True, head=RICH, meta=PADDED),
    'padded': dict(meta=PADDED),
    'aligned corners': dict(head=dict(align_corners=True), meta=PADDED),
    'entropy': dict(head=dict(uncertainty='entropy'), meta=PADDED),
    '150 classes': dict(head=dict(num_classes=150)),
}
PREDICTED: dict[str, dict[str, Any]] = {
    **TRAINED,
    'one image': dict(images=1, meta=PADDED),
    'resized': dict(head=RICH, meta=dict(PADDED, ori_shape=(75, 105))),
    'flipped': dict(meta=dict(PADDED, flip=True, flip_direction='horizontal')),
    'binary': dict(head=dict(num_classes=2, out_channels=1), meta=PADDED),
    'slide': dict(test_cfg=SLIDE, meta=PADDED),
    'logits': dict(test_cfg=dict(return_logits=True), meta=PADDED),
    'resized logits': dict(test_cfg=dict(resize_logits=True), meta=PADDED),
}
WAITS: dict[str, Callable[[Tensor], Any]] = {
    'int': lambda x: int(x.max()),
    'bool': lambda x: bool(x.isfinite().all()),
    'nonzero': lambda x: x.nonzero(),
    'mask': lambda x: x[x > 0],
    'copy to the host': lambda x: x.cpu(),
    'copy from the host': lambda x: torch.arange(5).to(x.device),
    'numbers of the host': lambda x: x.new_tensor([1.0, 2.0]),
    'tensor of the host': lambda x: x + torch.zeros(x.shape),
    'index of the host': lambda x: x[torch.arange(1)],
}


class NoWaits(TorchDispatchMode):
    """Refuses what fake tensors let pass: copies that wait, indices of the host."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        devices = {
            value.device.type
            for value in tree_leaves((args, kwargs, result))
            if isinstance(value, Tensor) and value.dim() > 0  # a number goes along
        }
        if len(devices) > 1 and not kwargs.get('non_blocking'):
            raise RuntimeError(f'{func} waits')
        return result


@pytest.fixture(autouse=True)
def _fake_gpu(monkeypatch):
    """Fake tensors, and stand-ins for what waits in MMSegmentation itself."""

    def total(logits, *_args, **_kwargs):
        return logits.sum()

    counted_loss = losses.counted_loss

    def without_lovasz(loss, *args, **kwargs):
        if isinstance(loss, LovaszLoss):
            return total(*args)
        return counted_loss(loss, *args, **kwargs)

    monkeypatch.setattr(decode_head, 'accuracy', total)
    monkeypatch.setattr(point_loss, 'accuracy', total)
    monkeypatch.setattr(losses, 'counted_loss', without_lovasz)
    # Fake tensors see an operator of our own from outside; here they go through it.
    monkeypatch.setattr(points, 'largest', points.largest._init_fn)
    # Autocast turns itself off without a GPU.
    common = torch.cuda.amp.common
    monkeypatch.setattr(common, 'amp_definitely_not_available', lambda: False)
    monkeypatch.setattr(torch.cuda, 'is_bf16_supported', lambda: True)
    with FakeTensorMode():
        yield


def build(*, head=None, meta=None, test_cfg=None, images=2, amp=False):
    """A model and a batch on the fake GPU, and the context to run them in."""
    cfg = tiny_model_config(**(head or {}))
    cfg.test_cfg.update(test_cfg or {})
    with torch.device('cuda'):
        model = MODELS.build(cfg)
        data = batch((64, 96), images, **(meta or {}))
    return model, data, torch.autocast('cuda', torch.bfloat16, enabled=amp)


def predict(model, data, precision):
    with torch.no_grad(), NoWaits(), precision:
        return model.eval().predict(*data)


def loss(model, data, precision):
    with NoWaits(), precision:
        return model.train().loss(*data)


@pytest.mark.parametrize('case', PREDICTED)
def test_prediction_does_not_wait(case):
    for sample in predict(*build(**PREDICTED[case])):
        labels = sample.pred_sem_seg.data
        assert labels.shape[1:] == sample.ori_shape
        assert labels.device.type == 'cuda'


@pytest.mark.parametrize('case', TRAINED)
def test_training_does_not_wait(case):
    losses = loss(*build(**TRAINED[case]))
    assert {value.device.type for value in losses.values()} == {'cuda'}


@pytest.mark.parametrize('wait', WAITS)
@pytest.mark.parametrize('run', [predict, loss])
def test_a_wait_is_found(run, wait):
    model, data, precision = build()
    measure = model.point_head.uncertainty

    def waiting_measure(logits):
        WAITS[wait](logits)
        return measure(logits)

    model.point_head.uncertainty = waiting_measure
    refused = 'local_scalar_dense|nonzero|different devices|waits'
    with pytest.raises(RuntimeError, match=refused):
        run(model, data, precision)
