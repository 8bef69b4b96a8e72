"""Checkpoints of MMSegmentation's and detectron2's PointRend predict here as there."""

from __future__ import annotations

import pickle
import sys
from copy import deepcopy
from pathlib import Path
from typing import Any

import mmseg
import pytest
import torch
from mmengine.config import Config, ConfigDict
from mmseg.registry import MODELS
from torch import Tensor, nn

from mmseg_pointrend.engine.conversion import convert
from mmseg_pointrend.errors import InputError
from tests.engine.semantic_fpn import SemanticFPN
from tests.engine.test_untrusted_checkpoints import Payload
from tests.helpers import ROOT, batch, run_tool
from tests.models.host_tester import narrow, small_config

CONVERTED = ROOT / 'configs/converted'
NAME = 'pointrend_{}_4xb2-80k_cityscapes-512x1024.py'
THEIRS = Path(mmseg.__file__).parent / '.mim/configs/_base_/models'
HOSTS = 'fpn_r50', 'deeplabv3plus_r50-d8'
SIZES = dict(img_shape=(64, 96), pad_shape=(64, 96), ori_shape=(100, 140))


def their_config(host: str) -> ConfigDict:
    """MMSegmentation's own PointRend, made narrow, on one of its heads."""
    cfg = Config.fromfile(THEIRS / 'pointrend_r50.py').model
    cfg.test_cfg.subdivision_num_points = 128
    if host != 'fpn_r50':
        other = Config.fromfile(THEIRS / 'deeplabv3plus_r50-d8.py').model
        cfg.update(
            neck=None,
            backbone=other.backbone,
            decode_head=[other.decode_head, cfg.decode_head[1]],
            auxiliary_head=other.auxiliary_head,
        )
    cfg = ConfigDict(narrow(cfg, 8))
    cfg.pretrained = None
    cfg.backbone.update(base_channels=8, stem_channels=8)
    if cfg.get('neck'):
        cfg.neck.out_channels //= 8
    return cfg


@torch.no_grad()
def their_model(host: str) -> Any:
    """MMSegmentation's model, with statistics and weights that make points matter."""
    torch.manual_seed(1)
    model = MODELS.build(their_config(host))
    model.init_weights()
    for name, module in model.named_modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.2)
            module.momentum = None  # the mean of what it has seen
        if name.endswith(('conv_seg', 'fc_seg')):
            nn.init.normal_(module.weight, std=0.5)
    for _ in range(2):
        model.decode_head[0](model.extract_feat(torch.randn(2, 3, 64, 96)))
    return model.eval()


def save(path: Path, weights: dict[str, Tensor], **others: Any) -> Path:
    optimizer = dict(state={}, param_groups=[])
    content = dict(state_dict=weights, optimizer=optimizer, meta={}, **others)
    torch.save(content, path)
    return path


def converted(family: str, source: Path) -> dict[str, Any]:
    """What the function makes of a file."""
    out = source.with_name('converted.pth')
    convert(family, str(source), out, overwrite=True)
    return torch.load(out)


def our_model(host: str, weights: dict[str, Tensor]) -> Any:
    cfg = deepcopy(small_config(CONVERTED / 'mmseg' / NAME.format(host)))
    model = MODELS.build(cfg).eval()
    missing, unexpected = model.load_state_dict(weights, strict=False)
    assert {name.partition('.')[0] for name in missing} <= {'auxiliary_head'}
    assert not unexpected
    return model


