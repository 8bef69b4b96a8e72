"""Files of a label network: ONNX, OpenVINO, torch.export; how to write and run them."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mmseg_pointrend.engine.export.network import LabelNetwork, sizes_may_be_symbols
from mmseg_pointrend.engine.export.quantization import quantize
from mmseg_pointrend.engine.export.tensorrt import check_operators
from mmseg_pointrend.errors import InputError, name_some, one_line

OPSET = 18
KEY = 'mmseg_pointrend'
"""Under which a file has what is said of it, as JSON."""

Labeler = Callable[[np.ndarray], np.ndarray]
"""From images (N, H, W, 3), uint8, RGB, to labels (N, H, W)."""


def check_packages(suffix: str) -> None:
    """Look whether what writes and runs a kind of file is installed.

    Raises:
        InputError: it is not.
    """
    packages = ['onnx', 'onnxruntime', 'onnxscript'] if suffix != '.pt2' else []
    packages += ['openvino'] if suffix == '.xml' else []
    missing = [name for name in packages if find_spec(name) is None]
    if missing:
        raise InputError(
            f'a {suffix} file needs {name_some(missing)}: pip install '
            f'{" ".join(missing)}.'
        )


def program_of(
    network: LabelNetwork, example: Tensor, *, dynamic: bool
) -> torch.export.ExportedProgram:
    """Record what a network does.

    Args:
        network: in evaluation.
        example: images, (N, H, W, 3), uint8.
        dynamic: whether N, H and W may be others.

    Raises:
        InputError: the network cannot be recorded.
    """
    any_size = dict.fromkeys(range(3), torch.export.Dim.DYNAMIC)
    try:
        with torch.no_grad(), sizes_may_be_symbols():
            return torch.export.export(
                network,
                (example,),
                dynamic_shapes=(any_size,) if dynamic else None,
                strict=False,
            )
    except Exception as error:
        fix = (
            'give --size H W, since this network needs one' if dynamic else 'report it'
        )
        raise InputError(
            f'the network cannot be recorded ({one_line(error)[:300]}): {fix}.'
        ) from error


def write_file(
    program: torch.export.ExportedProgram,
    path: Path,
    description: dict[str, Any],
    max_topk: int | None,
    calibration: Iterable[np.ndarray] | None,
) -> None:
    """Write a program as a file of the target that its suffix names.

    Args:
        program: of a label network.
        path: of the file, in a folder for what is needed on the way.
        description: what the file says of itself.
        max_topk: as in :func:`write_onnx`.
        calibration: images from which 8-bit ranges are taken.
    """
    if path.suffix == '.pt2':
        torch.export.save(program, path)
        return
    onnx_file, whole = path.with_suffix('.onnx'), path.with_name('whole.onnx')
    write_onnx(program, onnx_file, description, max_topk=max_topk)
    if max_topk:
        check_operators(onnx_file)
    if calibration is not None:
        onnx_file.rename(whole)
        quantize(whole, onnx_file, calibration)
        keep_description(whole, onnx_file)
    if path.suffix == '.xml':
        write_openvino(onnx_file, path, description)


def write_onnx(
    program: torch.export.ExportedProgram,
    path: Path,
    description: dict[str, Any],
    *,
    max_topk: int | None = None,
) -> None:
    """Write a program as one ONNX file.

    Args:
        program: of :func:`program_of`.
        path: of the file.
        description: what the file says of itself.
        max_topk: the most entries that one TopK may find; more are found in rounds.
    """
    for talkative in ('torch.onnx', 'onnxscript'):
        logging.getLogger(talkative).setLevel(logging.ERROR)
    names = ['labels', 'logits'][: len(program.graph_signature.user_outputs)]
    table: Any = (
        {torch.ops.aten.topk.default: topk_in_rounds(max_topk)} if max_topk else {}
    )
    onnx_program = torch.onnx.export(
        program,
        dynamo=True,
        opset_version=OPSET,
        input_names=['image'],
        output_names=names,
        custom_translation_table=table,
        external_data=False,
        verbose=False,
    )
    assert onnx_program is not None
    onnx_program.model.metadata_props[KEY] = json.dumps(description)
    onnx_program.save(path)


def keep_description(source: Path, path: Path) -> None:
    """Let an ONNX file made of another say the same of itself."""
    import onnx

    model, said = onnx.load(path), onnx.load(source).metadata_props
    del model.metadata_props[:]
    model.metadata_props.extend(said)
    onnx.save(model, path)


def topk_in_rounds(most: int) -> Callable[..., Any]:
    """Translate ``topk`` to TopK of at most ``most`` entries, sorted."""
    from onnxscript import opset18

    op: Any = opset18

    def topk(
        self: Any, k: int, dim: int = -1, largest: bool = True, sorted: bool = True
    ) -> Any:
        values, indices, rest = [], [], self
        for start in range(0, k, most):
            count = op.Constant(value_ints=[min(most, k - start)])
            value, index = op.TopK(rest, count, axis=dim, largest=1, sorted=1)
            values.append(value)
            indices.append(index)
            if start + most < k:
                least = op.Expand(op.Constant(value_float=-np.inf), op.Shape(index))
                rest = op.ScatterElements(rest, index, least, axis=dim)
        if len(values) == 1:
            return values[0], indices[0]
        return op.Concat(*values, axis=dim), op.Concat(*indices, axis=dim)

    return topk


def write_openvino(onnx_file: Path, path: Path, description: dict[str, Any]) -> None:
    """Convert an ONNX file to OpenVINO's ``.xml`` and ``.bin``, in float32."""
    import openvino

    model = openvino.convert_model(onnx_file)
    model.set_rt_info(json.dumps(description), [KEY])
    openvino.save_model(model, path, compress_to_fp16=False)


def open_file(path: Path, threads: int) -> Labeler:
    """Load a file of any target, to run it on a CPU.

    Raises:
        InputError: it cannot be loaded.
    """
    try:
        return {'.onnx': open_onnx, '.xml': open_openvino, '.pt2': open_program}[
            path.suffix
        ](path, threads)
    except Exception as error:
        raise InputError(
            f'{path} cannot be loaded ({one_line(error)[:300]}): make it again.'
        ) from error


def open_onnx(path: Path, threads: int) -> Labeler:
    """Load an ONNX file with ONNX Runtime."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(
        str(path), options, providers=['CPUExecutionProvider']
    )
    return lambda image: session.run(['labels'], {'image': image})[0]


def open_openvino(path: Path, threads: int) -> Labeler:
    """Load OpenVINO's files; its usual bfloat16 would spoil the choice of points."""
    import openvino

    settings = dict(INFERENCE_PRECISION_HINT='f32', INFERENCE_NUM_THREADS=threads)
    compiled = openvino.Core().compile_model(path, 'CPU', settings)
    return lambda image: compiled(image)['labels']


def open_program(path: Path, threads: int) -> Labeler:
    """Load what ``torch.export.save`` wrote."""
    module = torch.export.load(path).module()

    def label(image: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            return module(torch.from_numpy(image))[0].numpy()

    return label
