"""A published file predicts as the checkpoint it comes from, and holds no more."""

from __future__ import annotations

import json
import pickletools
import re
import sys
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.runner import CheckpointLoader
from mmseg.apis import inference_model, init_model
from mmseg.datasets import CityscapesDataset
from safetensors.torch import save_file

from mmseg_pointrend import __version__
from mmseg_pointrend.engine.config import keep_testing_only, load_config, portable
from mmseg_pointrend.engine.prediction.model import load_model
from mmseg_pointrend.engine.publishing import figures_in, hash_of, publish
from mmseg_pointrend.engine.runner import build_runner
from mmseg_pointrend.errors import InputError
from tests.helpers import run_tool, train_here

CITYSCAPES = {key: [*value] for key, value in CityscapesDataset.METAINFO.items()}
FORMS = [(d, s) for d in ('float32', 'float16') for s in ('pth', 'safetensors')]


@pytest.fixture(scope='module')
def work_dir(tmp_path_factory: pytest.TempPathFactory, tiny_config: Path) -> Path:
    """Where a training with averaged weights and a best checkpoint has written."""
    folder = tmp_path_factory.mktemp('work_dir')
    train_here(
        tiny_config,
        folder,
        **{
            'custom_hooks': [dict(type='EMAHook', momentum=0.5)],
            'default_hooks.checkpoint.save_best': 'mIoU',
            'train_cfg.max_iters': 4,
            'train_cfg.val_interval': 2,
            'visualizer.name': 'publish',  # MMEngine keeps one of each name
        },
    )
    return folder


@pytest.fixture(scope='module')
def checkpoint(work_dir: Path) -> Path:
    """The best checkpoint, with predictors that make points and pixels matter."""
    [best] = work_dir.glob('best_*.pth')
    content = CheckpointLoader.load_checkpoint(str(best), 'cpu', logger='silent')
    for name, value in content['state_dict'].items():
        if name.endswith(('predictor.weight', 'conv_seg.weight')):
            value.copy_(torch.randn(value.shape, generator=torch.manual_seed(0)))
    torch.save(content, work_dir / 'chosen.pth')
    return work_dir / 'chosen.pth'


def published(config: Path, checkpoint: Path, out: Path, **kwargs: Any) -> Path:
    """Publish and give the file of the weights."""
    kwargs = {'name': 'street', 'overwrite': True, **kwargs}
    publish(load_config(str(config)), str(checkpoint), out, **kwargs)
    [path] = [one for one in out.iterdir() if one.suffix not in ('.py', '.md')]
    return path


def content_of(path: Path) -> dict[str, Any]:
    return CheckpointLoader.load_checkpoint(str(path), 'cpu', logger='silent')


def labels(config: Path, checkpoint: Path) -> torch.Tensor:
    """What a model says of noise in four grey values."""
    noise = np.random.default_rng(0).integers(0, 256, (72, 136, 3), dtype=np.uint8)
    image = noise // 4 + np.arange(4, dtype=np.uint8).repeat(34)[:, None] * 64
    model = init_model(str(config), str(checkpoint), 'cpu')
    assert {key: [*model.dataset_meta[key]] for key in CITYSCAPES} == CITYSCAPES
    return inference_model(model, image).pred_sem_seg.data


@pytest.mark.parametrize(('dtype', 'suffix'), FORMS)
def test_init_model_takes_the_file_with_its_config(
    dtype, suffix, checkpoint, tiny_config, tmp_path
):
    path = published(tiny_config, checkpoint, tmp_path, dtype=dtype, suffix=suffix)
    assert re.fullmatch(rf'street-[0-9a-f]{{8}}\.{suffix}', path.name)
    expected = labels(tiny_config, checkpoint)
    found = labels(tmp_path / 'street.py', path)
    assert len(expected.unique()) >= 5
    if dtype == 'float32':
        assert found.equal(expected)
    else:
        assert (found == expected).float().mean() > 0.99
    kinds = {value.dtype for value in content_of(path)['state_dict'].values()}
    assert kinds == {getattr(torch, dtype), torch.int64}
    saved = checkpoint.stat().st_size
    assert path.stat().st_size < saved / (1.9 if dtype == 'float32' else 3)


