"""Label images, folders or a video with an exported file, without torch.

python infer_onnx.py model.onnx photos street.jpg --out seen
python infer_onnx.py model.onnx drive.mp4 --out seen

DIR/labels gets PNGs whose pixels are the ids of classes, with the colours as palette;
DIR/overlays the images under these colours. Beside this file it takes no more than
pip install onnxruntime numpy opencv-python Pillow
or, for OpenVINO's files (model.xml beside model.bin), openvino in place of onnxruntime.
"""

from __future__ import annotations

import json
import os
import re
import sys
from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from math import inf
from pathlib import Path
from threading import Lock
from time import perf_counter
from typing import Any

import cv2
import numpy as np
from PIL import Image

IMAGES = re.compile(r'(?i)\.(bmp|jp2|jpe|jpe?g|p[bgnp]m|png|tiff?|webp)$')
VIDEOS = re.compile(r'(?i)\.(avi|flv|m4v|mkv|mov|mp4|mpe?g|mts|ogv|webm|wmv)$')
KEY = 'mmseg_pointrend'
"""Under which a file says what it is, as JSON."""


class InputError(ValueError):
    """A wrong file or value; the message is one sentence with the fix."""


class Labeler:
    """A model in a file; several threads may call it.

    Args:
        path: of a file that ``tools/export.py`` made, ``.onnx`` or ``.xml``.
        threads: of the CPU for an image; 0 takes all cores.
        provider: of ONNX Runtime, by default CUDA where there is one, else the CPU;
            or a device of OpenVINO, by default the CPU.

    Attributes:
        classes: their names; numbers if the file has none.
        palette: their colours, (K, 3), uint8, RGB; by lot if the file has none.

    Raises:
        InputError: there is no such file or provider, or the file is another one.
    """

    def __init__(
        self, path: str | Path, threads: int = 0, provider: str | None = None
    ) -> None:
        if not Path(path).is_file():
            raise InputError(f'{path} does not exist: check the path.')
        self.name = Path(path).name
        load, package = load_onnx, 'onnxruntime'
        if self.name.endswith('.xml'):
            load, package = load_openvino, 'openvino'
        try:
            takes, gives, meta, self.labels_of = load(path, threads, provider)
        except ImportError as error:
            raise InputError(
                f'{self.name} needs {package} ({one_line(error)}): pip install '
                f'{package}.'
            ) from error
        kind, shape = takes[0] if len(takes) == 1 else ('', [])
        right = kind == 'uint8' and len(shape) == 4 and shape[3] == 3
        right = right and (shape[0] == 1 or not isinstance(shape[0], int))
        if not right or gives not in (['uint8'], ['int32']):
            raise InputError(
                f'{path} takes {takes} and gives labels {gives}, not one uint8 image '
                '(1, height, width, 3) and uint8 or int32: make it with '
                'tools/export.py.'
            )
        self.size, self.kind = shape[1:3], np.uint8 if gives == ['uint8'] else np.uint16
        lot, number = np.random.default_rng(0), np.iinfo(self.kind).max + 1
        colours = meta.get('palette') or lot.integers(0, 256, (number, 3), np.uint8)
        self.palette = np.array(colours, np.uint8)
        self.classes = meta.get('classes') or [str(i) for i in range(number)]
        self.resize = meta.get('resize')

    def __call__(self, image: np.ndarray) -> np.ndarray:
        """Label an image, (H, W, 3), uint8, RGB.

        Returns:
            (H, W), uint8, or uint16 of more than 256 classes.

        Raises:
            InputError: the image is not as the file takes it.
            RuntimeError: the runtime failed, such as for want of memory.
        """
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
            got = f'{image.dtype} {image.shape}'
            raise InputError(f'the image is {got}: give RGB, (H, W, 3), uint8.')
        data = np.ascontiguousarray(image)
        if self.resize:
            data = cv2.resize(data, scaled(image.shape[:2], **self.resize))
        sizes = zip(self.size, data.shape, strict=False)
        if any(isinstance(want, int) and want != got for want, got in sizes):
            resized = f', resized to {data.shape[1]}x{data.shape[0]}'
            raise InputError(
                f'{image.shape[1]}x{image.shape[0]} pixels'
                f'{resized * (data.shape != image.shape)}'
                f', and {self.name} takes '
                f'{self.size[1]}x{self.size[0]} alone: resize the image, or export the '
                'model with --dynamic.'
            )
        try:
            labels = self.labels_of(data[None])
        except Exception as error:
            raise RuntimeError(f'the runtime fails ({one_line(error)}).') from error
        labels = labels[0].astype(self.kind, copy=False)
        if data.shape != image.shape:
            size = image.shape[1::-1]
            labels = cv2.resize(labels, size, interpolation=cv2.INTER_NEAREST_EXACT)
        return labels


