"""From arguments to a Runner, where no process is needed."""

from __future__ import annotations

import errno
import os
from argparse import ArgumentParser

import pytest
import torch
from arguments import add_run_arguments, run
from mmengine.config import Config
from mmengine.hooks import CheckpointHook
from mmseg.registry import MODELS

from mmseg_pointrend.engine.config import (
    draw_predictions,
    guard_training,
    load_config,
    resume_latest,
    save_predictions,
    use_amp,
    use_tta,
)
from mmseg_pointrend.engine.runner import LAUNCHERS, build_runner
from mmseg_pointrend.errors import InputError, exit_with_sentence


def test_the_default_tta_model_of_mmsegmentation_is_replaced():
    cfg = Config(
        dict(
            model=dict(type='PointRendEncoderDecoder'),
            tta_model=dict(type='SegTTAModel'),
            tta_pipeline=[dict(type='TestTimeAug')],
            test_dataloader=dict(dataset=dict(pipeline=[])),
        )
    )
    use_tta(cfg)
    assert cfg.model.type == 'PointRendTTAModel'
    assert cfg.model.module.type == 'PointRendEncoderDecoder'
    assert cfg.test_dataloader.dataset.pipeline == [dict(type='TestTimeAug')]


def test_missing_keys_are_named():
    with pytest.raises(InputError, match=r'--tta needs tta_pipeline'):
        use_tta(Config(dict(model=dict())))
    with pytest.raises(InputError, match=r'need default_hooks.visualization'):
        draw_predictions(Config(dict()), 'folder')


def test_label_maps_are_written_by_the_metrics_that_can():
    evaluators = [dict(type='IoUMetric'), dict(type='BoundaryIoUMetric')]
    cfg = Config(dict(test_evaluator=evaluators))
    save_predictions(cfg, 'folder')
    assert cfg.test_evaluator[0].output_dir == 'folder'
    assert cfg.test_evaluator[1] == dict(type='BoundaryIoUMetric')
    with pytest.raises(InputError, match=r'--out needs a metric .*: add'):
        save_predictions(Config(dict(test_evaluator=evaluators[1])), 'folder')


def test_amp_wants_an_accelerator_and_a_plain_wrapper(monkeypatch):
    monkeypatch.setattr('mmseg_pointrend.engine.config.get_device', lambda: 'cpu')
    with pytest.raises(InputError, match=r'--amp needs an accelerator'):
        use_amp(Config(dict(optim_wrapper=dict(type='OptimWrapper'))))
    monkeypatch.setattr('mmseg_pointrend.engine.config.get_device', lambda: 'cuda')
    with pytest.raises(InputError, match=r"but it is 'ApexOptimWrapper'"):
        use_amp(Config(dict(optim_wrapper=dict(type='ApexOptimWrapper'))))
    cfg = Config(dict(optim_wrapper=dict(optimizer=dict(type='SGD'))))
    use_amp(cfg)
    assert cfg.optim_wrapper.type == 'AmpOptimWrapper'
    assert cfg.optim_wrapper.loss_scale == 'dynamic'


@pytest.mark.parametrize('text', ['model = dict(', 'x = 1 / 0', '_base_ = "none.py"'])
def test_a_broken_config_is_named(tmp_path, text):
    path = tmp_path / 'broken.py'
    path.write_text(text)
    with pytest.raises(InputError, match=r'broken.py is not a valid config'):
        load_config(str(path))


def test_other_files_and_names_get_a_hint(tmp_path):
    checkpoint = tmp_path / 'a.pth'
    checkpoint.touch()
    with pytest.raises(InputError, match=r'a.pth is a checkpoint: give the config fir'):
        load_config(str(checkpoint))
    near = 'did you mean mmseg_pointrend::pointrend_deeplabv3plus_cityscapes.py'
    with pytest.raises(InputError, match=near):
        load_config('mmseg_pointrend::pointrend_deeplabv3plus_cityscape.py')