@pytest.mark.parametrize('host', HOSTS)
@torch.no_grad()
def test_logits_and_labels_are_those_of_mmsegmentation(host, tmp_path):
    theirs = their_model(host)
    content = converted('mmseg', save(tmp_path / 'a.pth', theirs.state_dict()))
    assert content.keys() == {'state_dict', 'meta'}
    ours = our_model(host, content['state_dict'])
    inputs, _ = batch()
    expected = theirs.predict(inputs, batch(**SIZES)[1])
    found = ours.predict(inputs, batch(**SIZES)[1], return_logits=True)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(
            one.seg_logits.data, other.seg_logits.data, atol=1e-4, rtol=1e-4
        )
        assert one.pred_sem_seg.data.equal(other.pred_sem_seg.data)
        assert len(one.pred_sem_seg.data.unique()) > 3
    whole = theirs.encode_decode(inputs, [SIZES] * 2)
    mine = ours.encode_decode(inputs, [SIZES] * 2)
    torch.testing.assert_close(mine, whole, atol=1e-4, rtol=1e-4)
    ours.point_head.subdivision_num_points = 0
    plain = ours.encode_decode(inputs, [SIZES] * 2)
    assert (plain - whole).abs().max() > 0.1


@pytest.mark.parametrize('host', HOSTS)
def test_a_round_trip_gives_back_every_weight(host, tmp_path):
    original = their_model(host).state_dict()
    source = save(tmp_path / 'a.pth', original)
    back = {}
    for name, value in converted('mmseg', source)['state_dict'].items():
        name = name.replace('decode_head.', 'decode_head.0.')
        name = name.replace('point_head.mlp.predictor', 'decode_head.1.fc_seg')
        for i in range(3):
            end = f'decode_head.1.fcs.{i}.conv'
            name = name.replace(f'point_head.mlp.hidden.{i}', end)
        back[name] = value
    assert back.keys() == original.keys()
    assert all(back[name].equal(original[name]) for name in back)


def test_the_command_keeps_classes_and_says_what_the_config_must_hold(tmp_path):
    weights = their_model('fpn_r50').state_dict()
    weights['decode_head.1.conv_seg.weight'] = torch.zeros(19, 32, 1, 1)
    weights = {f'module.{name}': value for name, value in weights.items()}
    meta = dict(CLASSES=['road', 'sky'], PALETTE=[[1, 2, 3], [4, 5, 6]], cfg='x = 1')
    source, out = tmp_path / 'old.pth', tmp_path / 'new/ours.pth'
    torch.save(dict(state_dict=weights, meta=meta), source)
    tool = sys.executable, 'tools/convert_checkpoint.py', 'mmseg', source, out
    result = run_tool(*tool)
    assert result.returncode == 0, result.stderr
    first, second = result.stdout.splitlines()
    assert first.startswith(f'Wrote {out}, ')
    assert first.endswith('for configs/converted/mmseg')
    assert second == (
        'num_classes=19, point_head.mlp of num_layers=3, hidden_channels=32, '
        'coarse_pred_each_layer=True'
    )
    content = torch.load(out)
    our_model('fpn_r50', content['state_dict'])
    assert content['meta'] == dict(
        dataset_meta=dict(classes=['road', 'sky'], palette=[[1, 2, 3], [4, 5, 6]])
    )


@torch.no_grad()
def detectron2_model(**kwargs: Any) -> SemanticFPN:
    """A model with features and logits of moderate size."""
    torch.manual_seed(2)
    model = SemanticFPN(**kwargs).eval()
    for name, module in model.named_modules():
        if isinstance(module, nn.Conv2d | nn.Conv1d):
            nn.init.kaiming_normal_(module.weight)
            if 'fpn_lateral' in name:
                module.weight.mul_(0.1)
        if name.endswith('conv3.norm'):
            module.weight.mul_(0.2)
    model.backbone.bottom_up.stem.conv1.weight.div_(60)  # instead of pixel_std
    return model


def our_twin(weights: dict[str, Tensor], **mlp: Any) -> Any:
    """The config for detectron2's checkpoints, narrow, with every weight."""
    path = CONVERTED / 'detectron2' / NAME.format('fpn_r50-caffe')
    cfg = Config.fromfile(path).model
    assert cfg.point_head.subdivision_num_points == 8192
    cfg.pretrained = None
    cfg.backbone.update(base_channels=8, stem_channels=8)
    cfg.neck.update(in_channels=[32, 64, 128, 256], out_channels=16)
    cfg.decode_head.update(in_channels=[16] * 4, channels=32)
    cfg.point_head.update(in_channels=[16], subdivision_num_points=128)
    cfg.point_head.mlp.update(hidden_channels=32, **mlp)
    model = MODELS.build(cfg).eval()
    model.load_state_dict(weights)
    return model


