"""The command line, each command as a user runs it: in a process of its own."""

from __future__ import annotations

import re
import sys

import cv2
import numpy as np
import pytest
from mmengine.config import Config
from mmseg.datasets import CityscapesDataset
from PIL import Image

from tests.helpers import ROOT, logged_losses, run_tool

CLASSES = CityscapesDataset.METAINFO['classes']


def tool(name, *args, **env):
    return run_tool(sys.executable, f'tools/{name}.py', *args, **env)


def ok(result):
    assert result.returncode == 0, result.stderr[-3000:]
    return result.stdout + result.stderr


def last_words(result):
    assert result.returncode == 1
    assert 'Traceback' not in result.stderr
    return result.stderr.strip().splitlines()[-1]


def miou(output):
    return float(re.findall(r'mIoU: ([\d.]+)', output)[-1])


def boundary_figures(output):
    return re.findall(r'(mBIoU|trimap_mIoU_\dpx): ([\d.]+)', output)


def test_training_logs_every_loss_and_writes_checkpoints(trained):
    output = (trained / 'stdout.txt').read_text()
    for name in ('decode.loss_ce', 'point.loss_ce', 'point.acc_point', 'aux.loss_ce'):
        assert name in output
    assert (trained / 'last_checkpoint').read_text().endswith('iter_4.pth')
    assert sorted(logged_losses(trained)) == [1, 2, 3, 4]


@pytest.fixture(scope='module')
def tested(trained, tiny_config):
    return ok(tool('test', tiny_config, trained / 'iter_4.pth', '--work-dir', trained))


def test_testing_prints_the_iou_of_each_class_and_the_mean(tested):
    for name in CLASSES:
        assert re.search(rf'\|\s+{name}\s+\|', tested)
    assert 0 <= miou(tested) <= 100


def test_testing_prints_figures_of_the_boundaries(tested):
    names = [name for name, _ in boundary_figures(tested)]
    assert names == ['mBIoU', *(f'trimap_mIoU_{width}px' for width in (1, 2, 3, 5))]


@pytest.mark.slow
def test_fused_and_compiled_testing_gives_the_same_iou(
    tested, trained, tiny_config, tmp_path
):
    output = ok(
        tool(
            *('test', tiny_config, trained / 'iter_4.pth', '--work-dir', tmp_path),
            *('--fuse-conv-bn', '--compile'),
            CXX='/there/is/no/compiler',
            TORCHINDUCTOR_CACHE_DIR=str(tmp_path / 'cache'),
        )
    )
    assert output.count('going on without it: if no compiler was found') == 1
    assert miou(output) == pytest.approx(miou(tested), abs=0.05)


def test_the_plain_twin_evaluates_the_same_checkpoint(trained, tiny_config):
    plain = tiny_config.with_name('plain.py')
    output = ok(tool('test', plain, trained / 'iter_4.pth', '--work-dir', trained))
    assert 0 <= miou(output) <= 100


def test_tta_pictures_and_label_maps_need_no_training_data(
    trained, tiny_config, tmp_path
):
    output = ok(
        tool(
            *('test', tiny_config, trained / 'iter_4.pth', '--work-dir', tmp_path),
            *('--tta', '--show-dir', tmp_path / 'show', '--out', tmp_path / 'out'),
            *('--cfg-options', 'train_dataloader.dataset.data_root=nowhere'),
        )
    )
    assert 0 <= miou(output) <= 100
    assert len(list((tmp_path / 'show').rglob('*.png'))) == 3
    label_maps = list((tmp_path / 'out').glob('*.png'))
    assert len(label_maps) == 3
    labels = cv2.imread(str(label_maps[0]), cv2.IMREAD_UNCHANGED)
    assert labels.shape == (72, 136)
    assert labels.max() < 19


def tiny_version(config, tiny_config, scenes, folder):
    """A config file of the project with the tiny model and the scenes put in."""
    path = folder / config
    tiny = Config.fromfile(tiny_config)
    path.write_text(
        f'_base_ = {str(ROOT / "configs" / config)!r}\n'
        f'model = dict(_delete_=True, **{tiny.model.to_dict()})\n'
        f'test_dataloader = dict(dataset=dict(data_root={str(scenes)!r}),\n'
        '    num_workers=0, persistent_workers=False)\n'
    )
    return path