BASES = """_base_ = [
    'mmseg::_base_/models/fcn_r50-d8.py',
    'mmseg_pointrend::_base_/default_runtime.py',
]
model = dict(pretrained=None)
"""


def test_bases_of_packages_are_found_with_any_setuptools(tmp_path):
    path = tmp_path / 'mine.py'
    path.write_text(BASES)
    cfg = load_config(str(path))
    assert cfg.model.decode_head.type == 'FCNHead'
    assert cfg.custom_imports.imports == ['mmseg_pointrend']
    assert '_scope_' not in cfg.visualizer
    assert MODELS.build(cfg.model).backbone


@pytest.mark.parametrize(
    ('base', 'sentence'),
    [
        ('mmdet::_base_/default_runtime.py', 'mmdet is not installed'),
        ('nothing::a/b.py', 'does not support to load nothing'),
        ('mmseg::a/b.py', "a path is relative .*'mmseg::...' one of MMSegmentation"),
        (
            './_base_/models/deeplabv3plus_r50-d16.py',
            "'mmseg_pointrend::_base_/models/deeplabv3plus_r50-d16.py' is a config",
        ),
        ('mmseg_pointrend::a/b.py', "'mmseg_pointrend::...' is a config"),
    ],
)
def test_a_base_that_is_not_found_says_what_to_write(tmp_path, base, sentence):
    path = tmp_path / 'moved.py'
    path.write_text(f'_base_ = {base!r}')
    with pytest.raises(InputError, match=f'moved.py is not a valid .*{sentence}'):
        load_config(str(path))


OURS = dict(imports=['mmseg_pointrend'])


@pytest.mark.parametrize('hooks', [None, {}])
def test_configs_that_import_the_package_are_guarded(hooks):
    cfg = Config(dict(custom_imports=OURS, default_hooks=hooks))
    guard_training(cfg)
    assert [hook.type for hook in cfg.default_hooks.values()] == [
        *('ResumableCheckpointHook', 'InvalidLossHook', 'NumClassesHook')
    ]


def test_what_the_hooks_of_a_config_say_is_kept():
    checkpoint = dict(type='CheckpointHook', interval=7)
    invalid = dict(type='InvalidLossHook', max_skips=3)
    hooks = dict(checkpoint=checkpoint, invalid_loss=invalid)
    cfg = Config(dict(custom_imports=OURS, default_hooks=hooks))
    guard_training(cfg)
    wanted = dict(type='ResumableCheckpointHook', interval=7)
    assert cfg.default_hooks.checkpoint == wanted
    assert cfg.default_hooks.invalid_loss == invalid


@pytest.mark.parametrize(
    ('checkpoint', 'kept'),
    [
        (None, True),
        (CheckpointHook(), True),
        (dict(type='MyHook'), True),
        (dict(type=CheckpointHook), False),
        (dict(type='mmengine.CheckpointHook'), False),
    ],
)
def test_only_a_plain_checkpoint_hook_is_replaced(checkpoint, kept):
    imports = dict(imports='mmseg_pointrend.models')
    cfg = Config(
        dict(custom_imports=imports, default_hooks=dict(checkpoint=checkpoint))
    )
    guard_training(cfg)
    ours = dict(type='ResumableCheckpointHook')
    assert cfg.default_hooks.checkpoint == (checkpoint if kept else ours)


@pytest.mark.parametrize(
    'imports', [None, dict(imports=None), dict(imports='mmseg_pointrend_x')]
)
def test_a_config_that_imports_something_else_stays_as_it_is(imports):
    hooks = dict(checkpoint=dict(type='CheckpointHook'))
    keys = dict(custom_imports=imports, default_hooks=hooks)
    cfg = Config(keys)
    guard_training(cfg)
    assert cfg.to_dict() == keys


