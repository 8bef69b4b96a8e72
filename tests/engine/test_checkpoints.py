"""Checkpoints load without running what a stranger put into them."""

from __future__ import annotations

import pickle
from collections import Counter, OrderedDict
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer, MessageHub
from mmengine.runner import CheckpointLoader, load_checkpoint
from mmengine.runner import checkpoint as checkpoint_module

from mmseg_pointrend.engine.safe_loading import safe_loader
from mmseg_pointrend.errors import InputError

reconstruct = np.ones(1).__reduce__()[0]
scalar = np.float64(1).__reduce__()[0]


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
    """Unpickles to ``function(*arguments)``, with a state if it is called itself."""

    def __init__(self, function, *arguments, state=()):
        self.call = function, arguments, *state

    def __call__(self, *state):
        function, arguments = self.call
        return Call(function, *arguments, state=[state])

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize(
    'name', ['__init__', '__globals__', '__reduce__', 'statistics', '__class__']
)
def test_getattr_on_a_history_buffer_gives_nothing_but_its_statistics(tmp_path, name):
    path = tmp_path / 'evil.pth'
    torch.save(dict(extra=Call(getattr, HistoryBuffer, name)), path)
    with pytest.raises(InputError, match=r'not safe to load, it asks for getattr'):
        load(path)


def test_getattr_cannot_climb_from_a_method_to_its_globals(tmp_path):
    path = tmp_path / 'evil.pth'
    method = Call(getattr, HistoryBuffer, 'min')
    torch.save(dict(extra=method), path)
    assert load(path)['extra'] is None
    torch.save(dict(extra=Call(getattr, method, '__globals__')), path)
    with pytest.raises(InputError, match=r'safe to load'):
        load(path)


def test_an_array_over_memory_that_the_file_chose_is_refused(tmp_path):
    path = tmp_path / 'evil.pth'
    array = Call(np.ndarray, (1,), 'O', b'A' * 8)
    torch.save(dict(extra=Call(HistoryBuffer, array, array)), path)
    with pytest.raises(InputError, match=r'it asks for HistoryBuffer'):
        load(path)
    torch.save(dict(extra=array), path)
    with pytest.raises(InputError, match=r'it asks for numpy.ndarray'):
        load(path)


# numpy takes the bytes of such arrays and numbers for addresses of objects.
DTYPES = {
    'objects': Call(np.dtype, 'O'),
    'a structure': Call(np.dtype, 'f8,O'),
    'text': Call(np.dtype, 'U8'),
    'flags': Call(np.dtype, 'f8', False, True)(3, '<', None, None, None, -1, -1, 63),
    'one of objects': Call(np.dtype, 'f8')(
        *(3, '<', (Call(np.dtype, 'O'), (1,)), None, None, -1, -1, 0)
    ),
    'one of another type': Call(np.dtype, 'f8')(
        *(3, '<', (np.dtype('f4'), (2,)), None, None, -1, -1, 0)
    ),
    'many flags': Call(np.dtype, 'f8')(3, '<', None, None, None, -1, -1, 1 << 40),
    'no type': 7,
}


@pytest.mark.parametrize('name', DTYPES)
def test_an_array_or_number_of_anything_but_numbers_is_refused(tmp_path, name):
    path, dtype = tmp_path / 'evil.pth', DTYPES[name]
    empty = Call(reconstruct, np.ndarray, (0,), b'b')
    array = empty(1, (1,), dtype, False, b'A' * 8)
    for payload in (array, Call(scalar, dtype, b'A' * 8)):
        torch.save(dict(extra=payload), path)
        with pytest.raises(InputError, match=r'not safe to load, it asks for numpy\.'):
            load(path)


class Interface(OrderedDict):
    """Unpickles to an ``OrderedDict`` that numpy takes for memory at an address."""

    def __reduce__(self):
        memory = dict(typestr='<u8', data=(0x414141, False), shape=(1,), version=3)
        return OrderedDict, (), {'__array_interface__': memory}


def spoilt_history(**state):
    history = HistoryBuffer([1.0], [1])
    vars(history).update(state)
    return history


