"""Sharpening a checkpoint that somebody has."""

from __future__ import annotations

import json
import sys
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.config import Config, ConfigDict
from mmseg.registry import MODELS
from torch import nn

from mmseg_pointrend.datasets.checked import CheckedCityscapesDataset
from mmseg_pointrend.engine.config import keep_testing_only, load_config
from mmseg_pointrend.engine.hosting import forget_pretrained_weights, host_point_head
from mmseg_pointrend.engine.retrofit import (
    retrofit,
    seconds_an_iteration,
    write_config,
)
from mmseg_pointrend.engine.retrofit_config import retrofit_config, set_data_root
from mmseg_pointrend.engine.runner import build_runner
from mmseg_pointrend.errors import InputError
from mmseg_pointrend.models import PointRendEncoderDecoder
from tests.helpers import ROOT, batch, logged_losses, pointhead_config, run_tool
from tests.models.host_tester import HOSTS, SIZE, plain_config

TUNED = Config.fromfile(ROOT / 'configs/_base_/point_heads/tuned.py').point_head
SMALL = {'model.point_head.num_points': 64}


@pytest.fixture
def plain(tiny_config) -> Config:
    return load_config(str(tiny_config.with_name('plain.py')))


def weights(path: Path) -> dict[str, torch.Tensor]:
    return torch.load(path, weights_only=False)['state_dict']


def test_the_command_scores_sharpens_and_writes_what_it_used(
    tiny_config, plain_checkpoint, tmp_path
):
    folder = tmp_path / 'sharp one'
    command = (
        *(sys.executable, 'tools/retrofit.py', tiny_config.with_name('plain.py')),
        *(plain_checkpoint, '--work-dir', folder, '--iterations', 6),
    )
    result = run_tool(*command, '--cfg-options', 'model.point_head.num_points=64')
    assert result.returncode == 0, result.stderr
    figures = json.loads((folder / 'figures.json').read_text())
    for row in ('before', 'after'):
        assert f'{figures[row]["mBIoU"]:.2f}' in result.stdout
    before, after = weights(plain_checkpoint), weights(folder / 'iter_6.pth')
    assert {name for name in after if not name.startswith('point_head.')} == set(before)
    assert all(value.equal(after[name]) for name, value in before.items())
    assert len(logged_losses(folder)) == 6
    config = load_config(str(folder / 'pointrend.py'))
    assert config.train_cfg.max_iters == 6
    assert config.load_from == str(plain_checkpoint)
    assert not config.resume
    config.update(load_from=str(folder / 'iter_6.pth'), work_dir=str(tmp_path / 'test'))
    keep_testing_only(config)
    assert build_runner(config).test()['mIoU'] == pytest.approx(
        figures['after']['mIoU'], abs=0.01
    )


@pytest.mark.parametrize('path', HOSTS, ids=lambda path: path.stem)
def test_every_host_gets_the_maps_it_has(path):
    cfg = plain_config(path)
    forget_pretrained_weights(cfg)
    host_point_head(cfg, {**TUNED, 'num_points': 64})
    assert cfg.point_head.in_index[0] == 0
    assert cfg.point_head.in_index[-1] == 'decode_head'
    model = MODELS.build(dict(cfg, train_only='point_head'))
    model.init_weights()
    losses = model.train().loss(*batch(SIZE, num_classes=2))
    sum(value for name, value in losses.items() if 'loss' in name).backward()
    assert all(one.grad is not None for one in model.point_head.parameters())


def efficientnet(**decode_head: Any) -> ConfigDict:
    name = 'deeplabv3plus_efficientnet-lite0-d16_1xb4-2k_camvid-360x480'
    cfg = Config.fromfile(ROOT / f'configs/{name}.py').model
    forget_pretrained_weights(cfg)
    cfg.decode_head.update(decode_head)
    return cfg


def fcn(**keys: Any) -> dict[str, Any]:
    return dict(
        _delete_=True, type='FCNHead', channels=8, num_convs=1, num_classes=3, **keys
    )


