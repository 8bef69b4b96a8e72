"""Label maps, overlays, probabilities and point maps in files, and overlay videos."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from mmseg_pointrend.engine.prediction.model import Prediction
from mmseg_pointrend.files import atomic_write


def write_files(
    out: Path, name: str, prediction: Prediction, palette: np.ndarray
) -> None:
    """Write all of a prediction but the overlay.

    Args:
        out: folder; it gets ``labels``, ``probabilities`` and ``points``.
        name: of the files, maybe with subfolders, without a suffix.
        prediction: what to write.
        palette: colour of each class, (K, 3), uint8, RGB.
    """
    labels = Image.fromarray(prediction.labels)
    if prediction.labels.dtype == np.uint8:
        labels.putpalette(palette.tobytes())
    with atomic_write(out / 'labels' / f'{name}.png') as temporary:
        labels.save(temporary)
    if prediction.probabilities is not None:
        with atomic_write(out / 'probabilities' / f'{name}.npz') as temporary:
            np.savez(temporary, probabilities=prediction.probabilities)
    if prediction.points is not None:
        with atomic_write(out / 'points' / f'{name}.png') as temporary:
            Image.fromarray(prediction.points).save(temporary)


def write_picture(path: Path, picture: np.ndarray) -> None:
    """Write a picture, (H, W, 3), BGR, as a PNG."""
    content = cv2.imencode('.png', picture)[1].tobytes()
    with atomic_write(path) as temporary:
        temporary.write_bytes(content)


def overlay(picture: np.ndarray, labels: np.ndarray, palette: np.ndarray) -> np.ndarray:
    """Blend a picture with the colours of its classes, white where these meet.

    Args:
        picture: (H, W, 3), uint8, BGR.
        labels: (H, W).
        palette: colour of each class, (K, 3), uint8, RGB.

    Returns:
        (H, W, 3), uint8, BGR.
    """
    blend = cv2.addWeighted(picture, 0.5, palette[:, ::-1][labels], 0.5, 0)
    edges = np.zeros(labels.shape, dtype=bool)
    edges[:, 1:] = labels[:, 1:] != labels[:, :-1]
    edges[1:] |= labels[1:] != labels[:-1]
    blend[edges] = 255
    return blend


@contextmanager
def film(path: Path, fps: float) -> Iterator[Callable[[np.ndarray], None]]:
    """Write a video; it gets its name when it is whole, with at least one frame.

    Args:
        path: of the MP4 file.
        fps: frames a second.

    Yields:
        What takes a frame, (H, W, 3), uint8, BGR.

    Raises:
        InputError: it cannot be written.
    """
    with atomic_write(path) as temporary:
        writers: list[cv2.VideoWriter] = []
        count = 0

        def write(frame: np.ndarray) -> None:
            nonlocal count
            if not writers:
                height, width = frame.shape[:2]
                code = cv2.VideoWriter.fourcc(*'mp4v')
                writers.append(
                    cv2.VideoWriter(str(temporary), code, fps, (width, height))
                )
            writers[0].write(frame)
            count += 1

        try:
            yield write
        finally:
            for writer in writers:
                writer.release()
        # OpenCV says nothing of a full disk.
        written = cv2.VideoCapture(str(temporary)).get(cv2.CAP_PROP_FRAME_COUNT)
        if written != count:
            raise OSError(errno.EIO, 'the video is not whole, is the disk full?')
