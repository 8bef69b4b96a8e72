"""Scoring in several ways at once, and continuing one checkpoint as each contender."""

from __future__ import annotations

import json
import re
import sys
from copy import deepcopy
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.config import Config, ConfigDict
from mmengine.optim import build_optim_wrapper
from mmseg.evaluation import IoUMetric
from mmseg.registry import MODELS

from mmseg_pointrend.engine.config import listed_configs, load_config
from mmseg_pointrend.engine.hooks import NormEvalHook
from mmseg_pointrend.errors import InputError
from mmseg_pointrend.evaluation import BoundaryIoUMetric
from mmseg_pointrend.studies.accuracy.contenders import LOSSES, TOGETHER
from mmseg_pointrend.studies.accuracy.predictions import (
    RENDERED,
    UPSAMPLED,
    predict_in_each_way,
)
from mmseg_pointrend.studies.accuracy.report import ring_names
from mmseg_pointrend.studies.accuracy.score_checkpoint import score_checkpoint
from mmseg_pointrend.studies.accuracy.scores import Scores, changed_pixels
from mmseg_pointrend.studies.accuracy.training import (
    continue_from,
    shortened,
    train,
    write_as_cascade,
)
from tests.helpers import CAMVID, ROOT, batch, run_tool, tiny_model, tiny_model_config

CLASSES = ('a', 'b', 'c')


def test_scores_are_those_of_the_metrics():
    truths = torch.randint(0, 4, (3, 24, 32))
    truths[truths == 3] = 255
    maps = torch.randint(0, 3, (3, 24, 32))
    scores = Scores(CLASSES, 255)
    metrics = [IoUMetric(), BoundaryIoUMetric()]
    for truth, labels in zip(truths, maps, strict=True):
        scores.add(truth, labels)
        sample = dict(
            gt_sem_seg=dict(data=truth[None]), pred_sem_seg=dict(data=labels[None])
        )
        for metric in metrics:
            metric.dataset_meta = dict(classes=CLASSES)
            metric.process({}, [sample])
    wanted = metrics[0].evaluate(3) | metrics[1].evaluate(3)
    figures = scores.summary()
    assert figures['mIoU'] == pytest.approx(wanted['mIoU'], abs=0.006)
    assert figures['mBIoU'] == pytest.approx(wanted['mBIoU'], abs=0.006)
    for width, value in figures['trimap_mIoU'].items():
        assert value == pytest.approx(wanted[f'trimap_mIoU_{width}px'], abs=0.006)
    assert np.mean(list(figures['IoU'].values())) == pytest.approx(figures['mIoU'])


def test_changed_pixels_are_counted_by_distance_to_the_true_boundary():
    truth = np.zeros((5, 40), dtype=np.int64)
    truth[:, 20:] = 1
    truth[4] = 255
    before, after = truth.copy(), truth.copy()
    before[0, [19, 21]] = 2  # 1 and 2 pixels from the boundary, made right
    after[1, [17, 0]] = 2  # 3 and 20 pixels from it, made wrong
    before[4, 19] = 2  # ignored
    fixed, broken = changed_pixels(truth, after, before, 255)
    assert ring_names() == ['1', '2', '3', '4-5', '6-8', '>8']
    assert fixed.tolist() == [1, 1, 0, 0, 0, 0]
    assert broken.tolist() == [0, 0, 1, 0, 0, 1]


def test_one_run_of_the_network_predicts_in_every_way():
    model = tiny_model()
    inputs, samples = batch()
    settings = {
        'none': dict(subdivision_num_points=0),
        'other': dict(coarse_from='initial', subdivision_num_points=4096),
    }
    found = dict(predict_in_each_way(model, inputs, samples, settings))
    assert list(found) == [UPSAMPLED, RENDERED, 'none', 'other']
    plain_cfg = tiny_model_config()
    plain_cfg.type = 'EncoderDecoder'
    del plain_cfg.point_head
    plain = MODELS.build(plain_cfg)
    plain.load_state_dict(model.state_dict(), strict=False)
    for name, net in {UPSAMPLED: plain.eval(), RENDERED: model}.items():
        with torch.no_grad():
            results = net.predict(inputs, deepcopy(samples))
        for labels, result in zip(found[name], results, strict=True):
            assert torch.equal(labels, result.pred_sem_seg.data[0])
    assert list(dict(predict_in_each_way(plain, inputs, samples, {}))) == [UPSAMPLED]
    cfg = tiny_model_config(**settings['other'])
    other = MODELS.build(cfg).eval()
    other.load_state_dict(model.state_dict())
    with torch.no_grad():
        results = other.predict(inputs, deepcopy(samples))
    assert torch.equal(found['other'][1], results[1].pred_sem_seg.data[0])
    assert not torch.equal(found['other'][1], found[RENDERED][1])


