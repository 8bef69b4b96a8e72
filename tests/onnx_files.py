"""Tiny ONNX files with the interface of those of ``tools/export.py``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

PALETTE = [[200, 30, 30], [30, 200, 30], [30, 30, 200], [90, 90, 90]]


def write_onnx(
    path: Path,
    *,
    weights: np.ndarray | None = None,
    shape: tuple[int | str, ...] = ('N', 'H', 'W', 3),
    kind: int = TensorProto.UINT8,
    **metadata: Any,
) -> Path:
    """Write a model whose labels are the argmax of ``pixel @ weights``, (3, K).

    By default that is the channel, R, G or B, that is largest; a fourth class is never.
    """
    if weights is None:
        weights = np.eye(3, 4, dtype=np.float32)
    labels = TensorProto.UINT8 if weights.shape[1] <= 256 else TensorProto.INT32
    nodes = [
        helper.make_node('Cast', ['image'], ['pixels'], to=TensorProto.FLOAT),
        helper.make_node('MatMul', ['pixels', 'weights'], ['logits']),
        helper.make_node('ArgMax', ['logits'], ['ids'], axis=-1, keepdims=0),
        helper.make_node('Cast', ['ids'], ['labels'], to=labels),
    ]
    graph = helper.make_graph(
        nodes,
        'labels',
        [helper.make_tensor_value_info('image', kind, shape)],
        [helper.make_tensor_value_info('labels', labels, shape[:3])],
        [numpy_helper.from_array(weights, 'weights')],
    )
    opset = helper.make_opsetid('', 18)
    model = helper.make_model(graph, opset_imports=[opset], ir_version=10)
    if metadata:
        text = json.dumps(dict(version='1', resize=None) | metadata)
        helper.set_model_props(model, dict(mmseg_pointrend=text))
    onnx.save(model, path)
    return path


def named_onnx(path: Path, **keys: Any) -> Path:
    """Write the default model with names and colours of its classes."""
    classes = ['red', 'green', 'blue', 'never']
    return write_onnx(path, classes=classes, palette=PALETTE, **keys)