empty = Call(reconstruct, np.ndarray, (0,), b'b')
current = Call(getattr, HistoryBuffer, 'current')
rebuild_from_type = torch._tensor._rebuild_from_type_v2
CRAFTED = {
    'memory in a call': Call(HistoryBuffer, Interface(), Interface()),
    'memory as history': spoilt_history(_log_history=Interface()),
    'other lengths': spoilt_history(_log_history=np.ones(2)),
    'a matrix': spoilt_history(_log_history=np.ones((1, 1))),
    'no length': spoilt_history(max_length='1'),
    'an array without values': empty,
    'a huge array': Call(reconstruct, np.ndarray, (1 << 40,), b'O'),
    'an array on one side': empty(1, (-1,), np.dtype('f8'), False, b'A' * 8),
    'fewer values': empty(1, (2,), np.dtype('f8'), False, b'A' * 8),
    'text for values': empty(1, (1,), np.dtype('f8'), False, 'A' * 8),
    'memory shared with a tensor': Call(
        torch._utils._rebuild_device_tensor_from_numpy,
        *(np.ones(2), torch.float64, 'cpu', False),
    ),
    'a statistic that is called': Call(
        rebuild_from_type, current, OrderedDict, (Interface(),), {'x': 1}
    ),
    'a class': OrderedDict,
    'a function': torch._utils._rebuild_tensor_v2,
}


@pytest.mark.parametrize('name', CRAFTED)
def test_nothing_crafted_comes_out_of_a_file(tmp_path, name):
    path = tmp_path / 'evil.pth'
    torch.save(dict(state_dict={}, extra=[CRAFTED[name]]), path)
    with pytest.raises(InputError, match=r'evil.pth is not ') as caught:
        load(path)
    assert '\n' not in str(caught.value)


def test_attributes_that_a_file_gives_are_left_out(tmp_path):
    tensor, parameter = torch.ones(1), torch.nn.Parameter(torch.ones(1))
    state = OrderedDict(tensor=tensor, parameter=parameter)
    counter = Counter([1])
    for one in (tensor, parameter, state, counter):
        one.__array_interface__ = dict(typestr='<u8', data=(0x414141, False))
        one.detach = OrderedDict
    torch.save(dict(state_dict=state, extra=counter), tmp_path / 'odd.pth')
    loaded = load(tmp_path / 'odd.pth')
    weights = loaded['state_dict']
    assert weights == state
    assert loaded['extra'] == counter
    for one in (weights, loaded['extra'], *weights.values()):
        assert vars(one) == {}


def test_a_file_does_not_change_the_statistics_of_logs(tmp_path, monkeypatch):
    path = tmp_path / 'evil.pth'
    with monkeypatch.context() as patch:
        patch.setitem(HistoryBuffer._statistics_methods, 'mean', max)
        torch.save(dict(extra=HistoryBuffer([1.0, 3.0], [1, 1])), path)
    with pytest.raises(InputError, match=r'not safe to load'):
        load(path)
    assert HistoryBuffer([1.0, 3.0], [1, 1]).statistics('mean') == 2


def test_a_list_inside_itself_ends_in_a_sentence(tmp_path):
    endless = []
    endless.append(endless)
    torch.save(dict(extra=endless), tmp_path / 'evil.pth')
    with pytest.raises(InputError, match=r'evil.pth is not a checkpoint'):
        load(tmp_path / 'evil.pth')


def raising(error):
    """A loader that fails."""

    def load(filename, map_location=None):
        raise error

    return safe_loader(load)


def test_an_error_shows_no_control_characters():
    error = pickle.UnpicklingError('GLOBAL \x1b[2J.x was not allowed')
    with pytest.raises(InputError) as caught:
        raising(error)('evil.pth')
    assert str(caught.value).isprintable()


def test_a_failed_download_says_how_to_go_on_offline():
    with pytest.raises(InputError, match=r'download open-mmlab://net .*FILE') as caught:
        raising(ConnectionError('no route to host'))('open-mmlab://net')
    assert 'model.pretrained=None' in str(caught.value)


def test_what_checkpoints_hold_comes_back(tmp_path):
    path = tmp_path / 'all.pth'
    state = torch.nn.Linear(2, 3).state_dict()
    content = dict(
        state_dict=state,
        param_schedulers=[dict(milestones=Counter([1, 1, 5]))],
        logs=HistoryBuffer(),
        nothing=np.zeros((0, 3)),
        pair=(1, {2.5}, None, b'', torch.float16, torch.Size([2])),
        parameter=torch.nn.Parameter(torch.ones(1)),
    )
    torch.save(content, path)
    loaded = load(path)
    assert loaded['state_dict']._metadata == state._metadata
    assert loaded['state_dict']['bias'].equal(state['bias'])
    assert loaded['param_schedulers'] == content['param_schedulers']
    assert type(loaded['param_schedulers'][0]['milestones']) is Counter
    loaded['logs'].update(2.0)
    assert loaded['logs'].mean() == 2
    assert loaded['nothing'].shape == (0, 3)
    assert loaded['pair'] == content['pair']
    assert loaded['parameter'] == 1