@pytest.mark.parametrize('changes', [{}, {'num_classes': 2, 'out_channels': 1}])
def test_a_ceiling_knows_the_truth_at_the_hardest_pixels(changes):
    model = tiny_model(**changes)
    inputs, samples = batch(num_classes=changes.get('num_classes', 5))
    counts = (0, 100, 10**6)
    ways = dict(predict_in_each_way(model, inputs, samples, {}, counts))
    names = [f'truth at the {count} hardest pixels' for count in counts]
    assert list(ways) == [UPSAMPLED, *names, RENDERED]
    for i, sample in enumerate(samples):
        before, none, some, every = (ways[key][i] for key in (UPSAMPLED, *names))
        truth = sample.gt_sem_seg.data[0]
        assert torch.equal(none, before)
        assert torch.equal(every, truth)
        changed = some != before
        assert 0 < changed.sum() <= 100
        assert torch.equal(some[changed], truth[changed])


def test_who_stops_in_the_middle_leaves_the_model_as_it_was():
    model = tiny_model()
    head = model.point_head
    for _name, _maps in predict_in_each_way(
        model, *batch(), {'none': dict(subdivision_num_points=0)}
    ):
        assert model.point_head is head
        assert head.subdivision_num_points == 128


def test_a_schedule_is_shortened_as_a_whole():
    cfg = Config.fromfile(CAMVID)
    shortened(cfg, 500)
    assert cfg.train_cfg.max_iters == cfg.train_cfg.val_interval == 500
    assert [(one.begin, one.end) for one in cfg.param_scheduler] == [(0, 25), (25, 500)]
    step = dict(type='MultiStepLR', by_epoch=False, milestones=[100, 400])
    cfg.param_scheduler = ConfigDict(step)
    shortened(cfg, 250)
    assert cfg.param_scheduler == [{**step, 'milestones': [50, 200]}]


@pytest.mark.parametrize('name', ['pointrend', 'pointhead'])
def test_a_new_head_learns_at_the_full_rate(name, tmp_path):
    cfg = Config.fromfile(CAMVID)
    head = dict(type='PointRendHead', coarse_window=3)
    TOGETHER[name](cfg, head, LOSSES['lovasz'])
    cfg.model.backbone.init_cfg = None
    cfg.norm_cfg = cfg.model.backbone.norm_cfg
    model = MODELS.build(cfg.model)
    full = rates_of(cfg, model)
    torch.save(dict(state_dict={}, meta={}), tmp_path / 'plain.pth')
    continue_from(tmp_path / 'plain.pth', cfg, tmp_path, 0.25)
    assert cfg.load_from == str(
        tmp_path / dict(pointhead='start.pth').get(name, 'plain.pth')
    )
    rates = rates_of(cfg, model)
    new = dict(pointrend='point_head.', pointhead='decode_head.1.')[name]
    assert any(key.startswith(new) for key in rates)
    for key, rate in rates.items():
        share = 1 if key.startswith(new) else 0.25
        assert rate == pytest.approx(full[key] * share), key


@pytest.mark.parametrize('losses', LOSSES)
@pytest.mark.parametrize('name', TOGETHER)
def test_contenders_differ_in_the_point_head_alone(name, losses):
    """The network learns with the same losses, and points with those that they can."""
    cfg, plain = Config.fromfile(CAMVID), Config.fromfile(CAMVID)
    TOGETHER[name](cfg, dict(type='PointRendHead'), LOSSES[losses])
    heads = listed_configs(cfg.model.decode_head)
    assert heads[0].pop('loss_decode') == LOSSES[losses]
    del plain.model.decode_head.loss_decode
    assert heads[0] == plain.model.decode_head
    points = [cfg.model.get('point_head'), *heads[1:]][-1 if heads[1:] else 0]
    assert (points is None) == (name == 'plain')
    if name == 'pointrend':
        assert points.loss_decode == LOSSES[losses]
        assert points.in_index == [0, 4, 'decode_head']
    if name == 'pointhead':
        assert points.type == 'PointHead'
        assert (points.in_index, points.in_channels) == ([0], [24])
    assert {**cfg, 'model': None} == {**plain, 'model': None}


