"""Checkpoints load without running what a stranger put into them."""

from __future__ import annotations

import subprocess
import sys
from collections import OrderedDict

import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer, MessageHub
from mmengine.runner import CheckpointLoader, load_checkpoint

from mmseg_pointrend.compat import (
    MissingOps,
    check_mmcv_version,
    explain_download_errors,
)
from mmseg_pointrend.errors import InputError


def load(path):
    return CheckpointLoader.load_checkpoint(str(path), map_location='cpu')


def real_checkpoint(path):
    hub = MessageHub.get_instance('checkpoint-test')
    hub.update_scalar('train/loss', 0.5)
    hub.update_scalar('train/lr', np.float64(0.1))
    hub.update_info('iter', 7)
    torch.save(
        dict(
            meta=dict(iter=7, seed=np.int64(3), classes=('road', 'sky')),
            state_dict=OrderedDict(weight=torch.ones(2, 3)),
            message_hub=hub.state_dict(),
        ),
        path,
    )


def test_a_checkpoint_of_mmengine_loads(tmp_path):
    path = tmp_path / 'iter_7.pth'
    real_checkpoint(path)
    checkpoint = load(path)
    assert checkpoint['meta']['iter'] == 7
    history = checkpoint['message_hub']['log_scalars']['train/loss']
    assert isinstance(history, HistoryBuffer)
    assert history.mean() == 0.5
    model = torch.nn.Linear(3, 2, bias=False)
    load_checkpoint(model, str(path))
    assert model.weight.eq(1).all()


class Call:
    """Unpickles to ``function(*arguments)``."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def test_a_plain_payload_is_refused_and_does_not_run(tmp_path):
    path, proof = tmp_path / 'evil.pth', tmp_path / 'proof'
    payload = Call(exec, f'open({str(proof)!r}, "w").close()')
    torch.save(dict(state_dict={}, extra=payload), path)
    with pytest.raises(InputError, match=r'evil.pth is not a checkpoint that is safe'):
        load(path)
    assert not proof.exists()


@pytest.mark.parametrize(
    'name', ['__init__', '__globals__', '__reduce__', 'statistics', '__class__']
)
def test_getattr_on_a_history_buffer_gives_nothing_but_its_statistics(tmp_path, name):
    path = tmp_path / 'evil.pth'
    torch.save(dict(extra=Call(getattr, HistoryBuffer, name)), path)
    with pytest.raises(InputError, match=r'safe to load \(it asks for getattr'):
        load(path)


def test_getattr_cannot_climb_from_a_method_to_its_globals(tmp_path):
    path = tmp_path / 'evil.pth'
    method = Call(getattr, HistoryBuffer, 'min')
    torch.save(dict(extra=method), path)
    assert load(path)['extra'] is HistoryBuffer.min
    torch.save(dict(extra=Call(getattr, method, '__globals__')), path)
    with pytest.raises(InputError, match=r'safe to load'):
        load(path)


@pytest.mark.parametrize(
    ('content', 'sentence'),
    [
        (b'no checkpoint at all', 'evil.pth is not a'),
        (b'', 'evil.pth is not a'),
        (b'PK\x03\x04 a zip that is cut off', 'evil.pth is not a'),
    ],
)
def test_a_file_that_is_no_checkpoint_is_named(tmp_path, content, sentence):
    path = tmp_path / 'evil.pth'
    path.write_bytes(content)
    with pytest.raises(InputError, match=sentence) as caught:
        load(path)
    assert '\n' not in str(caught.value)


def test_a_truncated_checkpoint_is_named(tmp_path):
    path = tmp_path / 'iter_7.pth'
    real_checkpoint(path)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(InputError, match=r'iter_7.pth is not a readable checkpoint'):
        load(path)


def test_a_missing_checkpoint_is_named(tmp_path):
    with pytest.raises(InputError, match=r'nothing.pth does not exist'):
        load(tmp_path / 'nothing.pth')


def test_a_failed_download_says_how_to_go_on_offline():
    def offline(filename, map_location=None):
        raise ConnectionError('no route to host')

    with pytest.raises(InputError, match=r'model.pretrained=FILE') as caught:
        explain_download_errors(offline)('open-mmlab://resnet50_v1c')
    assert 'open-mmlab://resnet50_v1c' in str(caught.value)
    assert 'model.pretrained=None' in str(caught.value)


@pytest.mark.parametrize('version', ['1.7.1', '2.2.0'])
def test_an_unsupported_mmcv_is_named_with_its_fix(version):
    with pytest.raises(ImportError, match=rf'mmcv {version} .*mmcv-lite==2.1.0'):
        check_mmcv_version(version)
    check_mmcv_version('2.1.0')


def test_an_unsupported_mmcv_ends_a_tool_with_one_sentence(tmp_path):
    code = (
        'import sys, mmcv; mmcv.__version__ = "2.2.0"; '
        'sys.argv = ["train.py", "x.py"]; import runpy; '
        'runpy.run_path("tools/train.py", run_name="__main__")'
    )
    result = subprocess.run(
        [sys.executable, '-c', code], capture_output=True, text=True
    )
    assert result.returncode == 1
    assert result.stderr.strip().startswith('error: mmcv 2.2.0 does not work')
    assert 'Traceback' not in result.stderr


def test_a_missing_op_says_what_to_install():
    with pytest.raises(RuntimeError, match=r"'nms' needs the compiled mmcv"):
        MissingOps().nms()
