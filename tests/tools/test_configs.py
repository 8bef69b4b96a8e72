from __future__ import annotations

import pytest
from mmengine import load
from mmengine.config import Config
from mmseg.registry import MODELS

from tests.helpers import ROOT

LEAVES = sorted(ROOT.glob('configs/*.py'))
REFINERS = [path for path in LEAVES if path.stem.startswith('cascadepsp')]
SEGMENTORS = [path for path in LEAVES if path not in REFINERS]


@pytest.mark.parametrize('path', LEAVES, ids=lambda path: path.stem)
def test_each_leaf_is_short_relative_and_builds(path):
    text = path.read_text()
    assert len(text.splitlines()) < 25
    assert '::' not in text
    cfg = Config.fromfile(path)
    assert cfg.custom_imports.imports == ['mmseg_pointrend']
    if 'refined' in path.stem:
        assert '/iter_' in cfg.model.refiner_checkpoint
        cfg.model = cfg.model.segmentor
    if 'pretrained' in cfg.model:
        cfg.model.pretrained = None
    model = MODELS.build(cfg.model)
    points = cfg.model.type == 'PointRendEncoderDecoder'
    assert points == path.stem.startswith('pointrend')
    if points:
        assert model.point_head.num_classes == model.decode_head.num_classes


@pytest.mark.parametrize('path', REFINERS, ids=lambda path: path.stem)
def test_refiners_learn_from_windows_of_regions(path):
    cfg = Config.fromfile(path)
    kinds = [step.type for step in cfg.train_dataloader.dataset.pipeline]
    assert kinds[-3:] == ['RandomRegion', 'PerturbMask', 'PackMaskInputs']
    assert '{}x{}'.format(*cfg.crop_size) in path.stem
    assert str(cfg.train_cfg.max_iters)[:2] in path.stem
    assert cfg.val_cfg is cfg.test_cfg is None


@pytest.mark.parametrize('path', SEGMENTORS, ids=lambda path: path.stem)
def test_boundaries_are_evaluated_wherever_there_are_labels(path):
    cfg = Config.fromfile(path)
    assert [metric.type for metric in cfg.val_evaluator] == [
        'IoUMetric',
        'BoundaryIoUMetric',
    ]
    if 'test-server' in path.stem:
        assert cfg.test_evaluator.type == 'CityscapesMetric'
    else:
        first = 'CityscapesMetric' if 'official' in path.stem else 'IoUMetric'
        assert [metric.type for metric in cfg.test_evaluator] == [
            first,
            'BoundaryIoUMetric',
        ]


def test_the_contenders_of_camvid_share_everything_but_the_model():
    name = '{}_efficientnet-lite0-{}_1xb4-2k_camvid-360x480.py'
    plain, *others = (
        Config.fromfile(ROOT / 'configs' / name.format(head, stride))
        for head, stride in (
            ('deeplabv3plus', 'd16'),
            ('pointrend_deeplabv3plus', 'd16'),
            ('deeplabv3plus', 'd8'),
        )
    )
    for other in others:
        other.model = plain.model
        other.pop('point_head', None)  # of the base file
        assert other.to_dict() == plain.to_dict()


def test_the_front_door_is_the_recipe_of_the_readme():
    cfg = Config.fromfile(ROOT / 'configs/pointrend_deeplabv3plus_cityscapes.py')
    assert cfg.model.backbone.depth == 50
    assert cfg.model.backbone.strides == (1, 2, 2, 1)
    assert cfg.model.decode_head.dilations == (1, 6, 12, 18)
    assert cfg.model.auxiliary_head.loss_decode.loss_weight == 0.4
    assert cfg.model.data_preprocessor.size == (512, 1024)
    assert cfg.train_dataloader.batch_size == 2
    assert cfg.train_cfg.max_iters == 80000
    assert cfg.optim_wrapper.optimizer.lr == 0.01
    assert cfg.param_scheduler[0].type == 'LinearLR'
    assert cfg.param_scheduler[1].power == 0.9


def test_the_plain_twin_differs_in_the_model_type_and_the_point_head_alone():
    ours = Config.fromfile(ROOT / 'configs/pointrend_deeplabv3plus_cityscapes.py')
    plain = Config.fromfile(
        ROOT / 'configs/deeplabv3plus_r50-d16_4xb2-80k_cityscapes-512x1024.py'
    )
    del ours.model['point_head']
    ours.model.type = 'EncoderDecoder'
    assert ours.to_dict() == plain.to_dict()


@pytest.mark.parametrize(
    ('change', 'check'),
    [
        ('point_head=dict(uncertainty="entropy")', ('point_head', 'uncertainty')),
        ('point_head=dict(mlp=dict(num_layers=2))', ('point_head', 'mlp')),
        ('decode_head=dict(dropout_ratio=0.3)', ('decode_head', 'dropout_ratio')),
    ],
)
def test_a_child_config_changes_one_key(tmp_path, change, check):
    base = ROOT / 'configs/pointrend_deeplabv3plus_cityscapes.py'
    child = tmp_path / 'child.py'
    child.write_text(f"_base_ = '{base}'\nmodel = dict(pretrained=None, {change})\n")
    cfg, parent = Config.fromfile(child), Config.fromfile(base)
    head, key = check
    assert cfg.model[head][key] != parent.model[head][key]
    if key == 'mlp':
        assert cfg.model[head][key].hidden_channels == 256
    cfg.model[head][key] = parent.model[head][key]
    cfg.model.pretrained = parent.model.pretrained
    assert cfg.model.to_dict() == parent.model.to_dict()
    assert MODELS.build(dict(Config.fromfile(child).model)).point_head is not None


def test_the_model_index_names_configs_that_exist():
    index = ROOT / 'mmseg_pointrend/.mim/model-index.yml'
    (name,) = load(index)['Import']
    models = load(index.with_name('configs') / 'metafile.yml')['Models']
    assert name == 'configs/metafile.yml'
    assert [one['Config'] for one in models] == [
        f'configs/{one["Name"]}.py' for one in models
    ]
    apart = 'official-eval', 'test-server'
    assert {one['Name'] for one in models} == {
        *(path.stem for path in LEAVES if path.stem.startswith('pointrend')),
    } - {f'pointrend_deeplabv3plus_cityscapes_{name}' for name in apart}