def test_a_binary_contender_learns_with_binary_losses():
    cfg = Config.fromfile(CAMVID)
    cfg.model.decode_head.update(num_classes=2, out_channels=1, threshold=0.5)
    TOGETHER['pointrend'](cfg, dict(type='PointRendHead'), LOSSES['lovasz'])
    for head in (cfg.model.decode_head, cfg.model.point_head):
        assert head.loss_decode[0].use_sigmoid
        assert head.loss_decode[1].loss_type == 'binary'
    assert 'use_sigmoid' not in LOSSES['lovasz'][0]
    with pytest.raises(InputError, match='cannot follow one channel of logits'):
        TOGETHER['pointhead'](cfg, dict(type='PointRendHead'), LOSSES['lovasz'])
    cfg.model.decode_head = [cfg.model.decode_head] * 2
    with pytest.raises(
        InputError, match=r'cannot follow a cascade, .*: leave pointhead'
    ):
        TOGETHER['pointhead'](cfg, dict(type='PointRendHead'), LOSSES['lovasz'])


def test_new_heads_learn_as_the_key_says_that_means_decode_heads(tmp_path):
    cfg = Config.fromfile(CAMVID)
    cfg.optim_wrapper.paramwise_cfg = dict(
        custom_keys=dict(head=dict(lr_mult=10, decay_mult=0), norm=dict(decay_mult=0))
    )
    continue_from(tmp_path / 'plain.pth', cfg, tmp_path, 0.5)
    rates = cfg.optim_wrapper.paramwise_cfg.custom_keys
    assert rates.point_head == rates['decode_head.1'] == dict(lr_mult=20, decay_mult=0)


def test_what_cannot_be_compared_is_refused_before_anything_is_written(
    tiny_config, tmp_path
):
    plain, work = tiny_config.with_name('plain.py'), tmp_path / 'work'
    command = [sys.executable, 'tools/compare.py', plain, '--work-dir', work]
    result = run_tool(*command, '--checkpoint', 'gone.pth')
    assert result.returncode == 1
    assert 'error: --checkpoint gone.pth does not exist' in result.stderr
    assert not work.exists()


def rates_of(cfg: Config, model: torch.nn.Module) -> dict[str, float]:
    groups = build_optim_wrapper(model, deepcopy(cfg.optim_wrapper)).param_groups
    found = {id(group['params'][0]): group['lr'] for group in groups}
    return {name: found[id(value)] for name, value in model.named_parameters()}