def test_testing_and_predicting_take_a_safetensors_file(
    checkpoint, tiny_config, scenes, tmp_path
):
    path = published(tiny_config, checkpoint, tmp_path, suffix='safetensors')
    config = tmp_path / 'street.py'
    model = load_model(load_config(str(config)), str(path), 'cpu')
    assert model.dataset_meta['classes'] == tuple(CITYSCAPES['classes'])
    figures = []
    for file, source in ((config, path), (tiny_config, checkpoint)):
        cfg = load_config(str(file), work_dir=str(tmp_path / source.suffix))
        cfg.test_dataloader.dataset.data_root = str(scenes)
        cfg.load_from, cfg.experiment_name = str(source), f'test{source.suffix}'
        keep_testing_only(cfg)
        figures.append(build_runner(cfg).test())
    assert figures[0] == figures[1]


def test_averaged_weights_are_published(work_dir, tiny_config, tmp_path):
    source = work_dir / 'iter_4.pth'
    weights = content_of(published(tiny_config, source, tmp_path))['state_dict']
    content = content_of(source)
    averages, last = content['state_dict'], content['ema_state_dict']
    assert weights.keys() == averages.keys()
    assert all(weights[name].equal(averages[name]) for name in weights)
    name = 'point_head.mlp.predictor.weight'
    assert not weights[name].equal(last[f'module.{name}'])


def test_equal_weights_have_equal_names_and_others_others(
    checkpoint, tiny_config, tmp_path
):
    path = published(tiny_config, checkpoint, tmp_path / 'a')
    weights = content_of(checkpoint)['state_dict']
    backwards = {f'module.{name}': weights[name] for name in reversed(weights)}
    torch.save(backwards, tmp_path / 'weights.pth')
    other = published(tiny_config, tmp_path / 'weights.pth', tmp_path / 'b')
    again = published(tmp_path / 'a/street.py', path, tmp_path / 'c')
    assert path.name == other.name == again.name
    assert path.with_name('street.py').read_text() == (
        again.with_name('street.py').read_text()
    )
    same = published(tiny_config, checkpoint, tmp_path / 'd')
    assert same.read_bytes() == path.read_bytes()
    smaller = published(tiny_config, checkpoint, tmp_path / 'e', dtype='float16')
    weights['decode_head.conv_seg.bias'][0] += 1e-6
    torch.save(weights, tmp_path / 'weights.pth')
    third = published(tiny_config, tmp_path / 'weights.pth', tmp_path / 'f')
    assert len({path.stem, smaller.stem, third.stem}) == 3
    assert hash_of(content_of(path)['state_dict'])[:8] == path.stem[-8:]


@pytest.mark.parametrize('suffix', ['pth', 'safetensors'])
def test_nothing_of_the_training_or_the_machine_is_inside(
    suffix, checkpoint, tiny_config, tmp_path
):
    assert str(tmp_path.parents[1]).encode() in checkpoint.read_bytes()
    path = published(tiny_config, checkpoint, tmp_path, suffix=suffix)
    content = content_of(path)
    assert content.keys() == {'state_dict', 'meta'}
    meta = content['meta']
    text = (tmp_path / 'street.py').read_text()
    assert meta.pop('metrics').keys() >= {'mIoU', 'mBIoU', 'trimap_mIoU_1px'}
    assert meta == dict(
        dataset_meta=CITYSCAPES, cfg=text, mmseg_pointrend_version=__version__
    )
    cfg = Config.fromstring(text, '.py')
    assert cfg.train_dataloader.dataset.data_root.startswith('data/scenes')
    assert not {'work_dir', 'load_from', 'resume', 'launcher'} & {*cfg}
    for private in (str(tmp_path.parents[1]), 'message_hub', 'param_groups', 'seed_'):
        assert private.encode() not in path.read_bytes()
        assert private not in text + (tmp_path / 'MODEL.md').read_text()


def test_a_pth_file_asks_for_tensors_alone(checkpoint, tiny_config, tmp_path):
    path = published(tiny_config, checkpoint, tmp_path)
    with ZipFile(path) as archive:
        [pickled] = [name for name in archive.namelist() if name.endswith('data.pkl')]
        asked = {
            argument
            for opcode, argument, _ in pickletools.genops(archive.read(pickled))
            if opcode.name in ('GLOBAL', 'STACK_GLOBAL')
        }
    assert asked == {
        'torch._utils _rebuild_tensor_v2',
        'torch FloatStorage',
        'torch LongStorage',
        'collections OrderedDict',
    }


