"""From a checkpoint to a file, and a comparison with the model it was made of."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

import cv2
import mmcv
import numpy as np
import torch
from mmengine.config import Config
from mmseg.models import BaseSegmentor
from mmseg.models.decode_heads import PointHead
from mmseg.models.segmentors import EncoderDecoder
from mmseg.structures import SegDataSample

from mmseg_pointrend import __version__
from mmseg_pointrend.engine.acceleration import fuse_conv_bn
from mmseg_pointrend.engine.config import type_name
from mmseg_pointrend.engine.export.files import (
    Labeler,
    check_packages,
    open_file,
    program_of,
    write_file,
)
from mmseg_pointrend.engine.export.network import LabelNetwork
from mmseg_pointrend.engine.prediction.inputs import find_images
from mmseg_pointrend.engine.prediction.model import load_model
from mmseg_pointrend.engine.prediction.reading import Reader, pipeline_of
from mmseg_pointrend.errors import InputError
from mmseg_pointrend.files import atomic_write
from mmseg_pointrend.models import PointRendEncoderDecoder
from mmseg_pointrend.models.checks import listed
from mmseg_pointrend.rendering.grids import Size

TARGETS = {'onnx': '.onnx', 'openvino': '.xml', 'torch-export': '.pt2'}
EXAMPLE = 256, 512
"""(H, W) of the image that a file of any size is made with."""
COMPARED, CALIBRATED = 8, 100
"""How many images are taken, at most."""
AGREEMENT, AGREEMENT_INT8 = 0.999, 0.99
"""Share of labels that must be equal; points whose margins tie may be chosen or not."""


@dataclass(frozen=True)
class Comparison:
    """What a file gives, against the model it was made of.

    Attributes:
        agreement: share of equal labels.
        seconds: of an image, median, of the model and of the file, in turn.
        megabytes: of the file, or files.
        source: of the images.
    """

    agreement: float
    seconds: tuple[float, float]
    megabytes: float
    source: str


def export(
    cfg: Config,
    checkpoint: str,
    out: Path,
    *,
    size: Size | None = None,
    batch: int = 1,
    dynamic: bool = False,
    logits: bool = False,
    points: int | None = None,
    max_topk: int | None = None,
    int8: str | None = None,
    images: Sequence[str] = (),
    overwrite: bool = False,
) -> Comparison:
    """Write a file that turns images into labels, if it does what the model does.

    Args:
        cfg: config of a segmentor, ours or MMSegmentation's.
        checkpoint: file.
        out: of the suffix of a target, see :data:`TARGETS`.
        size: (H, W) of all images, if ``dynamic`` is not set.
        batch: how many images at a time, if ``dynamic`` is not set.
        dynamic: any number of images of any size, which is so without a size.
        logits: also give logits.
        points: of a step of rendering, in place of the config's.
        max_topk: as in :func:`~mmseg_pointrend.engine.export.files.write_onnx`.
        int8: folder or file of images from which 8-bit ranges are taken.
        images: to compare with; noise if there are none.
        overwrite: replace a file that exists.

    Raises:
        InputError: the model cannot become such a file, an argument does not fit, the
            file exists, or its labels are not the model's; nothing is written then.
    """
    check_out(out, overwrite, int8)
    check_packages(out.suffix)
    dynamic = dynamic or size is None
    for option, value in {'--max-topk': max_topk, '--int8': int8}.items():
        if dynamic and value is not None:
            raise InputError(f'{option} needs images of one size: give --size H W.')
    find_images([*images, *filter(None, [int8])], Path())
    model = load_model(cfg, checkpoint, 'cpu')
    check_model(model, cfg)
    if points is not None:
        if not isinstance(model, PointRendEncoderDecoder):
            name = type(model).__name__
            raise InputError(f'{name} has no points: leave out --points.')
        model.point_head.subdivision_num_points = points
    if size is not None and not dynamic:
        check_size(cfg, size)
    example = EXAMPLE if dynamic or size is None else size
    reader = Images(cfg, None if dynamic else size)
    network = LabelNetwork(fuse_conv_bn(deepcopy(model)), example, logits=logits)
    # One image would be taken for the only number of them.
    count = max(2, batch) if dynamic else batch
    blank = torch.zeros(count, *example, reader.channels, dtype=torch.uint8)
    hint = ' for any size, which takes minutes; less with --size' * dynamic
    print(f'recording the network{hint}')
    program = program_of(network, blank, dynamic=dynamic)
    with TemporaryDirectory() as folder:
        made = Path(folder, f'model{out.suffix}')
        calibration = None
        if int8 is not None:
            pixels = reader.read([int8], CALIBRATED)
            calibration = (np.stack([one] * batch) for one in pixels)
        write_file(program, made, describe(model, cfg), max_topk, calibration)
        print('comparing it with the model')
        compared = [
            *(reader.read(images, COMPARED) if images else reader.noise(example))
        ]
        labeler = open_file(made, torch.get_num_threads())
        agreement, seconds = compare(model, labeler, compared, batch, dynamic=dynamic)
        needed = AGREEMENT_INT8 if int8 else AGREEMENT
        if agreement < needed:
            fix = 'give --size H W' if dynamic else 'report it with the config'
            fix = 'give more --int8 images, or leave --int8 out' if int8 else fix
            raise InputError(
                f'{out} would give {100 * agreement:.2f} % of the labels of the model, '
                f'less than {100 * needed:g} %, and is not written: {fix}.'
            )
        parts = [made, *made.parent.glob('model.bin')]
        megabytes = sum(part.stat().st_size for part in parts) / 1e6
        for part in reversed(parts):
            with atomic_write(out.with_suffix(part.suffix)) as temporary:
                temporary.write_bytes(part.read_bytes())
    source = f'{len(compared)} images of {", ".join(images) or "noise"}'
    return Comparison(agreement, seconds, megabytes, source)


def check_out(out: Path, overwrite: bool, int8: str | None) -> None:
    """Refuse a file that is of no target or exists.

    Raises:
        InputError: it is, or does and may not be replaced.
    """
    if out.suffix not in TARGETS.values():
        raise InputError(
            f'--out {out}: give a name that ends with .onnx, with .xml for OpenVINO, '
            'or with .pt2 for torch.export.'
        )
    if int8 is not None and out.suffix != '.onnx':
        raise InputError('--int8 is for ONNX: give an --out that ends with .onnx.')
    existing = [one for one in (out, out.with_suffix('.bin')) if one.exists()]
    if existing[: 1 + (out.suffix == '.xml')] and not overwrite:
        raise InputError(f'{existing[0]} exists: give another --out, or --overwrite.')


def check_size(cfg: Config, size: Size) -> None:
    """Refuse a size that the test pipeline would change.

    Raises:
        InputError: it would.
    """
    wanted = size[::-1]
    for one in pipeline_of(cfg):
        if type_name(one) != 'Resize' or not one.get('scale'):
            continue
        scale = tuple(one['scale'])
        made = mmcv.rescale_size(wanted, scale) if one.get('keep_ratio') else scale
        if made != wanted:
            raise InputError(
                f'--size {size[0]} {size[1]}: the test pipeline makes {made[0]}x'
                f'{made[1]} pixels of such an image (Resize): give the height and '
                'width that it makes of yours, or another scale in the config.'
            )


def check_model(model: BaseSegmentor, cfg: Config) -> None:
    """Refuse a model that is more than a network and its points.

    Raises:
        InputError: it is.
    """
    name = type(model).__name__
    if not isinstance(model, EncoderDecoder):
        raise InputError(f'{name} cannot be exported: give an EncoderDecoder.')
    if isinstance(listed(model.decode_head)[-1], PointHead):
        raise InputError(
            f"{cfg.filename} has MMSegmentation's PointHead: make it ours by "
            'tools/convert_checkpoint.py mmseg, and give its new config.'
        )
    if model.test_cfg.mode != 'whole':
        raise InputError(
            f'model.test_cfg.mode={model.test_cfg.mode!r}: a file labels whole images, '
            "add --cfg-options model.test_cfg.mode='whole'."
        )


def describe(model: BaseSegmentor, cfg: Config) -> dict[str, Any]:
    """Say what a file is, for whoever runs it.

    Returns:
        ``version``, ``classes``, ``palette``, and ``resize``, which is how the test
        pipeline resizes files: ``scale`` (w, h) and ``keep_ratio``, or None.
    """
    steps = [one for one in pipeline_of(cfg) if type_name(one) == 'Resize']
    resize = next((one for one in steps if one.get('scale')), None)
    return dict(
        version=__version__,
        classes=list(model.dataset_meta['classes']),
        palette=model.dataset_meta['palette'].tolist(),
        resize=resize
        and dict(
            scale=list(resize['scale']), keep_ratio=resize.get('keep_ratio', False)
        ),
    )


class Images:
    """Images as a network gets them, RGB.

    Args:
        cfg: with the pipeline.
        size: (H, W) that all get; None leaves theirs.
    """

    def __init__(self, cfg: Config, size: Size | None) -> None:
        self.reader = Reader(cfg, arrays=False)
        self.size = size
        self.channels = len(cfg.model.data_preprocessor.get('mean') or 'RGB')

    def read(self, inputs: Sequence[str], most: int) -> Iterator[np.ndarray]:
        """Read files and folders: (H, W, 3) each, uint8.

        Raises:
            InputError: one cannot be read.
        """
        for path, name in [*find_images(inputs, Path()).items()][:most]:
            pixels = rgb(self.reader.read(name, path).data['inputs'])
            if self.size:
                pixels = cv2.resize(pixels, self.size[::-1])
            yield pixels

    def noise(self, size: Size) -> Iterator[np.ndarray]:
        """Draw smooth noise by lot, as there are no ties in photographs either."""
        generator = np.random.default_rng(0)
        for _ in range(3):
            cells = generator.integers(0, 256, (8, 16, self.channels), dtype=np.uint8)
            image = cv2.resize(cells, size[::-1], interpolation=cv2.INTER_CUBIC)
            yield image // 16 * 15 + generator.integers(0, 16, image.shape, np.uint8)


def rgb(inputs: torch.Tensor) -> np.ndarray:
    """Turn what a pipeline gives, (3, H, W), BGR, into (H, W, 3), RGB."""
    pixels = inputs.permute(1, 2, 0).numpy()
    return np.ascontiguousarray(pixels[..., ::-1] if len(inputs) == 3 else pixels)


def compare(
    model: BaseSegmentor,
    labeler: Labeler,
    images: Sequence[np.ndarray],
    batch: int,
    *,
    dynamic: bool,
) -> tuple[float, tuple[float, float]]:
    """Run a model and its file in turn.

    Args:
        model: in evaluation.
        labeler: the file.
        images: (H, W, 3), uint8, RGB.
        batch: of how many images a run is, which are one, moved.
        dynamic: whether to try smaller and larger images as well.

    Returns:
        Share of equal labels, and median seconds of an image, of both.
    """
    groups = [
        np.stack([np.roll(image, 16 * i, axis=1) for i in range(batch)])
        for image in images
    ]
    others = []
    if dynamic:
        height, width = images[0].shape[:2]
        part = groups[0][:1, : height * 3 // 4 | 1, : width * 2 // 3 | 1]
        twice = np.concatenate((part, part[:, ::-1]), axis=2)
        others = [np.concatenate((part, part[:, ::-1])), part[:, ::-1, ::2], twice]
    times: tuple[list[float], list[float]] = ([], [])
    labelers = model_labeler(model), labeler
    equal = total = 0
    for calls in (groups[:1], groups, others):  # the first warms up
        for group in map(np.ascontiguousarray, calls):
            results = []
            for one, call in zip(times, labelers, strict=True):
                start = perf_counter()
                results.append(call(group))
                if calls is groups:
                    one.append((perf_counter() - start) / len(group))
            equal += int((results[0] == results[1]).sum())
            total += results[0].size
    return equal / total, (median(times[0]), median(times[1]))


def model_labeler(model: BaseSegmentor) -> Labeler:
    """Let a model do what a file does."""

    def label(images: np.ndarray) -> np.ndarray:
        pixels = images[..., ::-1] if images.shape[3] == 3 else images
        tensors = [*torch.from_numpy(pixels.copy()).permute(0, 3, 1, 2)]
        size = images.shape[1:3]
        samples = [
            SegDataSample(metainfo=dict(ori_shape=size, img_shape=size)) for _ in images
        ]
        with torch.no_grad():
            results = model.test_step(dict(inputs=tensors, data_samples=samples))
        return np.stack([one.pred_sem_seg.data[0].numpy() for one in results])

    return label