def test_weights_alone_are_the_state_dict_itself(tmp_path):
    """Backbones of MMSegmentation look their weights up in it."""
    state = torch.nn.Linear(2, 3).state_dict()
    torch.save(state, tmp_path / 'weights.pth')
    loaded = load(tmp_path / 'weights.pth')
    assert list(loaded) == ['weight', 'bias']
    assert loaded['meta'] == {}
    assert 'meta' not in loaded


@pytest.mark.parametrize('code', ['f2', 'f4', '>f8', 'i1', '<i8', 'u2', '?'])
def test_arrays_and_numbers_come_back_as_they_were_saved(tmp_path, code):
    path = tmp_path / 'logs.pth'
    array = np.arange(6).reshape(2, 3).astype(code)
    torch.save(dict(array=array, transposed=array.T, number=array[1, 0]), path)
    loaded = load(path)
    assert loaded['array'].dtype == array.dtype.newbyteorder('=')  # as numpy does
    assert np.array_equal(loaded['array'], array)
    assert np.array_equal(loaded['transposed'], array.T)
    assert loaded['number'] == array[1, 0]
    assert loaded['number'].dtype == array[1, 0].dtype


def test_a_checkpoint_saved_again_is_an_ordinary_one(tmp_path):
    path = tmp_path / 'iter_7.pth'
    real_checkpoint(path)
    torch.save(load(path), path)
    assert b'mmseg_pointrend' not in path.read_bytes()
    history = load(path)['message_hub']['log_scalars']['train/loss']
    history.update(1.5)
    assert history.current() == 1.5


@pytest.mark.parametrize('first', [*'acgipRX}].(', '\x80', ''])
def test_a_file_that_is_no_checkpoint_is_named(tmp_path, first):
    path = tmp_path / 'text.pth'
    path.write_bytes(first.encode('latin1') + b' no checkpoint at all')
    with pytest.raises(InputError, match=r'text.pth is not ') as caught:
        load(path)
    assert '\n' not in str(caught.value)
    assert 'weights_only' not in str(caught.value)


@pytest.mark.parametrize('content', [{}, [1, 2], torch.ones(3), None])
def test_a_file_without_weights_is_named(tmp_path, content):
    path = tmp_path / 'other.pth'
    torch.save(content, path)
    with pytest.raises(InputError, match=r'other.pth is not a checkpoint'):
        load(path)


def test_a_truncated_or_missing_checkpoint_is_named(tmp_path):
    path = tmp_path / 'iter_7.pth'
    with pytest.raises(InputError, match=r'iter_7.pth does not exist: check the path'):
        load(path)
    real_checkpoint(path)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(InputError, match=r'iter_7.pth is not a checkpoint'):
        load(path)


def test_downloads_are_read_or_named(tmp_path, monkeypatch):
    monkeypatch.setenv('TORCH_HOME', str(tmp_path / 'cache'))
    torch.save(
        dict(state_dict={'backbone.weight': torch.ones(2)}), tmp_path / 'net.pth'
    )
    real_checkpoint(tmp_path / 'good.pth')
    (tmp_path / 'page.pth').write_text('<html>log in first</html>')
    handler = partial(SimpleHTTPRequestHandler, directory=str(tmp_path))
    with ThreadingHTTPServer(('127.0.0.1', 0), handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        url = f'http://127.0.0.1:{server.server_port}'
        assert load(f'{url}/good.pth')['meta']['iter'] == 7
        with pytest.raises(InputError, match=r'page.pth is not a checkpoint'):
            load(f'{url}/page.pth')
        with pytest.raises(InputError, match=r'cannot download .*gone.pth'):
            load(f'{url}/gone.pth')
        zoo = {'net': f'{url}/net.pth', 'gone': f'{url}/missing.pth'}
        monkeypatch.setattr(checkpoint_module, 'get_mmcls_models', lambda: zoo)
        assert load('mmcls://net')['state_dict']['weight'].tolist() == [1, 1]
        with pytest.raises(InputError, match=r'cannot download mmcls://gone'):
            load('mmcls://gone')
        server.shutdown()