@pytest.mark.parametrize('form', ['pth', 'protocol 2', 'protocol 4'])
@pytest.mark.parametrize('each_layer', [False, True])
@torch.no_grad()
def test_logits_are_those_of_detectron2(form, each_layer, tmp_path):
    theirs = detectron2_model(each_layer=each_layer)
    source = tmp_path / ('a.pth' if form == 'pth' else 'a.pkl')
    if form == 'pth':
        torch.save(dict(model=theirs.state_dict(), iteration=7, optimizer={}), source)
    else:
        arrays = {name: value.numpy() for name, value in theirs.state_dict().items()}
        content = dict(model=arrays, __author__='x', matching_heuristics=True)
        source.write_bytes(pickle.dumps(content, protocol=int(form[-1])))
    weights = converted('detectron2', source)['state_dict']
    ours = our_twin(weights, coarse_pred_each_layer=each_layer)
    images = torch.randint(0, 256, (2, 3, 64, 96), dtype=torch.uint8)
    ours.test_cfg['return_logits'] = True
    samples = ours.test_step(dict(inputs=[*images], data_samples=batch()[1]))
    found = torch.stack([sample.seg_logits.data for sample in samples])
    expected = theirs(images.float())
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)
    ours.point_head.subdivision_num_points = 0
    plain = ours.encode_decode(images.float() - theirs.pixel_mean, [{}] * 2)
    assert (plain - expected).abs().max() > 0.1


def test_another_normalisation_is_said(tmp_path):
    model = detectron2_model()
    model.pixel_std.mul_(57.375)
    source = tmp_path / 'a.pth'
    torch.save(dict(model=model.state_dict()), source)
    *_, last = convert('detectron2', str(source), tmp_path / 'b.pth')
    assert last == 'set model.data_preprocessor.std=[57.375, 57.375, 57.375]'


def refusal(family: str, source: object, out: Path) -> str:
    """Why a file is not converted; nothing is left of the attempt."""
    before = {path: path.stat().st_mtime_ns for path in out.parent.iterdir()}
    with pytest.raises(InputError) as caught:
        convert(family, str(source), out)
    after = {path: path.stat().st_mtime_ns for path in out.parent.iterdir()}
    assert before == after
    assert '\n' not in str(caught.value)
    return str(caught.value)


POINT_HEAD = {
    'decode_head.1.fcs.0.conv.weight': torch.zeros(4, 4, 1),
    'decode_head.1.fc_seg.weight': torch.zeros(2, 4, 1),
}


@pytest.mark.parametrize(
    ('name', 'value'),
    [
        ('decode_head.1.fcs.0.bn.weight', torch.ones(4)),
        ('decode_head.2.fc_seg.weight', torch.ones(2)),
        ('head.weight', torch.ones(2)),
        ('backbone.conv1.weight', 'text'),
    ],
)
def test_a_weight_without_a_rule_is_named(name, value, tmp_path):
    source = save(tmp_path / 'a.pth', {**POINT_HEAD, name: value})
    said = refusal('mmseg', source, tmp_path / 'b.pth')
    assert said.startswith(f'{source} holds {name}, for which there is no rule: give')


def test_a_weight_of_detectron2_without_a_rule_is_named(tmp_path):
    weights = detectron2_model().state_dict()
    weights['sem_seg_head.coarse_sem_seg_head.p6.0.weight'] = torch.ones(1)
    weights['backbone.fpn_lateral2.norm.weight'] = torch.ones(1)
    source = tmp_path / 'a.pth'
    torch.save(dict(model=weights), source)
    said = refusal('detectron2', source, tmp_path / 'b.pth')
    assert 'p6.0.weight, backbone.fpn_lateral2.norm.weight, for which' in said


