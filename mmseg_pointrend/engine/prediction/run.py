"""Read ahead, predict, and write in the background."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from itertools import count, islice
from math import inf
from pathlib import Path
from time import perf_counter

import numpy as np
from mmengine.config import Config
from rich.progress import MofNCompleteColumn, Progress

from mmseg_pointrend.engine.prediction.inputs import check_out, find_images, find_video
from mmseg_pointrend.engine.prediction.model import Prediction, Predictor, load_model
from mmseg_pointrend.engine.prediction.reading import Image, Reader, Video
from mmseg_pointrend.engine.prediction.writing import (
    film,
    overlay,
    write_files,
    write_picture,
)
from mmseg_pointrend.errors import InputError

AHEAD = 4
"""How many images are read before the network wants them, and how many may wait to be
written."""
THREADS = 3
"""How many read, and how many write."""

Job = Callable[[], Image | None]
"""Reads an image; there are no more if it returns None."""


@dataclass
class Tally:
    """What a run did.

    Attributes:
        count: images predicted.
        unreadable: images that could not be read.
        seconds: from the first image read to the last one written.
        network: seconds of these in which the network ran.
        interrupted: whether the user stopped it.
    """

    count: int = 0
    unreadable: int = 0
    seconds: float = 0
    network: float = 0
    interrupted: bool = False


def predict_files(
    cfg: Config,
    checkpoint: str,
    inputs: Sequence[str],
    out: Path,
    *,
    device: str,
    overwrite: bool = False,
    probabilities: bool = False,
    points: bool = False,
    frames: int | None = None,
) -> bool:
    """Predict images or a video; write labels, overlays and what else is wanted.

    Args:
        cfg: config of the model and its test pipeline.
        checkpoint: file.
        inputs: images and folders, or one video, or the number of a camera.
        out: folder for ``labels`` and ``overlays``.
        device: of the network.
        overwrite: whether ``out`` may have files, which are replaced.
        probabilities: whether to write them.
        points: whether to write maps of the points of the last step of rendering.
        frames: how many to take at most of a video or camera.

    Returns:
        Whether all was read. What was not is printed.

    Raises:
        InputError: nothing was predicted, or something cannot be written.
        KeyboardInterrupt: the user stopped it, and what was predicted is written.
    """
    check_out(out, overwrite)
    source = find_video(inputs)
    video = None if source is None else Video(source)
    images = find_images(inputs, out) if video is None else {}
    if frames is not None and video is None:
        raise InputError('--frames is for a video or a camera: leave it out.')
    model = load_model(cfg, checkpoint, device)
    predictor = Predictor(model, probabilities=probabilities, points=points)
    palette = model.dataset_meta['palette']
    reader = Reader(cfg, arrays=video is not None)
    if video is None:
        jobs = [partial(reader.read, name, path) for path, name in images.items()]
        with ThreadPoolExecutor(THREADS) as pool:
            write = partial(write_image, out, palette)
            tally = predict_each(
                jobs, len(images), predictor, lambda *args: pool.submit(write, *args)
            )
        report(tally, 'image')
    else:
        tally = predict_video(reader, video, frames, predictor, out, palette)
        report(tally, 'frame')
    print(f'written to {out}')
    if tally.interrupted and not (video and video.count == inf):
        raise KeyboardInterrupt
    return tally.unreadable == 0 and (video is None or came_whole(video, frames, tally))


def write_image(
    out: Path, palette: np.ndarray, image: Image, prediction: Prediction
) -> None:
    """Write all files of an image."""
    write_files(out, image.name, prediction, palette)
    picture = overlay(image.picture, prediction.labels, palette)
    write_picture(out / 'overlays' / f'{image.name}.png', picture)


def predict_video(
    reader: Reader,
    video: Video,
    frames: int | None,
    predictor: Predictor,
    out: Path,
    palette: np.ndarray,
) -> Tally:
    """Predict frames; write an overlay video, and the other files of each frame.

    Raises:
        InputError: no frame could be read, or something cannot be written.
    """

    def next_frame(number: int) -> Image | None:
        frame = video.read()
        name = f'{video.stem}/{number:06d}'
        return None if frame is None else reader.read(name, frame)

    def write_frame(image: Image, prediction: Prediction) -> np.ndarray:
        write_files(out, image.name, prediction, palette)
        return overlay(image.picture, prediction.labels, palette)

    def write(image: Image, prediction: Prediction) -> Future:
        written = pool.submit(write_frame, image, prediction)
        return one_by_one.submit(lambda: record(written.result()))

    jobs = (partial(next_frame, number) for number in count())
    with ExitStack() as stack:
        path = out / 'overlays' / f'{video.stem}.mp4'
        record = stack.enter_context(film(path, video.fps))
        one_by_one, pool = (
            stack.enter_context(ThreadPoolExecutor(threads)) for threads in (1, THREADS)
        )
        total = min(frames or inf, video.count)
        some = islice(jobs, frames)
        tally = predict_each(some, total, predictor, write, readers=1)
        if tally.count == 0:
            if tally.interrupted:
                raise KeyboardInterrupt
            raise InputError(f'no frame comes out of {video.name}: give another.')
    return tally


def came_whole(video: Video, frames: int | None, tally: Tally) -> bool:
    """Tell whether a video gave the frames that it has; say so if not."""
    read = tally.count + tally.unreadable
    # Some files know their length only to about a frame.
    if tally.interrupted or read >= min(frames or inf, 0.99 * video.count - 1):
        return True
    of_all = f' of {video.count}' if video.count < inf else ''
    print(
        f'error: {video.name} ended after {read}{of_all} frames, which are written: '
        'it is damaged or was cut off.',
        file=sys.stderr,
    )
    return False


def predict_each(
    jobs: Iterable[Job],
    total: float,
    predictor: Predictor,
    write: Callable[[Image, Prediction], Future],
    *,
    readers: int = THREADS,
) -> Tally:
    """Predict images in their order, and show the progress.

    Args:
        jobs: what reads them.
        total: how many there are; infinity if nobody knows.
        predictor: the network.
        write: starts to write what was predicted.
        readers: how many threads read.

    Raises:
        Exception: what writing raised, at most some images later.
    """
    tally = Tally()
    waiting: deque[Future] = deque()
    start = perf_counter()
    columns = (*Progress.get_default_columns(), MofNCompleteColumn())
    with Progress(*columns) as progress, ThreadPoolExecutor(readers) as pool:
        known = total if 0 < total < inf else None
        task = progress.add_task('predicting', total=known)
        try:
            for reading in ahead(pool, jobs):
                try:
                    image = reading.result()
                except InputError as error:
                    tally.unreadable += 1
                    progress.advance(task)
                    print(f'error: {error}', file=sys.stderr)
                    continue
                if image is None:
                    break
                begin = perf_counter()
                prediction = predictor(image.data)
                tally.network += perf_counter() - begin
                waiting.append(write(image, prediction))
                tally.count += 1
                progress.advance(task)
                while waiting and (len(waiting) > AHEAD or waiting[0].done()):
                    waiting.popleft().result()
        except KeyboardInterrupt:
            tally.interrupted = True
        for writing in waiting:
            writing.result()
    tally.seconds = perf_counter() - start
    return tally


def ahead(pool: ThreadPoolExecutor, jobs: Iterable[Job]) -> Iterator[Future]:
    """Start some jobs before their results are wanted; they come in their order."""
    started: deque[Future] = deque()
    for job in jobs:
        started.append(pool.submit(job))
        if len(started) > AHEAD:
            yield started.popleft()
    yield from started


def report(tally: Tally, noun: str) -> None:
    """Print how long a run took, and how much of that the network."""
    if tally.count:
        plural = '' if tally.count == 1 else 's'
        print(
            f'{tally.count} {noun}{plural} in {tally.seconds:.1f} s '
            f'({tally.seconds / tally.count:.2f} s each); the network took '
            f'{100 * tally.network / tally.seconds:.0f} %'
        )
