"""Files that do what the model does, at every size, and what cannot become one."""

from __future__ import annotations

import json
import re
import sys
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from mmengine.config import Config, ConfigDict
from mmseg.registry import MODELS

from mmseg_pointrend.engine.config import load_config
from mmseg_pointrend.engine.export import files, run
from mmseg_pointrend.engine.export.files import (
    KEY,
    open_file,
    program_of,
    topk_in_rounds,
    write_onnx,
)
from mmseg_pointrend.engine.export.network import LabelNetwork, pixels_inside
from mmseg_pointrend.engine.export.quantization import quantize
from mmseg_pointrend.engine.export.run import export, model_labeler
from mmseg_pointrend.engine.export.tensorrt import beyond_limits
from mmseg_pointrend.engine.prediction.model import load_model
from mmseg_pointrend.errors import InputError
from mmseg_pointrend.rendering.grids import Axis, valid_regions
from tests import onnx_files
from tests.helpers import pointhead_config, run_tool, tiny_model
from tests.models.host_tester import HOSTS, host, plain_config

SIZES = [(1, 64, 128), (2, 72, 136), (3, 51, 70), (1, 17, 40), (2, 130, 67)]
"""Number, height and width of images."""


def noise(*shape: int) -> np.ndarray:
    """Images (N, H, W, 3), uint8, without ties."""
    generator = np.random.default_rng(0)
    return generator.integers(0, 256, (*shape, 3), dtype=np.uint8)


def labels_of(program: torch.export.ExportedProgram, images: np.ndarray) -> np.ndarray:
    with torch.no_grad():  # refuses sizes that were not foreseen
        return program.module()(torch.from_numpy(images))[0].numpy()


def differing(labels: np.ndarray, wanted: np.ndarray) -> float:
    assert labels.shape == wanted.shape
    return float((labels != wanted).mean())


@pytest.fixture(scope='module')
def any_size(tiny_config, trained, tmp_path_factory) -> Path:
    """A file of the tiny model for images of any size."""
    path = tmp_path_factory.mktemp('files') / 'any.onnx'
    cfg = load_config(str(tiny_config))
    export(cfg, str(trained / 'iter_4.pth'), path)
    return path


@pytest.fixture
def model(tiny_config, trained) -> Any:
    return load_model(
        load_config(str(tiny_config)), str(trained / 'iter_4.pth'), device='cpu'
    )


@pytest.mark.parametrize('shape', SIZES)
def test_a_file_of_any_size_labels_as_the_model_does(any_size, model, shape):
    images = noise(*shape)
    labels = open_file(any_size, 1)(images)
    assert labels.dtype == np.uint8
    assert differing(labels, model_labeler(model)(images)) < 1e-3


def test_the_command_compares_and_says_what_it_made(
    tiny_config, trained, scenes, tmp_path
):
    out = tmp_path / 'model.onnx'
    command = (
        *(sys.executable, 'tools/export.py', tiny_config, trained / 'iter_4.pth'),
        *('--out', out, '--images', scenes / 'leftImg8bit/val', '--size', 64, 128),
        *('--batch', 2, '--logits', '--max-topk', 100, '--points', 300),
    )
    result = run_tool(*command)
    assert result.returncode == 0, result.stderr
    assert not result.stderr
    assert f'{out}: ' in result.stdout
    assert '% of labels are those of the model (3 images of' in result.stdout
    session = onnxruntime.InferenceSession(str(out))
    images = noise(2, 64, 128)
    labels, logits = session.run(['labels', 'logits'], {'image': images})
    assert np.array_equal(logits.argmax(axis=1), labels)
    file = onnx.load(out)
    assert not [*beyond_limits(out)]
    said = json.loads({one.key: one.value for one in file.metadata_props}[KEY])
    assert said['classes'][0] == 'road'
    assert said['palette'][0] == [128, 64, 128]
    assert said['resize'] is None
    result = run_tool(*command)
    assert result.returncode == 1
    assert 'exists: give another --out, or --overwrite' in result.stderr


@pytest.mark.parametrize(
    'path',
    [
        path
        for path in HOSTS
        if path.stem.split('_')[1]
        in ('fpn', 'ocrnet', 'pspnet', 'segformer', 'upernet')
        or 'sfnet_r18' in path.stem
    ],
    ids=lambda path: path.stem,
)
def test_hosts_can_be_recorded(path):
    model = host(path)
    model.data_preprocessor.test_cfg = dict(size_divisor=32)
    images = noise(2, 61, 94)
    program = program_of(
        LabelNetwork(model, (61, 94)).eval(), torch.from_numpy(images), dynamic=False
    )
    assert differing(labels_of(program, images), model_labeler(model)(images)) < 2e-3


