"""What every host of a point head must do, tried on a narrow copy of its config."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from mmengine.config import Config, ConfigDict
from mmengine.runner import load_checkpoint, save_checkpoint
from mmseg.registry import MODELS
from torch import nn

from tests.helpers import ROOT, batch

HOSTS = sorted(ROOT.glob('configs/hosts/*.py')) + [
    ROOT / f'configs/pointrend_deeplabv3plus_{name}.py'
    for name in (
        'r18-d16_4xb2-80k_cityscapes-512x1024',
        'cityscapes',
        'r101-d16_4xb2-80k_cityscapes-512x1024',
        'efficientnet-lite0-d16_1xb4-2k_camvid-360x480',
    )
]
HOSTS.append(
    ROOT / 'configs/pointrend_sfnet_efficientnet-lite0_1xb4-2k_camvid-360x480.py'
)
SIZE = 64, 96
STEPS = 8
# By how much the backbone's channels, and those that must equal them, are divided.
NARROWER = dict(ResNetV1c=8, HRNet=2, SwinTransformer=4, MixVisionTransformer=4)
TIED = {'in_channels', 'c1_in_channels', 'embed_dims', 'num_channels'}
FREE = {'channels', 'c1_channels', 'ocr_channels', 'hidden_channels'}


def narrow(value: Any, divisor: int, key: str = '') -> Any:
    """A config with fewer channels, and BN for SyncBN, which wants a GPU."""
    if isinstance(value, dict):
        return {name: narrow(one, divisor, name) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(narrow(one, divisor, key) for one in value)
    if value == 'SyncBN':
        return 'BN'
    return value // divisor if key in TIED else value // 8 if key in FREE else value


@cache
def small_config(path: Path) -> ConfigDict:
    """The model of a config file, made small and without pretrained weights."""
    cfg = Config.fromfile(path).model
    cfg.point_head = {'in_index': [0], 'in_channels': [256], **cfg.point_head}
    divisor = NARROWER.get(cfg.backbone.type, 1)
    cfg = ConfigDict(narrow(cfg, divisor))
    cfg.pretrained = None
    cfg.backbone.pop('init_cfg', None)
    if 'ResNet' in cfg.backbone.type:
        cfg.backbone.update(base_channels=64 // divisor, stem_channels=64 // divisor)
    for stage in cfg.backbone.get('extra', {}).values():
        stage.update(num_modules=1, num_blocks=(1,) * stage.num_branches)
    if 'out_channels' in cfg.get('neck', {}):
        cfg.neck.out_channels //= divisor
    if 'channels' in cfg.get('neck', {}):  # of the heads too
        cfg.decode_head.in_channels = 4 * cfg.neck.channels
        for head in cfg.auxiliary_head:
            head.in_channels = cfg.neck.channels
    cfg.data_preprocessor.size = SIZE
    heads, points = cfg.decode_head, cfg.point_head
    last = heads[-1] if isinstance(heads, list) else heads
    points.subdivision_num_points = 128
    points.in_channels = [
        last.channels if index == 'decode_head' else channels
        for index, channels in zip(points.in_index, points.in_channels, strict=True)
    ]
    return cfg


def plain_config(path: Path) -> ConfigDict:
    """MMSegmentation's own small model."""
    cfg = deepcopy(small_config(path))
    del cfg.point_head
    cfg.type = 'EncoderDecoder'
    if isinstance(cfg.decode_head, list):
        cfg.update(type='CascadeEncoderDecoder', num_stages=len(cfg.decode_head))
    return cfg


@cache
def initialised(path: Path) -> Any:
    """The small model; predictors start close to zero, here they matter."""
    torch.manual_seed(0)
    model = MODELS.build(deepcopy(small_config(path)))
    model.init_weights()
    for predictor in (model.point_head.mlp.predictor, model.decode_heads[-1].conv_seg):
        nn.init.normal_(predictor.weight, std=0.5)
    return model.eval()


def host(path: Path, **test_cfg: Any) -> Any:
    """A copy of the small model in evaluation mode."""
    model = deepcopy(initialised(path))
    model.test_cfg.update(test_cfg)
    return model


def auxiliary_heads(model: Any) -> Sequence[nn.Module]:
    """All auxiliary heads; there may be none."""
    if not model.with_auxiliary_head:
        return []
    heads = model.auxiliary_head
    return list(heads) if isinstance(heads, nn.ModuleList) else [heads]