@pytest.mark.parametrize(
    ('changes', 'out_indices', 'in_index'),
    [
        ({}, (1, 2, 3, 4, 0), [0, 4, 'decode_head']),
        ({'backbone.out_indices': (0, 1, 2, 3, 4), 'decode_head.in_index': 4},
         (0, 1, 2, 3, 4), [0, 1, 'decode_head']),
        ({'decode_head': fcn(in_index=-1, in_channels=320)},
         (1, 2, 3, 4), [0, 'decode_head']),
        ({'neck': dict(type='FPN', in_channels=[24, 40, 112, 320], out_channels=8,
                       num_outs=4),
          'decode_head': fcn(in_index=0, in_channels=8)},
         (1, 2, 3, 4), [0, 'decode_head']),
    ],
    ids=['none yet', 'there', 'counted from the end', 'a neck'],
)  # fmt: skip
def test_a_map_of_stride_2_is_asked_for_where_that_changes_nothing_else(
    changes, out_indices, in_index
):
    config = Config(dict(model=efficientnet()))
    config.merge_from_dict({f'model.{key}': one for key, one in changes.items()})
    if 'backbone.out_indices' in changes:  # the decode head reads map 0 as well
        config.model.decode_head.c1_in_channels = 16
    host_point_head(config.model, TUNED)
    assert tuple(config.model.backbone.out_indices) == out_indices
    assert config.model.point_head.in_index == in_index


def test_a_model_of_one_channel_learns_with_binary_losses():
    cfg = efficientnet(num_classes=2, out_channels=1, threshold=0.5)
    cfg.decode_head.loss_decode.use_sigmoid = True
    host_point_head(cfg, TUNED)
    entropy, lovasz = cfg.point_head.loss_decode
    assert entropy['use_sigmoid']
    assert lovasz['loss_type'] == 'binary'
    model = MODELS.build(dict(cfg, train_only='point_head'))
    losses = model.train().loss(*batch((64, 96), num_classes=2))
    assert {'point.loss_ce', 'point.loss_lovasz'} < set(losses)
    assert TUNED.loss_decode[1].get('loss_type') is None


def test_a_retrofit_that_was_stopped_goes_on(
    plain, plain_checkpoint, tmp_path, monkeypatch
):
    def run(folder: str, *, resume: bool = False, **options: Any) -> Any:
        torch.manual_seed(0)
        return retrofit(
            *(plain, str(plain_checkpoint), deepcopy(TUNED), tmp_path / folder),
            iterations=4,
            options={**SMALL, 'randomness.seed': 1, **options},
            resume=resume,
        )

    whole = run('whole')
    loss, calls = PointRendEncoderDecoder.loss, []

    def interrupted(*args: Any) -> Any:
        calls.append(args)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return loss(*args)

    with monkeypatch.context() as patch:
        patch.setattr(PointRendEncoderDecoder, 'loss', interrupted)
        with pytest.raises(KeyboardInterrupt):
            run('halves')
    with pytest.raises(InputError, match='holds files: give another, or --resume'):
        run('halves')
    with pytest.raises(InputError, match='was begun with another optim_wrapper: rep'):
        run('halves', resume=True, **{'optim_wrapper.optimizer.lr': 1.0})
    with pytest.raises(InputError, match='holds no retrofit to go on with: give anot'):
        run('whole/before', resume=True)
    assert run('halves', resume=True) == whole
    plan = load_config(str(tmp_path / 'halves/pointrend.py'))
    assert plan.load_from == str(plain_checkpoint)
    for name, value in weights(tmp_path / 'whole/iter_4.pth').items():
        assert value.equal(weights(tmp_path / 'halves/iter_4.pth')[name])


def test_a_budget_of_minutes_means_fewer_iterations(
    plain, plain_checkpoint, tmp_path, monkeypatch
):
    def run(**keys: Any) -> None:
        retrofit(
            *(plain, str(plain_checkpoint), TUNED, tmp_path / 'run'),
            iterations=10**6,
            options={**SMALL, 'default_hooks.checkpoint.interval': 1},
            **keys,
        )

    measured = seconds_an_iteration(
        retrofit_config(plain, str(plain_checkpoint), deepcopy(TUNED), 10)
    )
    assert 0.001 < measured < 10
    monkeypatch.setattr(f'{retrofit.__module__}.seconds_an_iteration', lambda _: 0.6)
    run(budget_minutes=0.04)
    cfg = load_config(str(tmp_path / 'run/pointrend.py'))
    assert cfg.train_cfg.max_iters == 4
    assert cfg.param_scheduler[-1].end == 4
    assert cfg.default_hooks.checkpoint.interval == 1
    assert (tmp_path / 'run/iter_4.pth').is_file()
    run(budget_minutes=1, resume=True)
    with pytest.raises(InputError, match='another default_hooks, param_scheduler'):
        run(resume=True)


def test_another_data_root_reaches_wrapped_data_sets():
    def dataset() -> dict[str, str]:
        return dict(type='A', data_root='old')

    cfg = Config(
        dict(
            train_dataloader=dict(
                dataset=dict(type='RepeatDataset', dataset=dataset(), times=2)
            ),
            val_dataloader=dict(
                dataset=dict(type='ConcatDataset', datasets=[dataset(), dataset()])
            ),
        )
    )
    set_data_root(cfg, 'new')
    assert cfg.train_dataloader.dataset.dataset.data_root == 'new'
    roots = [one.data_root for one in cfg.val_dataloader.dataset.datasets]
    assert roots == ['new', 'new']


