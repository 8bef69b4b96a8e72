"""A training starts from the weights it was given, or says why it does not."""

from __future__ import annotations

import pytest
import torch
from mmseg.registry import MODELS

from mmseg_pointrend.engine.config import load_config
from mmseg_pointrend.engine.runner import build_runner
from mmseg_pointrend.engine.weights import (
    check_weights,
    what_is_pretrained,
    what_is_taken,
)
from mmseg_pointrend.errors import InputError
from tests.helpers import tiny_model_config, train_here

PER_LAYER = dict(mlp=dict(type='PointMLP', coarse_pred_each_layer=True))


def build(num_classes=5, **parts):
    cfg = tiny_model_config(num_classes=num_classes)
    for part, keys in parts.items():
        cfg[part].update(keys)
    return MODELS.build(cfg)


def renamed(weights, old, new):
    return {
        new + name.removeprefix(old) if name.startswith(old) else name: value
        for name, value in weights.items()
    }


def only(weights, *parts):
    return {k: v for k, v in weights.items() if k.startswith(parts)}


def bare(weights):
    backbone = only(weights, 'backbone')
    return renamed(backbone, 'backbone.', '') | {'fc.weight': torch.ones(9, 64)}


PLAIN = 'backbone', 'decode_head', 'auxiliary_head'
TAKEN = 'backbone 110/110, decode_head 72/72, auxiliary_head 7/7'
NEW_CLASSIFIER = (
    'backbone 110/110, decode_head 70/72 (another shape: conv_seg), auxiliary_head 5/7 '
    '(another shape: conv_seg), point_head '
)


@pytest.mark.parametrize(
    ('change', 'line'),
    [
        (lambda w: w, f'{TAKEN}, point_head 8/8'),
        (lambda w: dict(state_dict=w), f'{TAKEN}, point_head 8/8'),
        (lambda w: renamed(w, '', 'module.'), f'{TAKEN}, point_head 8/8'),
        (lambda w: only(w, *PLAIN), f'{TAKEN}; new: point_head'),
        (
            lambda w: only(w, 'backbone') | {'head.fc.weight': torch.ones(9, 64)},
            'backbone 110/110; new: decode_head, auxiliary_head, point_head; not used: '
            'head',
        ),
        (
            lambda w: build(num_classes=7).state_dict(),
            NEW_CLASSIFIER + '5/8 (another shape: mlp.hidden.0, mlp.predictor)',
        ),
        (
            lambda w: {k: v for k, v in w.items() if 'sep_bottleneck.1' not in k},
            'backbone 110/110, decode_head 62/72 (missing: '
            'sep_bottleneck.1.depthwise_conv.conv, sep_bottleneck.1.depthwise_conv.bn, '
            'sep_bottleneck.1.pointwise_conv.conv and 1 more), auxiliary_head 7/7, '
            'point_head 8/8',
        ),
    ],
)
def test_one_line_says_what_is_taken_and_what_is_new(change, line):
    model = build()
    checkpoint = change(model.state_dict())
    assert what_is_taken(model, checkpoint, 'x.pth') == f'load_from: took {line}'


def test_classes_may_be_new_where_every_layer_of_the_points_sees_them():
    model, other = (build(classes, point_head=PER_LAYER) for classes in (5, 7))
    line = what_is_taken(model, other.state_dict(), 'x.pth')
    assert f'took {NEW_CLASSIFIER}3/8 (another shape: mlp.hidden.0, ' in line


FCN = dict(type='FCNHead', in_channels=64, in_index=3, channels=8, num_classes=5)
WIDE = dict(base_channels=16, stem_channels=16)
CALLED = r"^load_from=x.pth calls the weights of the {} '{}\*' and not '{}\*', so "