def test_batch_norm_keeps_its_statistics_and_the_rest_trains():
    model = tiny_model().train()
    NormEvalHook().before_train_iter(SimpleNamespace(model=model), 0)
    before = {name: value.clone() for name, value in model.named_buffers()}
    inputs, samples = batch()
    sum(v for k, v in model.loss(inputs, samples).items() if 'loss' in k).backward()
    assert before
    for name, value in model.named_buffers():
        assert torch.equal(value, before[name]), name
    norms = [m for m in model.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    assert all(norm.weight.grad is not None for norm in norms)
    assert model.decode_head.training


def test_a_plain_checkpoint_becomes_the_start_of_a_cascade(tmp_path):
    plain = tmp_path / 'plain.pth'
    weights = {
        'decode_head.conv_seg.weight': torch.ones(1),
        'backbone.stem.weight': torch.zeros(1),
    }
    torch.save(dict(state_dict=weights, meta={}), plain)
    write_as_cascade(plain, tmp_path / 'start.pth')
    found = torch.load(tmp_path / 'start.pth')['state_dict']
    assert set(found) == {'decode_head.0.conv_seg.weight', 'backbone.stem.weight'}


def test_the_command_scores_budgets_and_draws_them(trained, tiny_config, tmp_path):
    checkpoint = trained / 'iter_4.pth'
    files = tmp_path / 'scores.json', tmp_path / 'curve.png'
    result = run_tool(
        *(sys.executable, 'tools/score.py', tiny_config, checkpoint),
        *('--work-dir', tmp_path / 'work', '--json', files[0], '--plot', files[1]),
        *('--points', '0', '64', '--coarse-from', 'initial', '--classes'),
    )
    assert result.returncode == 0, result.stderr
    assert 'traffic sign' in result.stdout
    figures = json.loads(files[0].read_text())
    assert figures.keys() >= {'one bilinear resize', 'PointRend'}
    names = [UPSAMPLED, RENDERED, '0 points', '64 points', 'coarse_from=initial']
    assert list(figures) == names
    assert files[1].stat().st_size > 10000
    test = run_tool(
        *(sys.executable, 'tools/test.py', tiny_config, checkpoint),
        *('--work-dir', tmp_path / 'test'),
    )
    assert f'mIoU: {figures[RENDERED]["mIoU"]:.2f}' in test.stdout.replace('00 ', ' ')
    assert f'{figures[RENDERED]["mBIoU"]:.2f}' in test.stdout


def test_a_run_with_other_settings_is_not_taken_for_done(tmp_path, tiny_config):
    folder = tmp_path / 'run'
    folder.mkdir()
    load_config(str(tiny_config)).dump(tmp_path / 'run.py')
    last = folder / 'iter_4.pth'
    last.write_bytes(b'')
    assert train(load_config(str(tiny_config)), folder) == last
    with pytest.raises(InputError, match='trained with other settings'):
        train(load_config(str(tiny_config), {'randomness.seed': 3}), folder)


@pytest.mark.slow
def test_a_training_that_fails_ends_in_a_sentence_and_goes_on_when_mended(
    tmp_path, tiny_config, scenes, monkeypatch
):
    """It is run away from the repository, as an installed package is."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv('PYTHONPATH', str(ROOT))
    folder = tmp_path / 'run'
    images = scenes.joinpath('leftImg8bit/train')
    hidden = images.rename(images.with_name('hidden'))
    try:
        with pytest.raises(InputError, match='training run ended with status 1: see'):
            train(load_config(str(tiny_config)), folder)
    finally:
        hidden.rename(images)
    assert (folder / 'train.log').read_text().splitlines()[-1].startswith('error: ')
    assert train(load_config(str(tiny_config)), folder) == folder / 'iter_4.pth'
    assert 'Iter(train) [4/4]' in (folder / 'train.log').read_text()


def test_scoring_wants_the_whole_image_and_points(trained, tiny_config, tmp_path):
    cfg = load_config(str(tiny_config), {'model.test_cfg.resize_logits': True})
    cfg.work_dir = str(tmp_path)
    with pytest.raises(InputError, match='resize_logits=False'):
        score_checkpoint(cfg, str(trained / 'iter_4.pth'), {})
    plain = load_config(str(tiny_config.with_name('plain.py')), work_dir=str(tmp_path))
    with pytest.raises(InputError, match='no budget of points'):
        score_checkpoint(plain, str(trained / 'iter_4.pth'), {'x': {}})


def test_a_curve_needs_budgets(trained, tiny_config, tmp_path):
    result = run_tool(
        *(sys.executable, 'tools/score.py', tiny_config, trained / 'iter_4.pth'),
        *('--plot', tmp_path / 'curve.png'),
    )
    assert result.returncode == 2
    assert 'give --points' in result.stderr


@pytest.mark.slow
def test_the_command_continues_one_checkpoint_as_each_contender(tiny_config, tmp_path):
    work = tmp_path / 'work'
    names = 'retrofit', 'plain', 'pointhead', 'pointrend'
    command = [
        *(sys.executable, 'tools/compare.py', tiny_config.with_name('plain.py')),
        *('--work-dir', work, '--base-iterations', '1', '--iterations', '1'),
        *('--contenders', *names, '--seeds', '1'),
    ]
    result = run_tool(*command)
    assert result.returncode == 0, result.stderr
    start = torch.load(work / 'base_seed0/iter_1.pth')['state_dict']
    again = torch.load(work / 'pointhead_lovasz_seed1/start.pth')['state_dict']
    weight = 'conv_seg.weight'
    assert torch.equal(start[f'decode_head.{weight}'], again[f'decode_head.0.{weight}'])
    for name in names:
        log = (work / f'{name}_lovasz_seed1/train.log').read_text()
        assert 'Iter(train) [1/1]' in log
        [took] = re.findall('load_from: took (.*)', log)
        assert f'Checkpoint: {work}' in log
        new = ['; new: point_head'] * (name in ('pointrend', 'retrofit'))
        assert re.findall('; new: .*', took) == new
        assert (' (missing: 1.' in took) == (name == 'pointhead')
        assert (work / f'{name}_lovasz_seed1/scores.json').is_file()
    costs = json.loads(
        (work / 'costs_retrofit_plain_pointhead_pointrend.json').read_text()
    )
    assert costs['plain']['gflops'] < costs['pointrend']['gflops']
    times = {path: path.stat().st_mtime for path in work.glob('*/iter_1.pth')}
    assert run_tool(*command).returncode == 0
    assert times == {path: path.stat().st_mtime for path in work.glob('*/iter_1.pth')}
    refused = run_tool(*command, '--lr-factor', '0.1')
    assert refused.returncode == 1
    assert 'was trained with other settings' in refused.stderr


def test_a_contender_is_derived_alone():
    """In a process in which nothing has set MMEngine's scope."""
    code = (
        'import mmseg_pointrend; from tests.helpers import pointhead_config; '
        'print(pointhead_config().model.num_stages)'
    )
    result = run_tool(sys.executable, '-c', code)
    assert result.stdout.strip() == '2', result.stderr