def test_what_cannot_be_sharpened_is_refused(plain, plain_checkpoint, tmp_path):
    def run(cfg: Config, checkpoint: Path = plain_checkpoint, **keys: Any) -> None:
        folder = tmp_path / 'run'
        retrofit(cfg, str(checkpoint), TUNED, folder, iterations=2, **keys)

    other = deepcopy(plain)
    other.model.decode_head.type = 'DDRHead'
    with pytest.raises(InputError, match='cannot host a point head'):
        run(other)
    other = deepcopy(plain)
    other.model.type = 'PointRendEncoderDecoder'
    with pytest.raises(InputError, match='give the config of a plain model'):
        run(other)
    other = deepcopy(plain)
    other.val_dataloader = None
    with pytest.raises(InputError, match='has no val_dataloader: add it'):
        run(other)
    other = deepcopy(plain)
    classes = CheckedCityscapesDataset.METAINFO['classes'][::-1]
    other.val_dataloader.dataset.metainfo = dict(classes=classes)
    with pytest.raises(InputError, match='; road is bicycle: give the data set'):
        run(other)
    other.train_dataloader.dataset.metainfo = dict(classes=classes)
    other.val_dataloader.dataset.pop('metainfo')
    with pytest.raises(InputError, match='; road is bicycle: give the data set'):
        run(other)
    with pytest.raises(InputError, match='give --iterations'):
        run(plain, options={'train_cfg.max_iters': 3})
    content = torch.load(plain_checkpoint, weights_only=False)
    content['state_dict'] = {f'net.{k}': v for k, v in content['state_dict'].items()}
    torch.save(content, tmp_path / 'other.pth')
    with pytest.raises(InputError, match='is not a checkpoint of this model'):
        run(plain, tmp_path / 'other.pth')
    assert not (tmp_path / 'run/pointrend.py').exists()


def test_what_the_plain_config_has_beside_the_model_is_not_taken(plain):
    plain.custom_hooks = [dict(type='EMAHook')]
    plain.default_hooks.ema = dict(type='EMAHook')
    plain.custom_imports = None
    plain.train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=3)
    plain.val_evaluator = dict(type='IoUMetric', iou_metrics=['mDice'], prefix='x')
    plain.model.backbone.init_cfg = dict(type='Pretrained', checkpoint='x.pth')
    cfg = retrofit_config(plain, 'plain.pth', deepcopy(TUNED), 100)
    assert cfg.custom_hooks == []
    assert 'ema' not in cfg.default_hooks
    assert cfg.custom_imports.imports == ['mmseg_pointrend']
    assert cfg.train_cfg.max_iters == 100
    assert cfg.val_evaluator[0].iou_metrics == ['mIoU', 'mDice']
    assert cfg.model.backbone.init_cfg is None
    assert plain.model.backbone.init_cfg.checkpoint == 'x.pth'
    assert cfg.param_scheduler[-1].end == 100


def test_options_of_the_network_reach_both_scores(
    plain, plain_checkpoint, tmp_path, monkeypatch
):
    seen = []

    def score(cfg: Config, plain: Config, *_: Any, **__: Any) -> None:
        seen.append((cfg.model, plain.model))
        raise KeyboardInterrupt

    monkeypatch.setattr(f'{retrofit.__module__}.score_plain', score)
    with pytest.raises(KeyboardInterrupt):
        retrofit(
            *(plain, str(plain_checkpoint), deepcopy(TUNED), tmp_path / 'run'),
            iterations=2,
            options={**SMALL, 'model.decode_head.dropout_ratio': 0.3},
        )
    [(ours, before)] = seen
    assert ours.decode_head.dropout_ratio == before.decode_head.dropout_ratio == 0.3
    assert ours.point_head.num_points == 64
    assert 'point_head' not in before
    assert plain.model.decode_head.dropout_ratio != 0.3


def test_a_point_head_of_mmsegmentation_gives_way():
    plain = pointhead_config()
    cfg = retrofit_config(plain, 'plain.pth', deepcopy(TUNED), 10).model
    assert [one.type for one in cfg.decode_head] == [plain.model.decode_head[0].type]
    assert cfg.point_head.in_index[-1] == 'decode_head'
    assert MODELS.build(cfg).num_classes == 11