Loaded = tuple[list, list[str], dict[str, Any], Callable[[np.ndarray], np.ndarray]]
"""Types and shapes of inputs, types of ``labels``, what is said of it, and a call."""


def load_onnx(path: str | Path, threads: int, provider: str | None) -> Loaded:
    """Open an ONNX file; see :class:`Labeler`."""
    import onnxruntime

    onnxruntime.set_default_logger_severity(4)  # it raises its errors as well
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = threads, 4
    found = onnxruntime.get_available_providers()
    usual = [name for name in found if name.startswith(('CUDA', 'CPU'))]
    providers = [provider] if provider else usual
    try:
        session = onnxruntime.InferenceSession(path, options, providers=providers)
    except Exception as error:
        raise unreadable(path, error) from error
    if provider not in (None, *session.get_providers()):
        raise InputError(f'{provider} does not start: give one of {", ".join(found)}.')
    takes = [(one.type[7:-1], one.shape) for one in session.get_inputs()]
    gives = [one.type[7:-1] for one in session.get_outputs() if one.name == 'labels']
    metadata = session.get_modelmeta().custom_metadata_map
    name = session.get_inputs()[0].name

    def labels_of(images: np.ndarray) -> np.ndarray:
        return session.run(['labels'], {name: images})[0]

    return takes, gives, json.loads(metadata.get(KEY, '{}')), labels_of


def load_openvino(path: str | Path, threads: int, device: str | None) -> Loaded:
    """Open OpenVINO's files; its usual bfloat16 would spoil the choice of points."""
    import openvino

    if not Path(path).with_suffix('.bin').is_file():
        name = Path(path).with_suffix('.bin').name
        raise InputError(f'{path} comes with {name}, which is missing: copy it, too.')
    core, settings = openvino.Core(), dict(INFERENCE_PRECISION_HINT='f32')
    if device in (None, 'CPU'):
        settings['INFERENCE_NUM_THREADS'] = threads
    if device not in (None, *core.available_devices):
        found = ', '.join(core.available_devices)
        raise InputError(f'{device} does not start: give a device, of {found}.')
    try:
        model = core.read_model(path)
        compiled = core.compile_model(model, device or 'CPU', settings)
    except Exception as error:
        raise unreadable(path, error) from error

    def kind_of(port: Any) -> str:
        return np.dtype(port.element_type.to_dtype()).name

    def shape_of(port: Any) -> list:
        sizes = port.get_partial_shape()
        return [one.get_length() if one.is_static else str(one) for one in sizes]

    takes = [(kind_of(one), shape_of(one)) for one in compiled.inputs]
    gives = [kind_of(one) for one in compiled.outputs if 'labels' in one.get_names()]
    said = model.get_rt_info([KEY]).astype(str) if model.has_rt_info([KEY]) else '{}'

    def labels_of(images: np.ndarray) -> np.ndarray:
        return compiled.infer_new_request({0: images})['labels']

    return takes, gives, json.loads(said), labels_of


def unreadable(path: str | Path, error: Exception) -> InputError:
    """Say that a file cannot be loaded."""
    return InputError(
        f'{path} cannot be loaded ({one_line(error)}): it is truncated, another file, '
        'or of a newer version; export it again, or upgrade the runtime.'
    )


def one_line(error: Exception) -> str:
    """Write what an error says, without line breaks and the last full stop."""
    return ' '.join(str(error).split()).rstrip('.')


def scaled(size: tuple, scale: tuple[int, int], keep_ratio: bool) -> tuple[int, int]:
    """Tell to which width and height MMCV resizes an image of (height, width)."""
    if not keep_ratio:
        return scale[0], scale[1]
    factor = min(max(scale) / max(size), min(scale) / min(size))
    return int(size[1] * factor + 0.5), int(size[0] * factor + 0.5)


def decode(content: bytes | bytearray) -> np.ndarray:
    """Decode an image file, turned as its EXIF data say: (H, W, 3), uint8, BGR."""
    try:
        image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error:  # empty, or more pixels than OPENCV_IO_MAX_IMAGE_PIXELS
        image = None
    if image is None:
        raise InputError('it is truncated, huge or no image: get or convert it again.')
    return image


def palette_image(labels: np.ndarray, palette: np.ndarray) -> Image.Image:
    """Make an image of labels, (H, W), whose pixels are ids, with their colours."""
    image = Image.fromarray(labels)
    if labels.dtype == np.uint8:
        image.putpalette(palette.tobytes())
    return image