@pytest.mark.slow
@pytest.mark.parametrize('path', HOSTS, ids=lambda path: path.stem)
def test_every_host_becomes_an_onnx_file(path, tmp_path):
    images = noise(1, 64, 96)
    network = LabelNetwork(host(path), (64, 96)).eval()
    program = program_of(network, torch.from_numpy(images), dynamic=False)
    write_onnx(program, tmp_path / 'model.onnx', {})
    labels = open_file(tmp_path / 'model.onnx', 1)(images)
    assert differing(labels, model_labeler(network.model)(images)) < 2e-3


@pytest.mark.parametrize(
    'changes', [{'align_corners': True}, {'num_classes': 2, 'out_channels': 1}]
)
def test_both_conventions_and_binary_models_of_any_size(changes):
    model = tiny_model(**changes).eval()
    network = LabelNetwork(model, (64, 96)).eval()
    blank = torch.zeros(2, 64, 96, 3, dtype=torch.uint8)
    program = program_of(network, blank, dynamic=True)
    for shape in SIZES:
        images = noise(*shape)
        wanted = model_labeler(model)(images)
        assert differing(labels_of(program, images), wanted) < 2e-3, shape


def test_a_plain_model_of_mmsegmentation_becomes_a_file():
    model = MODELS.build(plain_config(HOSTS[0])).eval()
    images = noise(1, 61, 94)
    program = program_of(
        LabelNetwork(model, (61, 94)).eval(), torch.from_numpy(images), dynamic=False
    )
    assert differing(labels_of(program, images), model_labeler(model)(images)) < 1e-3


def test_files_are_timed_and_scored_beside_the_model(
    any_size, tiny_config, trained, tmp_path
):
    other = onnx_files.write_onnx(tmp_path / 'other.onnx')
    result = run_tool(
        *(sys.executable, 'tools/benchmark_files.py', tiny_config),
        *(trained / 'iter_4.pth', any_size, other, '--repeat', 3, '--limit', 2),
    )
    assert result.returncode == 0, result.stderr
    rows = [re.findall(r'[^\s│]+', line) for line in result.stdout.splitlines()]
    model, file, wrong = (row for row in rows if row and row[0][-5:] in 'model.onnx')
    assert file[3] == model[3] == '100.0000'
    assert file[4] == model[4]
    assert float(wrong[3]) < 90
    assert float(file[5]) == pytest.approx(any_size.stat().st_size / 1e6, abs=0.1)


@pytest.mark.parametrize('suffix', ['.xml', '.pt2'])
def test_other_targets_label_as_the_model_does(
    tiny_config, trained, model, tmp_path, suffix
):
    out, images = tmp_path / f'model{suffix}', noise(1, 64, 128)
    cfg, checkpoint = load_config(str(tiny_config)), str(trained / 'iter_4.pth')
    result = export(cfg, checkpoint, out, size=(64, 128))
    assert result.agreement > run.AGREEMENT
    assert differing(open_file(out, 1)(images), model_labeler(model)(images)) < 1e-3
    names = {'model.xml', 'model.bin'} if suffix == '.xml' else {'model.pt2'}
    assert {one.name for one in tmp_path.iterdir()} == names


def test_coarse_convolutions_become_8_bits(model, tmp_path):
    images = noise(1, 64, 128)
    program = program_of(
        LabelNetwork(model, (64, 128)).eval(), torch.from_numpy(images), dynamic=False
    )
    write_onnx(program, tmp_path / 'whole.onnx', {})
    quantize(tmp_path / 'whole.onnx', tmp_path / 'small.onnx', [images])
    graph = onnx.load(tmp_path / 'small.onnx').graph
    kinds = [one.op_type for one in graph.node]
    assert 0 < kinds.count('QuantizeLinear') <= 2 * kinds.count('Conv')
    wide = {one.input[0] for one in graph.node if one.op_type in ('MatMul', 'Gemm')}
    assert wide
    assert not wide & {
        one.output[0] for one in graph.node if one.op_type == 'DequantizeLinear'
    }
    labels = open_file(tmp_path / 'small.onnx', 1)(images)
    assert differing(labels, model_labeler(model)(images)) < 0.5


