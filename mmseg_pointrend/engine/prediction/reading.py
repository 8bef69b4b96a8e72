"""Images of files, videos and cameras, as the pipeline of a config makes them."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from mmengine.config import Config
from mmengine.dataset import Compose

from mmseg_pointrend.datasets.validation import find_datasets
from mmseg_pointrend.errors import InputError


@dataclass(frozen=True)
class Image:
    """An image that was read.

    Attributes:
        name: of what is written for it, without a suffix.
        picture: as the file has it, (H, W, 3), uint8, BGR.
        data: ``inputs`` and ``data_samples``, for one image.
    """

    name: str
    picture: np.ndarray
    data: dict[str, Any]


class Reader:
    """The test pipeline of a config, without what loads labels.

    Args:
        cfg: with ``test_pipeline``, MMSegmentation's name, or a loader of data sets.
        arrays: whether it gets arrays instead of file names.

    Raises:
        InputError: the config has none.
    """

    def __init__(self, cfg: Config, *, arrays: bool) -> None:
        steps = pipeline_of(cfg)
        if arrays:
            steps[0]['type'] = 'LoadImageFromNDArray'
        self.load, *self.rest = Compose(steps).transforms

    def read(self, name: str, source: Path | np.ndarray) -> Image:
        """Read an image.

        Args:
            name: of what will be written for it.
            source: the file, or the pixels, BGR.

        Raises:
            InputError: it cannot be read.
        """
        is_array = isinstance(source, np.ndarray)
        results = self.load(
            dict(img=source) if is_array else dict(img_path=str(source))
        )
        picture = as_picture(results['img'])
        for step in self.rest:
            results = step(results)
        return Image(name, picture, results)


def pipeline_of(cfg: Config) -> list[dict[str, Any]]:
    """List the steps of the test pipeline, without what loads labels.

    Args:
        cfg: as in :class:`Reader`.

    Raises:
        InputError: it has none.
    """
    loaders = [cfg.get(f'{split}_dataloader') or {} for split in ('test', 'val')]
    datasets = find_datasets([loader.get('dataset') for loader in loaders])
    pipelines = [cfg.get('test_pipeline'), *(one.get('pipeline') for one in datasets)]
    steps = next(filter(None, pipelines), None)
    if not steps:
        raise InputError(
            f'{cfg.filename} has neither test_pipeline nor a pipeline in '
            'test_dataloader.dataset or val_dataloader.dataset: add test_pipeline.'
        )
    return [dict(step) for step in steps if not loads_labels(step['type'])]


def loads_labels(kind: Any) -> bool:
    """Tell whether a transform, a class or its name, loads annotations."""
    name = kind if isinstance(kind, str) else kind.__name__
    return re.search(r'(^|\.)Load\w*Annotation', name) is not None


def as_picture(image: np.ndarray) -> np.ndarray:
    """Turn what a transform loads into a picture of its own, (H, W, 3), uint8, BGR.

    Of more than three channels the first three are shown; values that are not of 8 bits
    are stretched to them.
    """
    channels = image if image.ndim == 3 else image[..., None]
    if channels.shape[2] < 3:
        channels = channels[..., :1].repeat(3, axis=2)
    channels = channels[..., :3]
    if channels.dtype != np.uint8 and channels.max() > 255:
        channels = channels * (255 / channels.max())
    return np.array(channels.clip(0, 255), dtype=np.uint8)


class Video:
    """The frames of a video file or of a camera.

    Args:
        source: file, or number of a camera.

    Attributes:
        name: of the video in sentences.
        stem: of what is written for it.
        count: number of frames, as the file says, 0 if it does not; infinity of a
            camera.
        fps: frames a second.

    Raises:
        InputError: it cannot be opened.
    """

    def __init__(self, source: str | int) -> None:
        # It prints lines of its own beside the sentence.
        os.environ.setdefault('OPENCV_FFMPEG_LOGLEVEL', '-8')
        cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
        is_camera = isinstance(source, int)
        self.name = f'camera {source}' if is_camera else str(source)
        self.stem = f'camera_{source}' if is_camera else Path(str(source)).stem
        self.capture = cv2.VideoCapture(source)
        if not self.capture.isOpened():
            fix = 'it is damaged, or OpenCV cannot decode it: convert it to MP4'
            if is_camera:
                fix = 'connect it, let this user read it, or give another number'
            raise InputError(f'cannot open {self.name}: {fix}.')
        count = self.capture.get(cv2.CAP_PROP_FRAME_COUNT)
        self.count = inf if is_camera else max(int(count), 0)
        fps = self.capture.get(cv2.CAP_PROP_FPS)
        self.fps = fps if 0 < fps < 1000 else 25.0

    def read(self) -> np.ndarray | None:
        """Read the next frame, (H, W, 3), uint8, BGR; None if there is none."""
        right, frame = self.capture.read()
        return frame if right else None
