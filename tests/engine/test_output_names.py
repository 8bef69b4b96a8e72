"""Files that are written for images of one name do not overwrite each other."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.structures import PixelData
from mmseg.registry import METRICS
from mmseg.structures import SegDataSample

from mmseg_pointrend.engine.config import (
    draw_predictions,
    keep_testing_only,
    load_config,
    save_predictions,
)
from mmseg_pointrend.engine.hooks.output_names_hook import output_names, process
from mmseg_pointrend.engine.runner import build_runner


def write(root, *names):
    """Images and labels, ``img/NAME`` and ``ann/NAME``."""
    for name in names:
        image = np.full((64, 96, 3), len(name), np.uint8)
        label = (np.arange(64 * 96) % 19).reshape(64, 96).astype(np.uint8)
        for path, pixels in (
            (root / 'img' / name, image),
            (root / 'ann' / name, label),
        ):
            path.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(path.with_suffix('.png')), pixels)
            cv2.imwrite(str(path), pixels)


def dataset(root):
    return {
        'data_root': str(root),
        'data_prefix': dict(img_path='img', seg_map_path='ann'),
        'img_suffix': '.png',
        'seg_map_suffix': '.png',
    }


def run_test(tiny_config, folder, roots):
    """Names of the label maps and of the pictures."""
    cfg = load_config(str(tiny_config), work_dir=str(folder / 'work'))
    cfg.visualizer.name = folder.name
    one = cfg.test_dataloader.dataset
    parts = [{**one, **dataset(root)} for root in roots]
    several = dict(type='ConcatDataset', datasets=parts)
    cfg.test_dataloader.dataset = several if len(parts) > 1 else parts[0]
    keep_testing_only(cfg)
    save_predictions(cfg, str(folder / 'out'))
    draw_predictions(cfg, str(folder / 'show'))
    runner = build_runner(cfg)
    runner.test()
    return files(folder / 'out'), files(folder / 'show/vis_data/vis_image')


def files(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob('*.png'))


@pytest.mark.parametrize(
    ('names', 'maps', 'pictures'),
    [
        (['0.png', '1.b.png'], ['0.png', '1.b.png'], ['test_0.png', 'test_1.b.png']),
        (['a/0.png', 'b/1.png'], ['0.png', '1.png'], ['test_0.png', 'test_1.png']),
        (
            ['a/0.png', 'b/0.png', 'b/c/1.png'],
            ['a/0.png', 'b/0.png', 'b/c/1.png'],
            ['a/test_0.png', 'b/c/test_1.png', 'b/test_0.png'],
        ),
    ],
)
def test_subfolders_are_kept_where_names_are_the_same(
    tiny_config, tmp_path, names, maps, pictures
):
    write(tmp_path / 'data', *names)
    found = run_test(tiny_config, tmp_path, [tmp_path / 'data'])
    assert found == (maps, [f'{picture}_0.png' for picture in pictures])


def test_data_sets_with_the_same_names_are_told_apart(tiny_config, tmp_path):
    for root in ('one', 'two'):
        write(tmp_path / root, '0.png', '1.png')
    maps, pictures = run_test(
        tiny_config, tmp_path, [tmp_path / 'one', tmp_path / 'two']
    )
    assert maps == [f'{root}/img/{i}.png' for root in ('one', 'two') for i in (0, 1)]
    assert len(pictures) == 4


def test_a_validation_paints_every_image(tiny_config, tmp_path):
    write(tmp_path / 'data', 'a/0.png', 'b/0.png')
    cfg = load_config(str(tiny_config), work_dir=str(tmp_path / 'work'))
    cfg.visualizer.name = tmp_path.name
    cfg.val_dataloader.dataset.update(dataset(tmp_path / 'data'))
    cfg.default_hooks.checkpoint.save_best = None
    draw_predictions(cfg, str(tmp_path / 'show'))
    build_runner(cfg).val()
    pictures = files(tmp_path / 'show/vis_data/vis_image')
    assert pictures == ['a/val_0.png_0.png', 'b/val_0.png_0.png']


@pytest.mark.parametrize(
    ('images', 'names'),
    [
        (['r/a/0.png', 'r/b/1.png'], ['0.png', '1.png']),
        (['r/a/0.png', 'r/0.png'], ['a/0.png', '0.png']),
        (['r/../s/0.png', 'r/0.png'], ['s/0.png', 'r/0.png']),
        (['r/0.png', 'r/0.jpg'], ['0.png.png', '0.jpg.png']),
        (['r/0.png', 'r/./0.png', 'r/1.png'], ['0.png', '0.png', '1.png']),
        (['r/ä b/0.png', 'r/c/0.png'], ['ä b/0.png', 'c/0.png']),
    ],
)
def test_no_two_images_get_one_name(images, names):
    assert output_names(dict.fromkeys(images, 'r')) == dict(
        zip(images, names, strict=True)
    )


@pytest.mark.parametrize('kind', ['IoUMetric', 'CityscapesMetric', 'DepthMetric'])
def test_every_metric_that_writes_keeps_what_it_is_given(tmp_path, kind):
    keep = dict(keep_results=True, format_only=True) if kind != 'DepthMetric' else {}
    metric = METRICS.build(dict(type=kind, output_dir=str(tmp_path), **keep))
    metric.dataset_meta = dict(classes=('a', 'b', 'c'))
    paths = [str(Path('r', name)) for name in ('a/0.jpg', 'b/0.jpg', 'b/0.png')]
    names = output_names(dict.fromkeys(paths, 'r'))
    for i, path in enumerate(paths):
        sample = SegDataSample(metainfo=dict(img_path=path))
        for field in ('pred_sem_seg', 'pred_depth_map', 'gt_depth_map'):
            sample.set_data({field: PixelData(data=torch.full((1, 4, 4), i + 1))})
        process(metric, names, {}, [sample.to_dict()])
    assert metric.output_dir == str(tmp_path)
    maps = [tmp_path / f'{name}.png' for name in ('a/0.jpg', 'b/0.jpg', 'b/0.png')]
    values = [cv2.imread(str(path), cv2.IMREAD_UNCHANGED).max() for path in maps]
    assert len(set(values)) == 3