class Hardest(torch.nn.Module):
    def forward(self, values: torch.Tensor) -> torch.Tensor:
        return values.topk(25, dim=1).indices


@pytest.mark.parametrize('most', [4, 25, 30])
def test_rounds_of_topk_find_what_one_does(tmp_path, most):
    values, path = torch.rand(2, 60), tmp_path / 'topk.onnx'
    topk = {torch.ops.aten.topk.default: topk_in_rounds(most)}
    torch.onnx.export(
        *(Hardest(), (values,), path),
        **dict(dynamo=True, custom_translation_table=topk, opset_version=18),
    )
    session = onnxruntime.InferenceSession(str(path))
    found = session.run(None, {session.get_inputs()[0].name: values.numpy()})[0]
    assert np.array_equal(found, values.topk(25, dim=1).indices)
    counts = [one.op_type for one in onnx.load(path).graph.node].count('TopK')
    assert counts == -(-25 // most)


def test_what_tensorrt_does_not_take_is_named(any_size):
    named = [*beyond_limits(any_size)]
    assert sum(one.endswith('a TopK of 8096 entries') for one in named) == 2


@pytest.mark.parametrize('align_corners', [False, True])
def test_pixels_of_an_image_are_those_that_may_be_chosen(align_corners):
    for size in (16, 48, 64):
        for image in range(size - 15, size + 1):
            padding = (0, 0, 0, size - image)
            regions = valid_regions([padding], (size, 2), align_corners=align_corners)
            for count in (size // 4, size // 2, size):
                axis = Axis.of_frame(count, align_corners)
                wanted = len(axis.inside(*regions[0][1::2])) if regions else count
                got = pixels_inside(count, image, size, align_corners=align_corners)
                assert got == wanted, (size, image, count)


def test_what_cannot_become_a_file_is_refused(
    tiny_config, trained, tmp_path, monkeypatch
):
    cfg, checkpoint = load_config(str(tiny_config)), str(trained / 'iter_4.pth')
    folder = tmp_path / 'files'

    def refused(sentence: str, cfg: Config = cfg, **keys: Any) -> None:
        out = keys.pop('out', folder / 'model.onnx')
        with pytest.raises(InputError, match=sentence):
            export(cfg, checkpoint, out, **keys)
        assert not folder.exists()

    refused('give a name that ends with .onnx', out=folder / 'model.engine')
    refused('--int8 is for ONNX', out=folder / 'model.pt2', int8='x', size=(64, 128))
    refused('--int8 needs images of one size: give --size', int8='x')
    refused('--max-topk needs images of one size: give --size', max_topk=3839)
    with monkeypatch.context() as patch:
        patch.setattr(files, 'find_spec', lambda name: None)
        refused(
            'a .xml file needs onnx, onnxruntime, onnxscript and 1 more: pip install '
            'onnx onnxruntime onnxscript openvino',
            out=folder / 'model.xml',
        )
    refused('gone does not exist', images=['gone'])
    resized = deepcopy(cfg)
    resize = ConfigDict(type='Resize', scale=(256, 64), keep_ratio=True)
    resized.test_pipeline = [dict(type='LoadImageFromFile'), resize]
    sentence = (
        r'makes 192x64 pixels of such an image \(Resize\): give the height and wid'
    )
    refused(sentence, resized, size=(32, 96))
    resized.test_pipeline[1].keep_ratio = False
    refused('makes 256x64 pixels of such', resized, size=(64, 192))
    slides = deepcopy(cfg)
    slides.model.test_cfg = dict(mode='slide', crop_size=(64, 64), stride=(48, 48))
    refused("add --cfg-options model.test_cfg.mode='whole'", slides)
    plain = load_config(str(tiny_config.with_name('plain.py')))
    refused('EncoderDecoder has no points: leave out --points', plain, points=3)
    monkeypatch.setattr(run, 'open_file', lambda *_: lambda image: image[..., 0])
    sentence = 'of the labels of the model, less than 99.9 %, and is not written'
    refused(sentence, out=folder / 'model.pt2', size=(64, 128))


def test_a_point_head_of_mmsegmentation_is_to_be_converted(monkeypatch, tmp_path):
    cfg = pointhead_config()
    cfg.model.pretrained = cfg.model.backbone.init_cfg = None
    model = MODELS.build(cfg.model)
    monkeypatch.setattr(run, 'load_model', lambda *_: model)
    with pytest.raises(InputError, match=r'tools/convert_checkpoint.py mmseg'):
        export(cfg, 'x.pth', tmp_path / 'model.onnx')