def builds_as_the_plain_model_and_a_point_head(path: Path) -> None:
    plain = MODELS.build(plain_config(path))
    names = set(initialised(path).state_dict())
    ours = {name for name in names if name.startswith('point_head.')}
    assert ours
    assert names - ours == set(plain.state_dict())


@cache
def trained(path: Path) -> tuple[list[dict[str, float]], list[str]]:
    """Losses of each step on one batch, and the parameters no gradient reached."""
    torch.manual_seed(0)
    model = host(path).train()
    inputs, samples = batch(SIZE)
    for sample in samples:
        sample.gt_sem_seg.data[..., :48] = 0
        sample.gt_sem_seg.data[..., 48:] = 1
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    history, missed = [], dict(model.named_parameters())
    for _ in range(STEPS):
        losses = model.loss(inputs, samples)
        optimizer.zero_grad()
        model.parse_losses(losses)[0].backward()
        for name, parameter in list(missed.items()):
            if parameter.grad is not None and parameter.grad.any():
                del missed[name]
        optimizer.step()
        history.append({name: value.item() for name, value in losses.items()})
    return history, list(missed)


def every_loss_falls(path: Path) -> None:
    history, _ = trained(path)
    names = [name for name in history[0] if '.loss' in name]
    heads = {name.partition('.')[0].partition('_')[0] for name in names}
    assert heads >= {'decode', 'point'}
    for name in names:
        assert history[-1][name] < history[0][name], name


def gradients_reach_every_parameter(path: Path) -> None:
    _, missed = trained(path)
    assert missed == []


def each_head_runs_once(path: Path) -> None:
    model = host(path)
    modules = dict(
        backbone=[model.backbone],
        decode_head=model.decode_heads,
        auxiliary_head=auxiliary_heads(model),
    )
    calls: list[str] = []

    def note(module: nn.Module, name: str) -> None:
        forward = module.forward
        module.forward = lambda *args: calls.append(name) or forward(*args)

    for name, several in modules.items():
        for module in several:
            note(module, name)
    counts = {name: len(several) for name, several in modules.items()}
    inputs, samples = batch(SIZE, num_classes=2)
    model.train().loss(inputs, samples)
    assert {name: calls.count(name) for name in modules} == counts
    tracked = [
        int(value)
        for name, value in model.state_dict().items()
        if name.endswith('num_batches_tracked')
    ]
    assert set(tracked) == {1}
    calls.clear()
    with torch.no_grad():
        model.eval().predict(inputs, samples)
    assert {name: calls.count(name) for name in modules} == {
        **counts,
        'auxiliary_head': 0,
    }


@torch.no_grad()
def labels_are_the_argmax_of_the_logits_at_the_original_size(path: Path) -> None:
    inputs, samples = batch(SIZE, images=1, ori_shape=(100, 150))
    label = host(path).predict(inputs, deepcopy(samples))[0].pred_sem_seg.data
    model = host(path, return_logits=True)
    values = model.predict(inputs, samples)[0].seg_logits.data
    assert label.dtype == torch.int64
    assert label.shape == (1, 100, 150)
    if model.out_channels == 1:
        wanted = (values > model.decode_heads[-1].threshold).long()
    else:
        wanted = values.argmax(dim=0, keepdim=True)
    assert label.eq(wanted).float().mean() > 0.999


@torch.no_grad()
def windows_slide(path: Path) -> None:
    model = host(path)
    inputs, _ = batch(SIZE, images=1)
    metas = [dict(ori_shape=SIZE, img_shape=SIZE)]
    whole = model.inference(inputs, metas)
    model.test_cfg.update(mode='slide', crop_size=SIZE, stride=(40, 40))
    torch.testing.assert_close(model.inference(inputs, metas), whole)
    model.test_cfg.update(crop_size=(64, 64), stride=(32, 32))
    slid = model.inference(inputs, metas)
    left, right = model(inputs[..., :64]), model(inputs[..., 32:])
    torch.testing.assert_close(slid[..., :32], left[..., :32])
    middle = (left[..., 32:] + right[..., :32]) / 2
    torch.testing.assert_close(slid[..., 32:64], middle)