def test_a_finished_training_says_so(tmp_path, capsys):
    finished = dict(meta=dict(iter=9, seed=1), message_hub={}, state_dict={})
    torch.save(finished, tmp_path / 'iter_9.pth')
    (tmp_path / 'last_checkpoint').write_text(str(tmp_path / 'iter_9.pth'))
    for wanted, said in ((9, True), (10, False)):
        train_cfg = dict(max_iters=wanted)
        resume_latest(Config(dict(work_dir=str(tmp_path), train_cfg=train_cfg)))
        assert ('raise train_cfg.max_iters' in capsys.readouterr().err) == said


def test_the_work_folder_follows_the_config_name(tmp_path):
    path = tmp_path / 'name.py'
    path.write_text('work_dir = None')
    assert load_config(str(path)).work_dir == 'work_dirs/name'
    assert load_config(str(path), work_dir='other').work_dir == 'other'


@pytest.mark.parametrize('launcher', LAUNCHERS)
def test_a_launcher_that_did_not_start_this_process_is_named(
    tmp_path, monkeypatch, launcher
):
    first, *_ = LAUNCHERS[launcher]
    for name in LAUNCHERS[launcher]:
        monkeypatch.delenv(name, raising=False)
    cfg = Config(dict(model=dict(), launcher=launcher, work_dir=str(tmp_path)))
    sentence = rf'^--launcher {launcher} needs {first}, .* in the environment: start'
    with pytest.raises(InputError, match=sentence):
        build_runner(cfg)


@pytest.mark.parametrize('work_dir', ['file', 'file/below'])
def test_a_work_folder_that_cannot_be_made_is_named(tmp_path, work_dir):
    (tmp_path / 'file').touch()
    cfg = Config(dict(launcher='none', work_dir=str(tmp_path / work_dir)))
    with pytest.raises(
        InputError, match=rf'--work-dir {tmp_path}/{work_dir} \(.*: giv'
    ):
        build_runner(cfg)


@pytest.mark.parametrize('number', [errno.EACCES, errno.EROFS])
def test_a_place_that_must_not_be_written_is_a_sentence(capsys, number):
    with pytest.raises(SystemExit, match='1'), exit_with_sentence():
        raise OSError(number, os.strerror(number), 'folder/log')
    printed = capsys.readouterr().err
    assert f"{os.strerror(number)}: 'folder/log': change its permissions" in printed


def test_missing_data_of_a_data_set_of_mmsegmentation_is_named(
    tiny_config, tmp_path, capsys
):
    options = {
        'train_dataloader.dataset.type': 'CityscapesDataset',
        'train_dataloader.dataset.data_root': '/nowhere',
    }
    cfg = load_config(str(tiny_config), options, work_dir=str(tmp_path))
    with pytest.raises(SystemExit, match='1'), exit_with_sentence():
        build_runner(cfg).train()
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert last.startswith('error: ')
    assert last.endswith("'/nowhere/leftImg8bit/train': check the path.")


def test_a_word_without_a_value_is_named(capsys):
    parser = ArgumentParser()
    add_run_arguments(parser)
    with pytest.raises(SystemExit):
        parser.parse_args(['--cfg-options', 'model.pretrained'])
    assert '--cfg-options: model.pretrained: give key=value.' in capsys.readouterr().err


def arguments_of(*words):
    """What a command is given that got these words."""
    parser = ArgumentParser()
    add_run_arguments(parser)
    given = []
    run(given.append, parser.parse_args(words))
    return given[0]


def test_the_launchers_are_those_whose_variables_are_known():
    for name in LAUNCHERS:
        assert arguments_of('--launcher', name).launcher == name


def test_options_are_read_as_mmengine_reads_them():
    words = ('--cfg-options', 'a.b=[1,(x,2.5)]', 'c=None', '--cfg-options', 'd=True')
    read = {'a.b': [1, ('x', 2.5)], 'c': None, 'd': True}
    assert arguments_of(*words).cfg_options == read
    assert arguments_of().cfg_options == {}


def test_an_open_bracket_is_named(capsys):
    with pytest.raises(SystemExit, match='1'):
        arguments_of('--cfg-options', 'a=[1,2')
    said = capsys.readouterr().err
    assert said == 'error: --cfg-options a=[1,2: close every bracket.\n'
