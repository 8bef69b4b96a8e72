"""The serving example over loopback: load, and uploads that are no images."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection

import cv2
import numpy as np
import pytest
from PIL import Image

from tests.helpers import ROOT
from tests.onnx_files import PALETTE, named_onnx

PLACES = 8


@pytest.fixture(scope='module', params=[('N', 'H', 'W', 3), (1, 24, 40, 3)])
def port(request, tmp_path_factory):
    """Port of a server with a model for any size, and of one for 24x40 alone."""
    folder = tmp_path_factory.mktemp('served')
    model = named_onnx(folder / 'model.onnx', shape=request.param)
    command = '-m uvicorn --app-dir docs serve:app --port 0'
    env = dict(MODEL=str(model), PYTHONPATH='tools', OMP_NUM_THREADS='1')
    with (folder / 'log').open('w') as log:
        server = subprocess.Popen(
            [sys.executable, *command.split()],
            cwd=ROOT,
            env=os.environ | env,
            stdout=log,
            stderr=log,
        )
    try:
        for _ in range(300):
            text = (folder / 'log').read_text()
            if found := re.search(r'running on http://127.0.0.1:(\d+)', text):
                break
            assert server.poll() is None, text
            time.sleep(0.1)
        yield int(found[1])
        assert 'Traceback' not in (folder / 'log').read_text()
    finally:
        server.terminate()
        server.wait(10)


def post(port, body, path='/labels'):
    connection = HTTPConnection('127.0.0.1', port, timeout=30)
    connection.request('POST', path, body)
    response = connection.getresponse()
    return response.status, response.read()


def photo(seed, size=(24, 40)):
    """An image, (H, W, 3), RGB, and the bytes of a PNG of it."""
    small = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    image = cv2.resize(small, size[::-1])
    return image, cv2.imencode('.png', image[..., ::-1])[1].tobytes()


def test_labels_have_colours_and_shares_have_names(port):
    image, body = photo(0)
    wanted = image.argmax(axis=2)
    status, content = post(port, body)
    assert status == 200
    labels = Image.open(io.BytesIO(content))
    assert np.array_equal(np.array(labels), wanted)
    assert np.array_equal(np.array(labels.convert('RGB')), np.array(PALETTE)[wanted])
    status, content = post(port, body, '/labels?format=json')
    names = ['red', 'green', 'blue']
    shares = {name: (wanted == i).mean() for i, name in enumerate(names)}
    assert (status, json.loads(content)) == (200, pytest.approx(shares))


def test_requests_at_once_give_what_single_ones_give(port):
    bodies = [photo(seed)[1] for seed in range(PLACES)]
    alone = [post(port, body) for body in bodies]
    assert len({content for _, content in alone}) == PLACES
    with ThreadPoolExecutor(PLACES) as pool:
        for _ in range(5):
            assert list(pool.map(lambda body: post(port, body), bodies)) == alone


def test_more_than_wait_are_sent_away_and_the_others_are_answered(port):
    _, body = photo(0)
    alone = post(port, body)
    slow = []
    for _ in range(PLACES):
        connection = HTTPConnection('127.0.0.1', port, timeout=30)
        connection.putrequest('POST', '/labels')
        connection.putheader('Content-Length', str(len(body)))
        connection.endheaders(body[:100])
        slow.append(connection)
    end = time.monotonic() + 20
    while (answer := post(port, body))[0] != 503:
        assert time.monotonic() < end
    assert b'too many images wait: send this again in a second.' in answer[1]
    for connection in slow:
        connection.send(body[100:])
        response = connection.getresponse()
        assert (response.status, response.read()) == alone
    assert post(port, body) == alone


def test_what_is_no_image_is_refused_in_a_sentence(port):
    _, body = photo(0)
    said = b'{"detail":"the image cannot be labelled: it is truncated, huge or no image'
    for broken in (b'', b'text', body[:-20], huge()):
        status, content = post(port, broken)
        assert status == 422
        assert content.startswith(said)
    status, content = post(port, bytes(20_000_001))
    assert status == 413
    assert b'send at most 20000000 bytes.' in content
    assert post(port, body, '/labels?format=gif')[0] == 422
    assert post(port, body)[0] == 200


def huge():
    """Bytes of an image of 25 million pixels."""
    content = io.BytesIO()
    Image.new('1', (5000, 5000)).save(content, 'png')
    return content.getvalue()


def test_another_size_is_refused_where_the_model_takes_one(port, request):
    status, content = post(port, photo(0, (30, 50))[1])
    if request.node.callspec.params['port'][0] == 'N':
        assert status == 200
    else:
        assert status == 422
        assert b'50x30 pixels, and' in content
        assert b'takes 40x24 alone: resize the image, or export' in content


def test_a_client_that_leaves_frees_its_place(port):
    for _ in range(2 * PLACES):
        connection = HTTPConnection('127.0.0.1', port, timeout=30)
        connection.putrequest('POST', '/labels')
        connection.putheader('Content-Length', '1000')
        connection.endheaders(b'part')
        connection.close()
    end = time.monotonic() + 20
    while (answer := post(port, photo(0)[1]))[0] == 503:
        assert time.monotonic() < end
    assert answer[0] == 200