@torch.no_grad()
def augmented_views_are_averaged(path: Path) -> None:
    model = host(path)
    tta = MODELS.build(dict(type='PointRendTTAModel', module=model))
    views = [torch.randint(0, 255, (3, *SIZE), dtype=torch.uint8)]
    views.append(views[0].flip(dims=(2,)))
    metas = [dict(), dict(flip=True, flip_direction='horizontal')]
    samples = [batch(SIZE, images=1, img_path='a.png', **meta)[1] for meta in metas]
    data = dict(inputs=[[view] for view in views], data_samples=samples)
    merged = tta.test_step(deepcopy(data))[0]
    assert merged.pred_sem_seg.data.shape == (1, *SIZE)
    assert merged.pred_sem_seg.data.dtype == torch.int64

    def probabilities(index: int) -> torch.Tensor:
        one = {key: deepcopy(value[index]) for key, value in data.items()}
        model.test_cfg['return_logits'] = True
        logits = model.test_step(one)[0].seg_logits.data
        return logits if len(logits) == 1 else logits.softmax(dim=0)

    mean = (probabilities(0) + probabilities(1)) / 2
    torch.testing.assert_close(merged.seg_logits.data, mean)


@torch.no_grad()
def tensor_mode_returns_the_rendered_logits(path: Path) -> None:
    model = host(path, return_logits=True)
    inputs, samples = batch(SIZE, images=1)
    logits = model(inputs)
    assert logits.shape == (1, model.out_channels, *SIZE)
    values = model.predict(inputs, samples)[0].seg_logits.data
    wanted = logits[0].sigmoid() if model.out_channels == 1 else logits[0]
    torch.testing.assert_close(values, wanted)


@torch.no_grad()
def saved_weights_give_the_same_logits(path: Path) -> None:
    model, other = host(path), host(path)
    for parameter in other.parameters():
        nn.init.constant_(parameter, 0.01)
    inputs, _ = batch(SIZE, images=1)
    wanted = model(inputs)
    assert not other(inputs).equal(wanted)
    with TemporaryDirectory() as folder:
        file = f'{folder}/host.pth'
        save_checkpoint(dict(state_dict=model.state_dict()), file)
        load_checkpoint(other, file, strict=True, logger='silent')
    torch.testing.assert_close(other(inputs), wanted, rtol=0, atol=0)


def odd_sizes_are_kept(path: Path) -> None:
    model = host(path)
    image = torch.randint(0, 255, (3, 61, 91), dtype=torch.uint8)
    _, samples = batch((61, 91), images=1)
    with torch.no_grad():
        result = model.test_step(dict(inputs=[image], data_samples=samples))[0]
        assert result.pred_sem_seg.data.shape == (1, 61, 91)
        assert model(batch((61, 91), images=1)[0]).shape[2:] == (61, 91)
    losses = model.train().loss(*batch((61, 91), num_classes=2))
    assert model.parse_losses(losses)[0].isfinite()


def threads_get_what_one_thread_gets(path: Path) -> None:
    """Images of two sizes, so that a foreign state cannot go unseen."""
    sizes = [SIZE, (96, 64)] * 6
    images = [batch(size, images=1)[0] for size in sizes]
    for mode in ('whole', 'slide'):
        check_threads(
            host(path, mode=mode, crop_size=(64, 64), stride=(32, 32)), images
        )


def check_threads(model: Any, images: Sequence[torch.Tensor]) -> None:
    """Predict one image after another, and then several at once."""

    def predict(image: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            return model.predict(image)[0].pred_sem_seg.data

    alone = list(map(predict, images))
    with ThreadPoolExecutor(4) as pool:
        for labels, wanted in zip(pool.map(predict, images), alone, strict=True):
            assert torch.equal(labels, wanted)


def initialisation_touches_every_head(path: Path) -> None:
    model = MODELS.build(deepcopy(small_config(path)))
    for parameter in model.parameters():
        nn.init.constant_(parameter, 7)
    model.init_weights()
    for head in (*model.decode_heads, *auxiliary_heads(model)):
        assert 0.002 < head.conv_seg.weight.std() < 0.02
        assert head.conv_seg.bias.eq(0).all()
    mlp = model.point_head.mlp
    assert 0.0005 < mlp.predictor.weight.std() < 0.002
    for layer in (mlp.predictor, *mlp.hidden):
        assert layer.bias.eq(0).all()
        assert not layer.weight.eq(7).any()


CHECKS: list[Callable[[Path], None]] = [
    builds_as_the_plain_model_and_a_point_head,
    every_loss_falls,
    gradients_reach_every_parameter,
    each_head_runs_once,
    labels_are_the_argmax_of_the_logits_at_the_original_size,
    windows_slide,
    augmented_views_are_averaged,
    tensor_mode_returns_the_rendered_logits,
    saved_weights_give_the_same_logits,
    odd_sizes_are_kept,
    threads_get_what_one_thread_gets,
    initialisation_touches_every_head,
]