def test_figures_are_those_of_the_weights(work_dir):
    [best] = work_dir.glob('best_*.pth')
    [log] = work_dir.glob('*/vis_data/scalars.json')
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    validated = {line['step']: line for line in lines if 'mIoU' in line}
    logged = validated[int(best.stem.rpartition('_')[2])]
    found = figures_in(content_of(best))
    assert found.keys() >= {'mIoU', 'mBIoU'}
    assert not [name for name in found if 'time' in name]
    assert found == pytest.approx({name: logged[name] for name in found})
    # Written before its own validation: the log in it ends with an older one.
    content = content_of(work_dir / 'iter_4.pth')
    content['message_hub']['runtime_info']['best_ckpt'] = 'best_mIoU_iter_2.pth'
    assert content['message_hub']['log_scalars']['val/mIoU'].current() >= 0
    assert figures_in(content) == {}
    assert figures_in({'state_dict': {}}) == {}


def test_a_part_of_a_model_has_no_figures_of_the_whole(
    checkpoint, tiny_config, tmp_path
):
    plain = tiny_config.with_name('plain.py')
    path = published(plain, checkpoint, tmp_path)
    content = content_of(path)
    assert content['meta']['metrics'] == {}
    assert not [name for name in content['state_dict'] if 'point_head' in name]
    assert '| not measured | |' in path.with_name('MODEL.md').read_text()
    assert labels(tmp_path / 'street.py', path).equal(labels(plain, checkpoint))


@pytest.mark.parametrize(
    'content',
    [
        {'mIoU': 71.25, 'aAcc': 90, 'data_time': 0.1, 'time': 0.2},
        {'before': {'mIoU': 60.0}, 'after': {'mIoU': 71.25, 'aAcc': 90}},
    ],
)
def test_the_card_says_what_a_person_wants_to_know(
    content, checkpoint, tiny_config, tmp_path
):
    metrics = tmp_path / 'metrics.json'
    metrics.write_text(json.dumps(content))
    out = tmp_path / 'out'
    path = published(tiny_config, checkpoint, out, metrics=metrics, dtype='float16')
    assert content_of(path)['meta']['metrics'] == {'mIoU': 71.25, 'aAcc': 90}
    card = (out / 'MODEL.md').read_text()
    assert card.startswith('# street\n')
    assert '| mIoU | 71.25 |\n| aAcc | 90 |\n\n' in card
    assert ', '.join(CITYSCAPES['classes']) in card
    model = init_model(str(tiny_config), device='cpu')
    count = sum(one.numel() for one in model.parameters())
    count -= sum(one.numel() for one in model.auxiliary_head.parameters())
    assert f'{count / 1e6:.2f} M\nparameters, float16' in card
    assert 'RGB from 0 to 255, minus [123.675, 116.28, 103.53], divided by' in card
    assert 'state the licence of your data' in card
    assert f'`{path.name}`, SHA-256 of the weights `{path.stem[-8:]}' in card
    assert card.count(f'pointrend predict street.py {path.name} ') == 1
    assert card.count('\npointrend ') == 3
    assert len(card.splitlines()) < 30


def test_lists_of_images_are_looked_for_in_the_folder_of_the_data():
    lists = '/a/data/split/val.txt', '/b/val.txt', '/c/val.txt', 'val.txt'
    data = dict(data_root='/a/data')
    cfg = Config({f'x{i}': dict(data, ann_file=one) for i, one in enumerate(lists)})
    found = Config.fromstring(portable(cfg), '.py')
    assert [found[key].ann_file for key in found] == [
        *('split/val.txt', 'b_val.txt', 'c_val.txt', 'val.txt'),
    ]
    assert {found[key].data_root for key in found} == {'data/data'}


def test_a_portable_config_tells_folders_apart_and_keeps_the_rest():
    cfg = Config(
        dict(
            work_dir='/home/me/runs',
            load_from='/home/me/plain.pth',
            train=dict(data_root='/home/me/city/train/', ann_file='lists/a.txt'),
            val=[dict(data_root='/home/me/city/val'), ('/mnt/other/val', 3)],
            files=['/home/me/city/train/lists/b.txt', 'data/own', '/', 'a/b'],
            names={'/home/me/city/val': None},
        )
    )
    found = Config.fromstring(portable(cfg), '.py').to_dict()
    assert found == dict(
        train=dict(data_root='data/city/train', ann_file='lists/a.txt'),
        val=[dict(data_root='data/city/val'), ('data/other/val', 3)],
        files=['data/city/train/lists/b.txt', 'data/own', '/', 'a/b'],
        names={'/home/me/city/val': None},
    )
    assert cfg.train.data_root == '/home/me/city/train/'