@pytest.mark.parametrize(
    ('change', 'sentence'),
    [
        *(
            (
                lambda w, p=prefix: renamed(w, '', p),
                CALLED.format('backbone', f'{prefix}backbone.', 'backbone.'),
            )
            for prefix in ('model.', '_orig_mod.')
        ),
        (
            lambda w: renamed(w, 'backbone.', 'encoder.'),
            CALLED.format('backbone', 'encoder.', 'backbone.'),
        ),
        (
            lambda w: dict(ema=renamed(w, '', 'module.'), step=3),
            CALLED.format('backbone', 'ema.module.backbone.', 'backbone.'),
        ),
        (
            lambda w: renamed(w, 'decode_head.', 'decode_head.0.'),
            CALLED.format('decode_head', 'decode_head.0.', 'decode_head.'),
        ),
        (
            bare,
            CALLED.format('backbone', '', 'backbone.')
            + r".*: set load_from=None, .*init_cfg=dict\(type='Pretrained', checkp",
        ),
        (
            lambda w: build(backbone=WIDE, decode_head=dict(c1_in_channels=16)),
            r'another model, 2\d of 2\d kernels do not fit, such as backbone.stem.0.we',
        ),
        (
            lambda w: (
                only(w, 'backbone')
                | renamed(MODELS.build(FCN).state_dict(), '', 'decode_head.')
            ),
            r'14 of 14 kernels .* decode_head.image_pool.1.conv.weight, missing in the '
            r'file and 8x64x1x1 here: .* or save it without its decode_head to train',
        ),
        (
            lambda w: build(decode_head=dict(channels=16)),
            r'1\d of 14 kernels do not fit, such as decode_head',
        ),
        (
            lambda w: build(auxiliary_head=dict(channels=16)),
            r'1 of 1 kernels do not fit, such as auxiliary_head.convs.0.conv.weight',
        ),
        (
            lambda w: build(
                point_head=dict(mlp=dict(type='PointMLP', hidden_channels=32))
            ),
            r'4 of 4 kernels do not fit, such as point_head.mlp.hidden.0.weight, ',
        ),
        (
            lambda w: dict(optimizer=dict(state={}, param_groups=[]), step=3),
            r'another model, 4\d of 4\d kernels .* here: give one of this model\.$',
        ),
    ],
)
def test_weights_of_another_model_are_refused(change, sentence):
    model = build()
    checkpoint = change(model.state_dict())
    if isinstance(checkpoint, torch.nn.Module):
        checkpoint = checkpoint.state_dict()
    with pytest.raises(InputError, match=sentence):
        what_is_taken(model, checkpoint, 'x.pth')


def test_weights_of_another_model_are_not_tested():
    model = build()
    weights = model.state_dict()
    path = 'weights.pth'
    check_weights(model, {k: v for k, v in weights.items() if 'aux' not in k}, path)
    with pytest.raises(InputError, match=r'weights.pth has no weights of the point'):
        check_weights(model, only(weights, *PLAIN), path)
    other = dict(state_dict=build(num_classes=7).state_dict())
    with pytest.raises(InputError, match=r'is not a checkpoint of this model, \d+ of'):
        check_weights(model, other, path)


ONE = {'train_cfg.max_iters': 1, 'train_cfg.val_interval': 2}


@pytest.fixture(scope='module')
def start(tiny_config):
    """Weights of the tiny model of the config file."""
    return MODELS.build(load_config(str(tiny_config)).model).state_dict()


def train_from(start, tiny_config, work_dir, **options):
    torch.save(start, work_dir / 'start.pth')
    options = dict(load_from=str(work_dir / 'start.pth')) | options
    recorder = train_here(tiny_config, work_dir, **ONE, **options)
    return recorder.states[1], next(work_dir.glob('*/*.log')).read_text()


def test_a_plain_checkpoint_goes_on_with_a_point_head(start, tiny_config, tmp_path):
    options = {'optim_wrapper.optimizer.lr': 0}
    options['custom_hooks'] = [dict(type='EMAHook')]
    plain = only(start, *PLAIN)
    state, log = train_from(plain, tiny_config, tmp_path, **options)
    assert log.count('load_from: took backbone 1') == 1
    assert '; new: point_head' in log
    kernels = [name for name, value in plain.items() if value.dim() > 1]
    assert all(state[name].equal(plain[name]) for name in kernels)


def test_training_does_not_start_from_another_model(start, tiny_config, tmp_path):
    other = renamed(start, '', 'model.')
    with pytest.raises(InputError, match=r"the backbone 'model.backbone.\*' and not"):
        train_from(other, tiny_config, tmp_path)


@pytest.mark.parametrize('missing', ['point_head', 'backbone'])
def test_another_model_is_not_resumed(start, tiny_config, tmp_path, missing):
    names = {name for name in start if not name.startswith(missing)}
    torch.save({name: start[name] for name in names}, tmp_path / 'iter_1.pth')
    cfg = load_config(str(tiny_config), {}, work_dir=str(tmp_path))
    cfg.resume, cfg.load_from = True, str(tmp_path / 'iter_1.pth')
    with pytest.raises(InputError, match=r'iter_1.pth (has no|is not a checkp)'):
        build_runner(cfg).train()


@pytest.mark.parametrize('prefix', [None, 'backbone.'])
def test_one_line_says_what_a_pretrained_backbone_took(tmp_path, prefix):
    path = tmp_path / 'start.pth'
    weights = build().state_dict()
    del weights['backbone.layer4.1.conv2.weight']
    torch.save(weights if prefix else bare(weights), path)
    init = dict(type='Pretrained', checkpoint=str(path), prefix=prefix)
    model = build(backbone=dict(init_cfg=init))
    model.init_weights()
    line = f'model.backbone.init_cfg: took 21/22 kernels of {path}'
    assert what_is_pretrained(model) == [line]


def test_a_pretrained_backbone_that_takes_nothing_is_refused(
    start, tiny_config, tmp_path
):
    options = {'load_from': None, 'model.pretrained': str(tmp_path / 'start.pth')}
    sentence = r'^model.backbone.init_cfg: none of the weights in .*start.pth fits ResN'
    with pytest.raises(InputError, match=sentence):
        train_from(start, tiny_config, tmp_path, **options)
