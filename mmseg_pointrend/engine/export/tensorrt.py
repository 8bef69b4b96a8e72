"""What TensorRT's documentation says of operators, held against an ONNX file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from mmseg_pointrend.errors import InputError

MOST_ENTRIES = 3840
"""Of a TopK, whose number of entries must be a constant."""


def check_operators(path: Path) -> None:
    """Refuse a file that goes beyond the limits that are documented.

    Raises:
        InputError: names the first operator that does.
    """
    wrong = next(beyond_limits(path), None)
    if wrong:
        raise InputError(f'TensorRT does not take {wrong}: give --max-topk 3839.')


def beyond_limits(path: Path) -> Iterator[str]:
    """Name the operators of an ONNX file that TensorRT does not take."""
    import onnx

    graph = onnx.shape_inference.infer_shapes(onnx.load(path)).graph
    constants = {one.name: onnx.numpy_helper.to_array(one) for one in graph.initializer}
    for node in graph.node:
        if node.op_type == 'Constant':
            values = [onnx.helper.get_attribute_value(one) for one in node.attribute]
            constants[node.output[0]] = values[0]
    bytes_of = {
        one.name
        for one in (*graph.input, *graph.value_info, *graph.output)
        if one.type.tensor_type.elem_type == onnx.TensorProto.UINT8
    }
    for node in graph.node:
        if node.op_type == 'TopK':
            count = constants.get(node.input[1])
            if count is None:
                yield f'{node.name}, a TopK of a number of entries that varies'
            elif max(count) > MOST_ENTRIES:
                yield f'{node.name}, a TopK of {max(count)} entries'
        elif node.op_type != 'Cast' and bytes_of & {*node.input, *node.output}:
            yield f'{node.name}, {node.op_type} of 8-bit numbers'
