"""A checkpoint from a stranger runs nothing, whatever reads it.

The payloads are real: each would create a file, and first shows that it can.
"""

from __future__ import annotations

import logging
import os
import pickle
import re
import runpy
import sys
import tarfile
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest
import torch
from mmengine.config import Config
from mmengine.runner import CheckpointLoader, load_checkpoint
from mmseg.apis import MMSegInferencer, init_model
from mmseg.registry import MODELS

from mmseg_pointrend.errors import InputError
from mmseg_pointrend.studies.accuracy.training import write_as_cascade
from tests.helpers import CAMVID, ROOT, run_tool, tiny_model_config, train_here

UNSAFE = r'evil\.pth is not safe to load, it asks for \S+\.system: give a checkpoint'
WAYS_TO_SAVE = ('zip', 'legacy', 'pickle', 'tar')


class Payload:
    """Unpickles to ``os.system('touch PATH')``."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.system, (f'touch {self.path}',)


def write_tar(payload, path):
    """The format of torch before 0.1.10."""
    member = path.with_name('member')
    member.write_bytes(pickle.dumps(payload))
    with tarfile.open(path, 'w') as archive:
        for name in ('sys_info', 'storages', 'tensors', 'pickle'):
            archive.add(member, name)


@pytest.fixture
def proof(tmp_path):
    """The file that exists if a payload ran."""
    return tmp_path / 'proof'


@pytest.fixture
def evil(tmp_path, proof):
    """A checkpoint with a payload that has shown that it works."""
    path = tmp_path / 'evil.pth'
    torch.save(dict(state_dict={}, meta={}, extra=Payload(proof)), path)
    torch.load(path, weights_only=False)
    assert proof.exists()
    proof.unlink()
    return path


def last_line_of(tool, *args, capsys, monkeypatch):
    """Run a tool in this process; what it says on standard error as it gives up."""
    monkeypatch.setattr(sys, 'argv', [tool, *map(str, args)])
    monkeypatch.chdir(ROOT)
    # MMEngine's loggers write to the standard output of earlier tests, now closed.
    monkeypatch.setattr(logging, 'raiseExceptions', False)
    with pytest.raises(SystemExit) as caught:
        runpy.run_path(f'tools/{tool}', run_name='__main__')
    assert caught.value.code == 1
    error = capsys.readouterr().err
    assert 'Traceback' not in error
    return error.strip().splitlines()[-1]


@pytest.mark.parametrize(
    'command',
    [
        'train.py CONFIG --work-dir WORK --cfg-options load_from=EVIL',
        'train.py CONFIG --work-dir WORK --cfg-options load_from=EVIL resume=True',
        'train.py CONFIG --work-dir WORK --cfg-options model.pretrained=EVIL',
        'test.py CONFIG EVIL --work-dir WORK',
        'test.py CONFIG EVIL --work-dir WORK --tta',
        'score.py CONFIG EVIL --work-dir WORK',
    ],
)
def test_a_tool_runs_no_payload(
    command, evil, proof, tiny_config, tmp_path, capsys, monkeypatch
):
    places = dict(CONFIG=tiny_config, EVIL=evil, WORK=tmp_path / 'work')
    command = re.sub('[A-Z]{4,}', lambda word: str(places[word[0]]), command)
    said = last_line_of(*command.split(), capsys=capsys, monkeypatch=monkeypatch)
    assert re.match(f'error: .*{UNSAFE}', said), said
    assert not proof.exists()


def test_resuming_runs_no_payload(
    evil, proof, tiny_config, tmp_path, capsys, monkeypatch
):
    work = tmp_path / 'work'
    work.mkdir()
    evil.rename(work / 'iter_2.pth')
    (work / 'last_checkpoint').write_text(str(work / 'iter_2.pth'))
    args = ('train.py', tiny_config, '--work-dir', work, '--resume')
    said = last_line_of(*args, capsys=capsys, monkeypatch=monkeypatch)
    assert said.startswith(f'error: {work} has a last_checkpoint but no checkpoint')
    assert not proof.exists()


def test_comparing_runs_no_payload(evil, proof, tmp_path, capsys, monkeypatch):
    work = tmp_path / 'work'
    base = work / 'base_seed0'
    base.mkdir(parents=True)
    evil.rename(base / 'iter_1.pth')
    (base / 'last_checkpoint').write_text(str(base / 'iter_1.pth'))
    args = (CAMVID, '--work-dir', work, '--base-iterations', 1)
    args = ('compare.py', *args, '--contenders', 'pointhead', '--iterations', 1)
    said = last_line_of(*args, capsys=capsys, monkeypatch=monkeypatch)
    assert re.match(f'error: .*{UNSAFE.replace("evil", "iter_1")}', said), said
    assert not proof.exists()


def from_init_model(path, config):
    init_model(str(config), str(path), device='cpu')


def from_inferencer(path, config):
    MMSegInferencer(model=str(config), weights=str(path), device='cpu')


def from_load_checkpoint(path, config):
    load_checkpoint(torch.nn.Linear(2, 2), str(path))


def from_checkpoint_loader(path, config):
    CheckpointLoader.load_checkpoint(str(path), map_location='cpu')


def from_weights_of(part, **more):
    """Build a model whose config names the file."""

    def read(path, config):
        cfg = tiny_model_config()
        if part == 'backbone':
            init_cfg = dict(type='Pretrained', checkpoint=str(path), **more)
            cfg.backbone.init_cfg = init_cfg
        else:
            cfg.pretrained = str(path)
        MODELS.build(cfg).init_weights()

    return read


def from_cascade(path, config):
    write_as_cascade(path, path.with_name('start.pth'))


INTERFACES = {
    'init_model': from_init_model,
    'inferencer': from_inferencer,
    'load_checkpoint': from_load_checkpoint,
    'CheckpointLoader': from_checkpoint_loader,
    'init_cfg': from_weights_of('backbone'),
    'prefixed init_cfg': from_weights_of('backbone', prefix='backbone.'),
    'pretrained': from_weights_of('model'),
    'cascade': from_cascade,
}


@pytest.mark.parametrize('name', INTERFACES)
def test_an_interface_runs_no_payload(name, evil, proof, tiny_config, monkeypatch):
    monkeypatch.setenv('TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD', '1')
    with pytest.raises(InputError, match=UNSAFE):
        INTERFACES[name](evil, tiny_config)
    assert not proof.exists()


@pytest.mark.parametrize('way', WAYS_TO_SAVE)
def test_no_file_format_runs_a_payload(way, tmp_path, proof):
    path = tmp_path / 'evil.pth'
    payload = dict(state_dict={}, extra=Payload(proof))
    if way == 'tar':
        write_tar(payload, path)
    elif way == 'pickle':
        path.write_bytes(pickle.dumps(payload))
    else:
        new = way == 'zip'
        torch.save(payload, path, _use_new_zipfile_serialization=new)
    with pytest.raises(InputError, match=r'evil\.pth is not ') as caught:
        from_checkpoint_loader(path, None)
    assert '\n' not in str(caught.value)
    assert not proof.exists()


@pytest.mark.parametrize('prefix', ['', 'mmcls://', 'torchvision://', 'openmmlab://'])
def test_a_download_runs_no_payload(prefix, evil, proof, tmp_path, monkeypatch):
    monkeypatch.setenv('TORCH_HOME', str(tmp_path / 'cache'))
    monkeypatch.setenv('TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD', '1')
    handler = partial(SimpleHTTPRequestHandler, directory=str(tmp_path))
    with ThreadingHTTPServer(('127.0.0.1', 0), handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        url = f'http://127.0.0.1:{server.server_port}/evil.pth'
        for models in ('mmcls', 'torchvision', 'external'):
            name = f'mmengine.runner.checkpoint.get_{models}_models'
            monkeypatch.setattr(name, lambda: {'evil': url})
        with pytest.raises(InputError, match='not safe to load, it asks for'):
            from_checkpoint_loader(f'{prefix}evil' if prefix else url, None)
        server.shutdown()
    assert (tmp_path / 'cache/hub/checkpoints/evil.pth').is_file()
    assert not proof.exists()


def test_a_model_in_the_cache_of_mmengine_runs_no_payload(
    evil, proof, tmp_path, monkeypatch
):
    monkeypatch.setenv('MMENGINE_HOME', str(tmp_path))
    monkeypatch.setenv('TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD', '1')
    (tmp_path / 'open_mmlab.json').write_text('{"evil": "evil.pth"}')
    with pytest.raises(InputError, match='not safe to load, it asks for'):
        from_checkpoint_loader('openmmlab://evil', None)
    assert not proof.exists()


@pytest.fixture
def code(proof):
    """A config that has shown that it runs code."""
    text = f'open({str(proof)!r}, "w").close()\nmodel = dict()\n'
    Config.fromstring(text, '.py')
    assert proof.exists()
    proof.unlink()
    return text


def test_resuming_does_not_run_the_config_of_a_checkpoint(
    code, proof, tiny_config, tmp_path
):
    train_here(tiny_config, tmp_path, **{'train_cfg.max_iters': 2})
    checkpoint = CheckpointLoader.load_checkpoint(str(tmp_path / 'iter_2.pth'))
    checkpoint['meta'].update(config=code, cfg=code)
    checkpoint['message_hub']['runtime_info']['cfg'] = code
    torch.save(checkpoint, tmp_path / 'iter_2.pth')
    recorder = train_here(tiny_config, tmp_path, resume=True)
    assert sorted(recorder.losses) == [3, 4]
    assert not proof.exists()


def test_an_inferencer_does_not_run_the_config_of_a_checkpoint(code, proof, tmp_path):
    path = tmp_path / 'stranger.pth'
    runtime = dict(runtime_info=dict(cfg=code))
    torch.save(dict(state_dict={}, meta=dict(cfg=code), message_hub=runtime), path)
    with pytest.raises(InputError, match=r'stranger.pth comes without a config'):
        MMSegInferencer(model=None, weights=str(path), device='cpu')
    assert not proof.exists()


def test_a_payload_ends_a_tool_started_from_a_shell_with_one_sentence(
    evil, proof, tiny_config, tmp_path
):
    result = run_tool(
        *(sys.executable, 'tools/test.py', tiny_config, evil),
        *('--work-dir', tmp_path / 'work'),
        TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD='1',
    )
    assert result.returncode == 1
    assert re.match(f'error: .*{UNSAFE}', result.stderr.strip().splitlines()[-1])
    assert 'Traceback' not in result.stderr
    assert not proof.exists()
