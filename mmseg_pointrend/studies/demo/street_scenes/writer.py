"""A data set of street scenes on disk, laid out like Cityscapes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from tqdm import tqdm

from mmseg_pointrend.studies.demo.street_scenes.scene import (
    StreetScene,
    check_size,
    render_scene,
)

CITY = 'street'
MANIFEST = 'street_scenes.json'
SPLITS = ('train', 'val', 'test')

# Raise it with every change of the pictures, so that old folders are not extended.
DRAWING = 1


def scene_files(root: Path, split: str, index: int) -> dict[str, Path]:
    """Paths of the files of one scene, by kind.

    Args:
        root: folder of the data set.
        split: 'train', 'val' or 'test'.
        index: number of the scene within the split.
    """
    stem = f'{CITY}_{index:06d}_000019'
    labels = root / 'gtFine' / split / CITY
    files = {
        'image': root / 'leftImg8bit' / split / CITY / f'{stem}_leftImg8bit.png',
        'polygons': labels / f'{stem}_gtFine_polygons.json',
    }
    for kind in ('labelIds', 'labelTrainIds', 'instanceIds'):
        files[kind] = labels / f'{stem}_gtFine_{kind}.png'
    return files


def write_dataset(
    root: str | Path,
    *,
    num_train: int,
    num_val: int,
    num_test: int = 0,
    size: tuple[int, int] = (256, 512),
    seed: int = 0,
    supersampling: int = 3,
    workers: int = 1,
) -> None:
    """Writes street scenes as `leftImg8bit` and `gtFine` folders.

    A folder that an interrupted call left behind is completed by the same call.

    Args:
        root: folder of the data set, made if missing.
        num_train, num_val, num_test: scenes per split; those of `test` have labels
            too.
        size: height and width in pixels, at least (32, 64).
        seed: a scene depends on it, on its split and on its number only.
        supersampling: odd number of samples per pixel side.
        workers: processes that draw; with more than one, a script must call this
            under `if __name__ == '__main__':`.

    Raises:
        ValueError: if an argument is out of range, or if `root` holds a data set that
            was written with other arguments.
    """
    root = Path(root)
    counts = dict(zip(SPLITS, (num_train, num_val, num_test), strict=True))
    check_size(size, supersampling)
    for split, count in counts.items():
        if count < 0:
            raise ValueError(f'num_{split} is {count}; pass 0 or more scenes.')
    if seed < 0:
        raise ValueError(f'seed is {seed}; pass 0 or a positive integer.')
    if workers < 1:
        raise ValueError(f'workers is {workers}; pass 1 or more processes.')

    _check_manifest(
        root,
        {
            'drawing': DRAWING,
            **{f'num_{split}': count for split, count in counts.items()},
            'size': list(size),
            'seed': seed,
            'supersampling': supersampling,
        },
    )
    missing = [
        (split, index)
        for split, count in counts.items()
        for index in range(count)
        if not all(p.is_file() for p in scene_files(root, split, index).values())
    ]
    for split, count in counts.items():
        if count:
            for path in scene_files(root, split, 0).values():
                path.parent.mkdir(parents=True, exist_ok=True)
    task = partial(_write_scene, root, size, seed, supersampling)
    for _ in tqdm(_run(task, missing, workers), total=len(missing), unit='scene'):
        pass


def _run(
    task: Callable[[str, int], None], jobs: list[tuple[str, int]], workers: int
) -> Iterator[None]:
    if workers == 1 or len(jobs) < 2:
        for job in jobs:
            task(*job)
            yield
        return
    context = get_context('spawn')
    with ProcessPoolExecutor(
        workers, context, initializer=cv2.setNumThreads, initargs=(1,)
    ) as pool:
        futures = [pool.submit(task, *job) for job in jobs]
        try:
            for future in as_completed(futures):
                future.result()
                yield
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _check_manifest(root: Path, arguments: dict[str, Any]) -> None:
    manifest = root / MANIFEST
    if manifest.is_file():
        if json.loads(manifest.read_text()) != arguments:
            raise ValueError(
                f'{root} already holds street scenes drawn with other arguments; '
                f'choose another folder or delete {root} first.'
            )
        return
    if any((root / name).exists() for name in ('leftImg8bit', 'gtFine')):
        raise ValueError(
            f'{root} already holds a data set without {MANIFEST}; choose another '
            'folder for the street scenes.'
        )
    root.mkdir(parents=True, exist_ok=True)
    _replace(manifest, (json.dumps(arguments, indent=2) + '\n').encode())


def _write_scene(
    root: Path,
    size: tuple[int, int],
    seed: int,
    supersampling: int,
    split: str,
    index: int,
) -> None:
    scene = render_scene((seed, SPLITS.index(split), index), size, supersampling)
    files = scene_files(root, split, index)
    _replace(files['image'], _png(scene.image[..., ::-1]))
    _replace(files['labelIds'], _png(scene.label_ids))
    _replace(files['labelTrainIds'], _png(scene.train_ids))
    _replace(files['instanceIds'], _png(scene.instance_ids.astype(np.uint16)))
    _replace(files['polygons'], json.dumps(_annotation(scene)).encode())


def _annotation(scene: StreetScene) -> dict[str, Any]:
    height, width = scene.label_ids.shape
    return {'imgHeight': height, 'imgWidth': width, 'objects': scene.polygons}


def _png(pixels: np.ndarray) -> bytes:
    return cv2.imencode('.png', pixels, [cv2.IMWRITE_PNG_COMPRESSION, 3])[1].tobytes()


def _replace(path: Path, content: bytes) -> None:
    """Writes a file so that it is never seen half written."""
    partial_path = path.with_name(path.name + '.part')
    partial_path.write_bytes(content)
    partial_path.replace(path)