class Tokens(nn.Module):
    """A backbone of one stride, whose further maps may come with a token."""

    def __init__(self, in_channels: int, out_indices: Any, *, tokens: bool) -> None:
        super().__init__()
        self.embed = nn.Conv2d(in_channels, 16, 16, stride=16)
        self.count = len(out_indices) if isinstance(out_indices, list) else 1
        self.tokens = tokens

    def forward(self, image: torch.Tensor) -> list:
        one = self.embed(image)
        others = [(one, one.mean((2, 3))) if self.tokens else one] * (self.count - 1)
        return [one, *others]


@pytest.mark.parametrize(
    ('out_indices', 'tokens'),
    [([1, 2], False), ([1, 2], True), (3, False)],
)
def test_a_transformer_of_one_stride_hosts_with_one_map(out_indices, tokens):
    cfg = ConfigDict(
        type='EncoderDecoder',
        backbone=dict(
            type=Tokens, in_channels=4, out_indices=out_indices, tokens=tokens
        ),
        decode_head=dict(type='FCNHead', in_channels=16, in_index=0, channels=8,
                         num_convs=1, num_classes=1,
                         loss_decode=dict(type='CrossEntropyLoss', use_sigmoid=True)),
    )  # fmt: skip
    host_point_head(cfg, deepcopy(TUNED))
    assert cfg.point_head.in_index == [0, 'decode_head']
    assert cfg.point_head.loss_decode[0].use_sigmoid


@pytest.mark.skipif(torch.cuda.is_available(), reason='is for machines without a GPU')
def test_mixed_precision_needs_a_gpu(plain, plain_checkpoint, tmp_path):
    with pytest.raises(InputError, match='--amp needs an accelerator'):
        retrofit(
            *(plain, str(plain_checkpoint), TUNED, tmp_path / 'run'),
            iterations=2,
            amp=True,
        )


def test_the_config_alone_trains_on_two_processes(
    tiny_config, plain_checkpoint, tmp_path
):
    folder = tmp_path / 'sharp'
    command = (
        *(sys.executable, 'tools/retrofit.py', tiny_config.with_name('plain.py')),
        *(plain_checkpoint, '--work-dir', folder, '--iterations', 3, '--config-only'),
    )
    result = run_tool(*command, '--cfg-options', 'model.point_head.num_points=64')
    assert result.stdout.startswith(f'tools/dist_train.sh {folder}/pointrend.py GPUS')
    assert [*folder.iterdir()] == [folder / 'pointrend.py']
    result = run_tool(
        *('tools/dist_train.sh', folder / 'pointrend.py', 2),
        *('--work-dir', folder / 'run'),
    )
    assert result.returncode == 0, result.stderr
    before, after = weights(plain_checkpoint), weights(folder / 'run/iter_3.pth')
    assert all(value.equal(after[name]) for name, value in before.items())


def test_the_config_of_a_retrofit_outlives_a_test_in_its_folder(
    plain, plain_checkpoint, tmp_path
):
    cfg = retrofit_config(plain, str(plain_checkpoint), deepcopy(TUNED), 2)
    path = tmp_path / 'pointrend.py'
    write_config(cfg, path)
    before = path.read_bytes()
    cfg = load_config(str(path))
    keep_testing_only(cfg)
    build_runner(cfg)
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ('name', 'index', 'source'),
    [('pointrend_fpn', [0], 'backbone'), ('lite0_1xb4', [0, 4], 'backbone')],
)
def test_beside_a_neck_the_points_read_the_backbone(name, index, source):
    cfg = plain_config(next(path for path in HOSTS if name in path.stem))
    cfg.backbone.pop('init_cfg', None)
    host_point_head(cfg, dict(TUNED))
    assert cfg.point_head.in_index == [*index, 'decode_head']
    assert cfg.point_head.fine_from == source


def test_a_neck_that_is_finer_than_the_backbone_is_read_itself():
    """ViT's maps are all of stride 16."""
    cfg = plain_config(HOSTS[0])
    cfg.backbone = dict(
        type='VisionTransformer',
        img_size=(64, 96),
        embed_dims=8,
        num_layers=2,
        num_heads=2,
        mlp_ratio=1,
        out_indices=(0, 1),
    )
    cfg.neck = dict(
        type='MultiLevelNeck', in_channels=[8, 8], out_channels=8, scales=[4, 1]
    )
    cfg.decode_head.update(in_channels=8, in_index=0)
    cfg.auxiliary_head = None
    host_point_head(cfg, dict(TUNED))
    assert cfg.point_head.in_index == [0, 'decode_head']
    assert 'fine_from' not in cfg.point_head