def refusal(config: Path, source: Path, out: Path, **kwargs: Any) -> str:
    """Why nothing is published; the files are those that were there."""
    before = files_below(out.parent)
    with pytest.raises(InputError) as caught:
        published(config, source, out, **kwargs)
    assert files_below(out.parent) == before
    assert '\n' not in str(caught.value)
    return str(caught.value)


def files_below(folder: Path) -> dict[Path, int]:
    files = [path for path in folder.rglob('*') if path.is_file()]
    return {path: path.stat().st_mtime_ns for path in files}


def test_a_checkpoint_of_another_config_is_refused(checkpoint, tiny_config, tmp_path):
    config = tmp_path / 'other.py'
    head = 'dict(mlp=dict(hidden_channels=32))'
    config.write_text(f'_base_ = {str(tiny_config)!r}\nmodel = dict(point_head={head})')
    said = refusal(config, checkpoint, tmp_path / 'out')
    assert said.startswith(f'{checkpoint} is not a checkpoint of this model, ')
    assert 'such as point_head.mlp.' in said


@pytest.mark.parametrize('there', ['MODEL.md', 'street.py', '{}'])
def test_a_file_that_exists_stays(there, checkpoint, tiny_config, tmp_path):
    name = published(tiny_config, checkpoint, tmp_path / 'a').name
    file = tmp_path / 'b' / there.format(name)
    file.parent.mkdir()
    file.write_text('mine')
    said = refusal(tiny_config, checkpoint, tmp_path / 'b', overwrite=False)
    assert said == f'{file} exists: give another --out, or --overwrite.'
    published(tiny_config, checkpoint, tmp_path / 'b')
    assert file.read_bytes() == (tmp_path / 'a' / file.name).read_bytes()


@pytest.mark.parametrize('there', ['MODEL.md', 'MODEL.md/folder', ''])
def test_nothing_is_written_where_a_file_cannot_be(
    there, checkpoint, tiny_config, tmp_path
):
    path = tmp_path / 'out' / there
    if there.endswith('folder') or not there:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text('mine')
    else:
        path.mkdir(parents=True)
    said = refusal(tiny_config, checkpoint, tmp_path / 'out')
    assert said.startswith(f'cannot write {tmp_path / "out"}')


@pytest.mark.parametrize(
    ('text', 'reason'),
    [
        ('[71.2]', 'AttributeError'),
        ('mIoU: 71.2', 'JSONDecodeError'),
        ('{"mIoU": "71.2"}', 'mIoU is none'),
        ('{"mIoU": true}', 'mIoU is none'),
        ('{"aAcc": 9, "mIoU": NaN}', 'mIoU is none'),
        ('{"IoU": {"road": 71.2}}', 'IoU is none'),
        ('{"before": {"mIoU": 71.2}}', 'before is none'),
        (None, 'FileNotFoundError'),
    ],
)
def test_metrics_that_are_no_numbers_are_refused(
    text, reason, checkpoint, tiny_config, tmp_path
):
    metrics = tmp_path / 'metrics.json'
    if text:
        metrics.write_text(text)
    said = refusal(tiny_config, checkpoint, tmp_path / 'out', metrics=metrics)
    assert said.startswith(
        f'--metrics {metrics} is no JSON object of numbers ({reason}'
    )


@pytest.mark.parametrize(
    ('value', 'dtype', 'fix'),
    [
        (
            65520.0,
            'float16',
            'float16 holds numbers up to 65504: give --dtype float32.',
        ),
        (float('nan'), 'float32', 'give another checkpoint.'),
    ],
)
def test_a_weight_that_does_not_fit_is_named(
    value, dtype, fix, checkpoint, tiny_config, tmp_path
):
    weights = content_of(checkpoint)['state_dict']
    name = 'backbone.layer1.0.bn1.running_var'
    weights[name][0] = 65504
    torch.save(weights, tmp_path / 'a.pth')
    published(tiny_config, tmp_path / 'a.pth', tmp_path / 'fits', dtype='float16')
    weights[name][0] = value
    torch.save(weights, tmp_path / 'a.pth')
    said = refusal(tiny_config, tmp_path / 'a.pth', tmp_path / 'out', dtype=dtype)
    assert said.startswith(f'{tmp_path / "a.pth"}: {name} reaches {value:g}, and ')
    assert said.endswith(fix)