def overlay(picture: np.ndarray, labels: np.ndarray, palette: np.ndarray) -> np.ndarray:
    """Blend a picture, BGR, with the colours of its classes, white where these meet."""
    blend = cv2.addWeighted(picture, 0.5, palette[:, ::-1][labels], 0.5, 0)
    edges = np.zeros(labels.shape, dtype=bool)
    edges[:, 1:] = labels[:, 1:] != labels[:, :-1]
    edges[1:] |= labels[1:] != labels[:-1]
    blend[edges] = 255
    return blend


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Write a file beside its place, force it to the disk, then rename it."""
    temporary = path.with_name(f'.{path.stem}.{os.getpid()}.tmp{path.suffix}')
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield temporary
            with temporary.open('rb+') as file:
                os.fsync(file.fileno())
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise InputError(
            f'cannot write {path} ({error.strerror or error}): mend that and run this '
            'again; what was written before is intact.'
        ) from error


class Run:
    """Labels images or a video into a folder.

    Attributes:
        count: how many images or frames were labelled.
        network: seconds in which the network ran.
    """

    def __init__(self, labeler: Labeler, out: Path) -> None:
        self.labeler, self.out, self.lock = labeler, out, Lock()
        self.count, self.network = 0, 0.0

    def label(self, picture: np.ndarray) -> np.ndarray:
        """Label a picture, BGR, while others are read and written."""
        with self.lock:
            begin = perf_counter()
            labels = self.labeler(picture[..., ::-1])
            self.network += perf_counter() - begin
            self.count += 1
        return labels

    def write(self, name: str, picture: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """Write labels, and return the overlay."""
        with atomic_write(self.out / 'labels' / f'{name}.png') as temporary:
            palette_image(labels, self.labeler.palette).save(temporary)
        return overlay(picture, labels, self.labeler.palette)

    def image(self, path: Path, name: str) -> bool:
        """Label an image file; if that cannot be, say why and return False."""
        try:
            picture = decode(path.read_bytes())
            labels = self.label(picture)
        except (InputError, RuntimeError, OSError) as error:
            sys.stderr.write(f'error: {path}: {one_line(error)}.\n')  # in one piece
            return False
        content = cv2.imencode('.png', self.write(name, picture, labels))[1].tobytes()
        with atomic_write(self.out / 'overlays' / f'{name}.png') as temporary:
            temporary.write_bytes(content)
        return True

    def video(self, path: Path, frames: float) -> bool:
        """Label at most so many frames; say so and return False if some are missing."""
        os.environ.setdefault('OPENCV_FFMPEG_LOGLEVEL', '-8')  # sentences are enough
        cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
        capture = cv2.VideoCapture(str(path))
        more, frame = capture.read()
        if not more:
            raise InputError(f'no frame comes out of {path}: convert it to MP4.')
        claimed = capture.get(cv2.CAP_PROP_FRAME_COUNT)
        fps = capture.get(cv2.CAP_PROP_FPS)
        fps = fps if 0 < fps < 1000 else 25.0
        with atomic_write(self.out / 'overlays' / f'{path.stem}.mp4') as temporary:
            code, size = cv2.VideoWriter.fourcc(*'mp4v'), frame.shape[1::-1]
            writer = cv2.VideoWriter(str(temporary), code, fps, size)
            try:
                while more and self.count < frames:
                    name = f'{path.stem}/{self.count:06d}'
                    writer.write(self.write(name, frame, self.label(frame)))
                    show(self.count, min(frames, claimed))
                    more, frame = capture.read()
            finally:
                writer.release()
            film = cv2.VideoCapture(str(temporary))
            if film.get(cv2.CAP_PROP_FRAME_COUNT) != self.count:
                raise OSError('the video is not whole, is the disk full?')
        # Some files know their length only to about a frame.
        if self.count >= min(frames, 0.99 * claimed - 1):
            return True
        came = f'{path} ended after {self.count} of {claimed:.0f} frames'
        print(f'error: {came}, which are written: it is damaged.', file=sys.stderr)
        return False


def show(done: int, total: float) -> None:
    """Show the progress on a terminal."""
    if sys.stderr.isatty():
        end = '\n' if done == total else ''
        print(f'\r{done} of {total:.0f}', end=end, file=sys.stderr, flush=True)


def find_images(inputs: list[str], out: Path) -> dict[Path, str]:
    """Find images, those of folders with their subfolders, and names for results."""
    found: dict[Path, Path] = {}
    results = {(out / name).resolve() for name in ('labels', 'overlays')}
    for source in map(Path, inputs):
        if not source.exists():
            raise InputError(f'{source} does not exist: check the path.')
        root, names = source.parent, [Path(source.name)]
        if source.is_dir():
            files = (path for path in sorted(source.rglob('*')) if path.is_file())
            below = (path.relative_to(source) for path in files)
            root, names = source, [name for name in below if is_image(name)]
        new = {(root / name).resolve(): name for name in names}
        new = {one: new[one] for one in new if results.isdisjoint(one.parents)}
        if not new:
            raise InputError(f'{source} holds no images to label: check the path.')
        found |= {one: new[one] for one in new if one not in found}
    stems = Counter(name.with_suffix('') for name in found.values())
    named = {
        path: str(name if stems[name.with_suffix('')] > 1 else name.with_suffix(''))
        for path, name in found.items()
    }
    [(name, times)] = Counter(named.values()).most_common(1)
    if times > 1:
        raise InputError(
            f'{times} images would be written to {name}.png: label them into different '
            'folders, or give the folder above them.'
        )
    return named


def is_image(name: Path) -> bool:
    """Tell whether a file of a folder is an image and not hidden."""
    hidden = any(part.startswith('.') for part in name.parts)
    return IMAGES.search(name.name) is not None and not hidden


def infer(args: Namespace) -> bool:
    """Label what was given; returns whether all of it could be read."""
    out = args.out
    if out.exists() and not out.is_dir():
        raise InputError(f'--out {out} is a file: give a folder.')
    if not args.overwrite and out.is_dir() and any(out.iterdir()):
        raise InputError(
            f'--out {out} is not empty: give another folder, or --overwrite to replace '
            'files of the same names.'
        )
    videos = [one for one in map(Path, args.inputs) if VIDEOS.search(one.name)]
    if videos and len(args.inputs) > 1:
        raise InputError(f'{videos[0]} is a video: give it alone.')
    if args.frames < inf and not videos:
        raise InputError('--frames is for a video: leave it out.')
    images = find_images(args.inputs, out)
    run = Run(Labeler(args.model, args.threads, args.provider), out)
    start, whole = perf_counter(), True
    if videos:
        whole = run.video(videos[0], args.frames)
    else:
        with ThreadPoolExecutor(4) as pool:
            rights = pool.map(run.image, images, images.values())
            for done, right in enumerate(rights, 1):
                whole = whole and right
                show(done, len(images))
    seconds = perf_counter() - start
    if run.count:
        noun = ('frame' if videos else 'image') + 's' * (run.count > 1)
        each, share = seconds / run.count, 100 * run.network / seconds
        print(f'{run.count} {noun} in {seconds:.1f} s ({each:.2f} s each)', end='; ')
        print(f'the network took {share:.0f} %\nwritten to {out}')
    return whole


def main(args: Namespace) -> None:
    """Label what was given, and end with status 1 if some of it cannot be read."""
    if not infer(args):
        raise SystemExit(1)


def add_arguments(parser: ArgumentParser) -> None:
    """Add what the command takes."""
    add = parser.add_argument
    add('model', metavar='MODEL', help='.onnx or .xml file of tools/export.py')
    inputs = 'images, and folders with their subfolders; or one video'
    add('inputs', nargs='+', metavar='INPUT', help=inputs)
    add('--out', type=Path, required=True, metavar='DIR', help='folder for the results')
    add('--threads', type=int, default=0, metavar='N', help='of the CPU (default: all)')
    provider = 'of ONNX Runtime (default: CUDA, else the CPU), or device of OpenVINO'
    add('--provider', metavar='NAME', help=provider)
    overwrite = 'write into a folder that has files, and replace those of equal names'
    add('--overwrite', action='store_true', help=overwrite)
    add('--frames', type=int, default=inf, metavar='N', help='at most, of a video')


def check(parser: ArgumentParser, args: Namespace) -> None:
    """End with a sentence where an argument cannot be."""
    if args.threads < 0 or args.frames < 1:
        parser.error('--threads and --frames: give at least 1.')


def run(
    main: Callable[[Namespace], None],
    args: Namespace,
    say: Callable[[str], str] = str,
) -> None:
    """Call ``main(args)``; what a user can mend ends in one sentence and status 1."""
    try:
        main(args)
    except (InputError, RuntimeError) as error:
        raise SystemExit(say(f'error: {error}')) from None
    except KeyboardInterrupt:
        raise SystemExit(130) from None


if __name__ == '__main__':
    parser = ArgumentParser(
        description=__doc__, formatter_class=RawDescriptionHelpFormatter
    )
    add_arguments(parser)
    args = parser.parse_args()
    check(parser, args)
    run(main, args)