@pytest.mark.parametrize('family', ['mmseg', 'detectron2'])
@pytest.mark.parametrize(
    'weights',
    [
        {'decode_head.conv_seg.weight': torch.zeros(2, 4, 1, 1)},
        {'roi_heads.mask_head.point_head.fc1.weight': torch.zeros(2, 4, 1)},
    ],
    ids=['plain', 'instances'],
)
def test_a_checkpoint_of_another_model_is_refused(family, weights, tmp_path):
    source = save(tmp_path / 'a.pth', weights)
    said = refusal(family, source, tmp_path / 'b.pth')
    mark = dict(mmseg='decode_head.1.fcs.0', detectron2='sem_seg_head.point_head.fc1')
    assert said.startswith(f'{source} has no {mark[family]}')
    assert said.endswith(f'or another family than {family}.')


@pytest.mark.parametrize(
    ('name', 'content', 'said'),
    [
        ('a.pth', b'text', 'is not a checkpoint'),
        ('a.pkl', b'text', 'is not a checkpoint'),
        ('a.pkl', pickle.dumps([1]), 'is not a checkpoint'),
        ('a.pkl', pickle.dumps({'model': {'a': 1}})[:-4], 'is not a checkpoint'),
        ('a.pkl', pickle.dumps({'model': [1]}), 'has no sem_seg_head.point_head.fc1'),
        ('b.pkl', b'', 'does not exist'),
    ],
)
def test_a_file_that_cannot_be_read_is_refused(name, content, said, tmp_path):
    (tmp_path / name.replace('b', 'c')).write_bytes(content)
    source = tmp_path / name
    assert said in refusal('detectron2', source, tmp_path / 'out.pth')


@pytest.mark.parametrize('asked', ['system', 'array', 'tensor'])
def test_a_pickle_runs_nothing(asked, tmp_path):
    proof, source = tmp_path / 'proof', tmp_path / 'a.pkl'
    payload = Payload(proof)
    values = dict(system=payload, array=bytearray(b'a'), tensor=torch.ones(1))
    source.write_bytes(pickle.dumps({'model': {'a': values[asked]}}, protocol=2))
    if asked == 'system':
        pickle.loads(source.read_bytes())
        proof.unlink()
    said = refusal('detectron2', source, tmp_path / 'out.pth')
    assert 'is not safe to load, it asks for' in said
    assert not proof.exists()


def test_a_file_that_exists_stays(tmp_path):
    source, out = save(tmp_path / 'a.pth', POINT_HEAD), tmp_path / 'b.pth'
    out.write_bytes(b'mine')
    said = refusal('mmseg', source, out)
    assert said == f'{out} exists: give another OUT, or --overwrite.'
    assert out.read_bytes() == b'mine'
    convert('mmseg', str(source), out, overwrite=True)
    names = 'point_head.mlp.hidden.0.weight', 'point_head.mlp.predictor.weight'
    assert tuple(torch.load(out)['state_dict']) == names


@pytest.mark.parametrize('path', sorted(CONVERTED.rglob('*.py')), ids=lambda p: p.stem)
def test_each_config_builds_and_renders_as_where_its_weights_come_from(path):
    assert len(path.read_text().splitlines()) < 25
    cfg = Config.fromfile(path)
    assert cfg.crop_size == (512, 1024)
    assert cfg.custom_imports.imports == ['mmseg_pointrend']
    assert cfg.model.test_cfg.resize_logits
    depth = 101 if 'r101' in path.stem else 50
    assert cfg.model.backbone.depth == depth
    assert f'resnet{depth}' in cfg.model.pretrained
    cfg.model.pretrained = None
    with torch.device('meta'):
        head = MODELS.build(cfg.model).point_head
    assert (head.coarse_from, head.padding_mode) == ('initial', 'zeros')
    theirs = path.parent.name == 'mmseg'
    assert head.subdivision_num_points == (8196 if theirs else 8192)
    assert head.mlp.coarse_pred_each_layer == theirs