def test_classes_without_names_are_refused(checkpoint, tiny_config, tmp_path):
    content = content_of(checkpoint)
    torch.save(content['state_dict'], tmp_path / 'a.pth')
    config = tmp_path / 'own.py'
    no_data = ''.join(f'{split}_dataloader = None\n' for split in ('val', 'test'))
    config.write_text(
        f'_base_ = {str(tiny_config)!r}\n{no_data}train_dataloader = None\n'
    )
    said = refusal(config, tmp_path / 'a.pth', tmp_path / 'out')
    assert 'name the classes: set test_dataloader.dataset.metainfo=' in said
    out = tmp_path / 'named'
    assert content_of(published(config, checkpoint, out))['meta']['dataset_meta']


def test_a_name_with_a_folder_is_refused(checkpoint, tiny_config, tmp_path):
    said = refusal(tiny_config, checkpoint, tmp_path / 'out', name='../street')
    assert said == '--name ../street: give a name without folders.'


def test_safetensors_that_are_missing_are_named(
    checkpoint, tiny_config, tmp_path, monkeypatch
):
    path = published(tiny_config, checkpoint, tmp_path / 'a', suffix='safetensors')
    monkeypatch.setitem(sys.modules, 'safetensors', None)
    monkeypatch.setitem(sys.modules, 'safetensors.torch', None)
    said = refusal(tiny_config, checkpoint, tmp_path / 'b', suffix='safetensors')
    fix = 'needs the package safetensors: pip install safetensors, or use a .pth file.'
    assert said == f'--format safetensors {fix}'
    with pytest.raises(InputError) as caught:
        content_of(path)
    assert str(caught.value) == f'{path} {fix}'


def test_a_safetensors_file_of_weights_alone_is_read(tmp_path):
    save_file({'a': torch.ones(2)}, tmp_path / 'a.safetensors')
    content = content_of(tmp_path / 'a.safetensors')
    assert content['meta'] == {}
    assert content['state_dict']['a'].equal(torch.ones(2))


@pytest.mark.parametrize('wrong', ['truncated', 'text', 'meta', 'config', 'missing'])
def test_a_safetensors_file_is_read_as_data_or_refused(wrong, tmp_path):
    path = tmp_path / 'a.safetensors'
    meta = dict(meta='[1, 2]', config='{"config": "x = 1", "iter": 3}')
    save_file({'a': torch.ones(99)}, path, {'meta': meta.get(wrong, '{}')})
    if wrong == 'config':
        assert content_of(path)['meta'] == {'iter': 3}
        return
    if wrong == 'truncated':
        path.write_bytes(path.read_bytes()[:-9])
    elif wrong == 'text':
        path.write_text('text')
    elif wrong == 'missing':
        path.unlink()
    reason = 'does not exist' if wrong == 'missing' else 'is not a checkpoint'
    with pytest.raises(InputError, match=f'{re.escape(str(path))} {reason}'):
        content_of(path)


def test_the_command_says_what_it_wrote_and_what_comes_next(
    checkpoint, tiny_config, tmp_path
):
    out = tmp_path / 'out'
    result = run_tool(
        *(sys.executable, '-m', 'pointrend_cli', 'publish', tiny_config, checkpoint),
        *('--out', out, '--format', 'safetensors', '--dtype', 'float16'),
    )
    assert result.returncode == 0, result.stderr
    [path] = out.glob('tiny-*.safetensors')
    first, second = result.stdout.splitlines()
    assert first.startswith(f'Wrote {path}, 0.4')
    assert first.endswith(f' MB; {out / "tiny.py"}; {out / "MODEL.md"}')
    command = f'Next: pointrend predict {out / "tiny.py"} {path} IMAGES --out'
    assert second.startswith(command)


def test_help_names_the_choices():
    result = run_tool(sys.executable, '-m', 'pointrend_cli', 'publish', '--help')
    assert result.returncode == 0
    assert 'pointrend publish CONFIG CHECKPOINT --out published' in result.stdout
    for choices in ('{float32,float16}', '{pth,safetensors}', '--metrics FILE.json'):
        assert choices in result.stdout
