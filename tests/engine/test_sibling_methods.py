"""SFNet and CascadePSP through the commands, on drawn scenes."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmseg.apis import inference_model, init_model
from PIL import Image

from mmseg_pointrend.engine.config import (
    draw_predictions,
    keep_testing_only,
    load_config,
    use_tta,
)
from mmseg_pointrend.engine.prediction.model import load_model
from mmseg_pointrend.engine.prediction.run import predict_files
from mmseg_pointrend.engine.runner import build_runner
from mmseg_pointrend.errors import InputError
from mmseg_pointrend.studies.accuracy.score_checkpoint import score_checkpoint
from tests.helpers import logged_losses, run_tool
from tests.models.host_tester import HOSTS, plain_config
from tests.models.test_cascade_psp import refiner_config

SFNET = next(path for path in HOSTS if 'sfnet_r18' in path.stem)
REGIONS = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    dict(type='RandomRegion', crop_size=(64, 64)),
    dict(type='PerturbMask'),
    dict(type='PackMaskInputs'),
]


def test_the_flow_is_drawn_beside_the_labels(tiny_config, tmp_path):
    cfg = load_config(str(tiny_config.with_name('plain.py')), work_dir=str(tmp_path))
    cfg.model = plain_config(SFNET)
    cfg.default_hooks.visualization.type = 'FlowVisualizationHook'
    cfg.experiment_name = cfg.visualizer.name = 'flow'  # of this process alone
    draw_predictions(cfg, str(tmp_path / 'show'))
    build_runner(cfg).test()
    flows = sorted(tmp_path.glob('show/**/test_flow_*.png'))
    labels = [one for one in tmp_path.glob('show/**/test_*.png') if one not in flows]
    assert len(flows) == len(labels) == 3
    picture = cv2.imread(str(flows[0]))
    # Images of 72x136 pixels, padded to multiples of 32, at stride 4, three levels.
    assert picture.shape == (96 // 4, 160 // 4 * 3, 3)
    assert np.ptp(picture) > 100


@pytest.fixture(scope='module')
def refiner(tmp_path_factory, tiny_config) -> Path:
    """A work dir in which tools/train.py has trained a refiner for 4 iterations."""
    folder = tmp_path_factory.mktemp('refiner')
    cfg = Config.fromfile(tiny_config.with_name('plain.py'))
    cfg.model = refiner_config()
    cfg.train_dataloader.dataset.pipeline = REGIONS
    cfg.train_cfg = dict(type='IterBasedTrainLoop', max_iters=4, val_interval=10)
    for split in ('val', 'test'):
        cfg.update(
            {f'{split}_{key}': None for key in ('dataloader', 'cfg', 'evaluator')}
        )
    cfg.dump(folder / 'refiner.py')
    result = run_tool(
        *(sys.executable, 'tools/train.py', folder / 'refiner.py'),
        *('--work-dir', folder),
    )
    assert result.returncode == 0, result.stderr
    return folder


@pytest.fixture(scope='module')
def refined(refiner, tiny_config) -> Path:
    """A config that refines the labels of the tiny PointRend model."""
    cfg = Config.fromfile(tiny_config)
    cfg.model = dict(
        type='RefinedSegmentor',
        segmentor=cfg.model,
        refiner=refiner_config(),
        refiner_checkpoint=str(refiner / 'iter_4.pth'),
        refinement=dict(size=128, enlarge=False, min_area=16),
    )
    cfg.test_evaluator = [*cfg.test_evaluator, dict(type='BoundaryAccuracyMetric')]
    cfg.dump(refiner / 'refined.py')
    return refiner / 'refined.py'


def test_a_refiner_trains_on_the_regions_of_any_data_set(refiner):
    losses = logged_losses(refiner)
    assert len(losses) == 4
    for row in losses.values():
        assert row['loss'] == pytest.approx(
            sum(value for name, value in row.items() if name.startswith('loss_')),
            rel=1e-3,
        )
    weights = torch.load(refiner / 'iter_4.pth', weights_only=False)['state_dict']
    assert weights['feats.conv1.weight'][:, 3:].any()


def test_refined_labels_in_the_commands_and_the_api(refined, trained, scenes, tmp_path):
    checkpoint = str(trained / 'iter_4.pth')
    result = run_tool(
        *(sys.executable, 'tools/test.py', refined, checkpoint),
        *('--work-dir', tmp_path / 'work'),
    )
    assert result.returncode == 0, result.stderr
    cfg = load_config(str(refined), work_dir=str(tmp_path / 'score'))
    cfg.experiment_name = cfg.visualizer.name = 'refined'
    scores = score_checkpoint(cfg, checkpoint, {})
    ways = 'one bilinear resize', 'PointRend'
    assert [*scores] == [f'{way}{end}' for way in ways for end in ('', ', refined')]
    last = scores['PointRend, refined']
    for name in ('mIoU', 'mBIoU', 'mBA'):
        (figure,) = re.findall(rf'\b{name}: ([\d.]+)', result.stdout)
        assert last[name] == pytest.approx(float(figure), abs=0.006)
    image = next(scenes.glob('leftImg8bit/val/*/*.png'))
    sources = [str(image)]
    keys = dict(device='cpu')
    cfg = load_config(str(refined))
    assert predict_files(cfg, checkpoint, sources, tmp_path / 'out', **keys)
    [written] = (tmp_path / 'out/labels').glob('*.png')
    labels = np.array(Image.open(written))
    model = init_model(str(refined), checkpoint, device='cpu')
    sample = inference_model(model, str(image))
    assert (sample.pred_sem_seg.data[0].numpy() == labels).all()
    with pytest.raises(
        InputError, match='RefinedSegmentor has labels alone: leave out'
    ):
        predict_files(
            cfg, checkpoint, sources, tmp_path / 'p', probabilities=True, **keys
        )
    with pytest.raises(InputError, match='RefinedSegmentor has no points to draw'):
        predict_files(cfg, checkpoint, sources, tmp_path / 'q', points=True, **keys)


def test_a_refiner_alone_labels_no_images(refiner):
    cfg = load_config(str(refiner / 'refiner.py'))
    sentence = r'refiner\.py is the config of a refiner, which needs masks: use'
    with pytest.raises(InputError, match=sentence):
        keep_testing_only(cfg)
    with pytest.raises(InputError, match=sentence):
        load_model(cfg, str(refiner / 'iter_4.pth'), 'cpu')


def test_labels_alone_are_not_averaged(refined):
    with pytest.raises(InputError, match='labels alone: test without --tta'):
        use_tta(load_config(str(refined)))


def test_a_refined_segmentor_does_not_train(refined, tmp_path):
    result = run_tool(
        *(sys.executable, 'tools/train.py', refined, '--work-dir', tmp_path),
    )
    assert result.returncode == 1
    last = result.stderr.strip().splitlines()[-1]
    assert last.startswith('error: RefinedSegmentor does not train: train model.segm')
