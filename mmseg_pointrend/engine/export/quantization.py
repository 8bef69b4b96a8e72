"""Convolutions in 8 bits; what the points read and the points stay in float32."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

STRIDE = 8
"""Convolutions of this stride or coarser become 8 bits, but for depthwise ones: with
all of them twice as many labels of the demo's model change and no time is won."""


def quantize(source: Path, path: Path, images: Iterable[np.ndarray]) -> None:
    """Write an ONNX file for images of one size anew, with convolutions in 8 bits.

    Args:
        source: ONNX file.
        path: the new one.
        images: (N, H, W, 3), uint8, RGB, from which the ranges of values are taken.
    """
    from onnxruntime.quantization import (
        CalibrationDataReader,
        QuantType,
        quantize_static,
    )
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Reader(CalibrationDataReader):
        def __init__(self) -> None:
            self.feeds: Iterator[dict] = (dict(image=image) for image in images)

        def get_next(self) -> dict | None:
            return next(self.feeds, None)

    prepared = path.with_name(f'{path.stem}_prepared.onnx')
    quant_pre_process(source, prepared, skip_symbolic_shape=True)
    quantize_static(
        prepared,
        path,
        Reader(),
        op_types_to_quantize=['Conv'],
        nodes_to_exclude=fine_convolutions(prepared),
        per_channel=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        extra_options=dict(CalibMovingAverage=True),
    )


def fine_convolutions(path: Path) -> list[str]:
    """Name the convolutions that stay as they are, see :data:`STRIDE`."""
    import onnx

    graph = onnx.shape_inference.infer_shapes(onnx.load(path)).graph
    [image] = graph.input
    finest = image.type.tensor_type.shape.dim[2].dim_value // STRIDE
    widths = {
        one.name: one.type.tensor_type.shape.dim[3].dim_value
        for one in graph.value_info
        if len(one.type.tensor_type.shape.dim) == 4
    }
    return [
        node.name
        for node in graph.node
        if node.op_type == 'Conv'
        and (
            not 0 < widths.get(node.output[0], 0) <= finest
            or any(one.name == 'group' and one.i > 1 for one in node.attribute)
        )
    ]