@pytest.mark.parametrize('options', [[], ['--tta']])
def test_the_test_server_format(trained, tiny_config, scenes, tmp_path, options):
    name = 'pointrend_deeplabv3plus_cityscapes_test-server.py'
    config = tiny_version(name, tiny_config, scenes, tmp_path)
    if options:
        with config.open('a') as file:
            file.write(
                "tta_pipeline = [dict(type='LoadImageFromFile'), "
                "dict(type='TestTimeAug', transforms=[["
                "dict(type='RandomFlip', prob=0.), dict(type='RandomFlip', prob=1.)],"
                "[dict(type='PackSegInputs')]])]\n"
            )
    checkpoint = trained / 'iter_4.pth'
    ok(
        tool(
            *('test', config, checkpoint, '--work-dir', tmp_path / 'work', *options),
            *('--cfg-options', 'test_pipeline.1.scale=(136,72)'),
            'test_dataloader.dataset.pipeline.1.scale=(136,72)',
            f'test_evaluator.output_dir={tmp_path / "png"}',
        )
    )
    (png,) = (tmp_path / 'png').glob('*.png')
    label = np.array(Image.open(png))
    assert label.shape == (72, 136)
    train_label_ids = {7, 8, 11, 12, 13, 17, 19, *range(20, 29), 31, 32, 33}
    assert set(np.unique(label).tolist()) <= train_label_ids


def test_official_cityscapes_evaluation(trained, tiny_config, scenes, tmp_path):
    name = 'pointrend_deeplabv3plus_cityscapes_official-eval.py'
    config = tiny_version(name, tiny_config, scenes, tmp_path)
    output = ok(
        tool(
            *('test', config, trained / 'iter_4.pth', '--work-dir', tmp_path / 'work'),
            *('--cfg-options', 'test_dataloader.dataset.pipeline.1.scale=(136,72)'),
            f'test_evaluator.0.output_dir={tmp_path / "png"}',
        )
    )
    assert 'averageScoreCategories' in output
    assert 'averageScoreInstCategories' in output
    assert 'mBIoU' in dict(boundary_figures(output))
    assert len(list((tmp_path / 'png').glob('*.png'))) == 3


def test_two_processes_train_and_their_metrics_equal_one_process(
    trained, tiny_config, tested, tmp_path
):
    output = ok(run_tool('tools/dist_train.sh', tiny_config, 2, '--work-dir', tmp_path))
    assert 'point.loss_ce' in output
    assert output.count('Device: 2 processes, each on ') == 1
    assert 'System environment' not in output
    assert (tmp_path / 'iter_4.pth').is_file()
    arguments = (tiny_config, trained / 'iter_4.pth', 2, '--work-dir', tmp_path)
    both = ok(run_tool('tools/dist_test.sh', *arguments))
    table = re.compile(r'\|\s+([a-z ]+?)\s+\|\s+([\d.nan]+) \|\s+([\d.nan]+) \|')
    assert table.findall(both)
    assert table.findall(both) == table.findall(tested)
    assert miou(both) == miou(tested)
    assert boundary_figures(both) == boundary_figures(tested)


def test_errors_of_worker_processes_are_one_sentence(tiny_config, scenes, tmp_path):
    images = tmp_path / 'leftImg8bit/train/street'
    labels = tmp_path / 'gtFine/train/street'
    images.mkdir(parents=True)
    labels.mkdir(parents=True)
    name = 'street_000000_000019'
    (images / f'{name}_leftImg8bit.png').write_bytes(b'no image')
    (labels / f'{name}_gtFine_labelTrainIds.png').write_bytes(b'no label')
    result = tool(
        *('train', tiny_config, '--work-dir', tmp_path / 'work', '--cfg-options'),
        f'train_dataloader.dataset.data_root={tmp_path}',
        'train_dataloader.num_workers=1',
    )
    sentence = f'error: cannot read {images}/{name}_leftImg8bit.png'
    assert last_words(result).startswith(sentence)


@pytest.mark.parametrize(
    ('name', 'args', 'sentence'),
    [
        ('train', ['nothing.py'], 'the config file nothing.py does not exist'),
        ('test', ['TINY', 'nothing.pth'], 'checkpoint nothing.pth does not exist'),
        ('test', ['TINY', 'README.md'], 'README.md is not a'),
        (
            'train',
            ['TINY', '--cfg-options', 'model.pretrained=http://127.0.0.1:9/a.pth'],
            'cannot download http://127.0.0.1:9/a.pth',
        ),
    ],
)
def test_wrong_paths_are_one_sentence(tiny_config, tmp_path, name, args, sentence):
    args = [tiny_config if arg == 'TINY' else arg for arg in args]
    assert last_words(tool(name, *args, '--work-dir', tmp_path)).startswith(
        f'error: {sentence}'
    )
