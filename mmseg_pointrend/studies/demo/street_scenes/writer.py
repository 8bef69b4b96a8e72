"""A data set of street scenes on disk, laid out like Cityscapes."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from cityscapesscripts.helpers.labels import id2label

from mmseg_pointrend.datasets.preparation.workers import run_in_workers
from mmseg_pointrend.errors import InputError, check_arguments
from mmseg_pointrend.files import atomic_write
from mmseg_pointrend.studies.demo.street_scenes.scene import check_size, render_scene

MANIFEST = 'street_scenes.json'
SPLITS = ('train', 'val', 'test')

# Raise it with every change of the pictures, so that old folders are not extended.
DRAWING = 2


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
    """Write street scenes as `leftImg8bit` and `gtFine` folders.

    A folder that an interrupted call left behind is completed by the same call.

    Args:
        root: folder of the data set, made if missing.
        num_train, num_val, num_test: scenes per split, all with labels.
        size: height and width in pixels, at least (32, 64).
        seed: a scene depends on it, on its split and on its number only.
        supersampling: odd number of samples per pixel side.
        workers: processes that draw.

    Raises:
        InputError: an argument is out of range, or `root` holds other data.
    """
    root = Path(root)
    counts = dict(num_train=num_train, num_val=num_val, num_test=num_test)
    check_size(size, supersampling)
    numbers = dict(seed=seed, **counts).items()
    rules = [(value >= 0, f'{key}={value}', '0 or more') for key, value in numbers]
    check_arguments([*rules, (workers >= 1, f'workers={workers}', '1 or more')])
    arguments = dict(drawing=DRAWING, size=list(size), supersampling=supersampling)
    check_manifest(root, {**arguments, 'seed': seed, **counts})
    missing = [
        (split, index)
        for split, count in zip(SPLITS, counts.values(), strict=True)
        for index in range(count)
        if not all(path.is_file() for path in scene_files(root, split, index))
    ]
    if missing:
        task = partial(write_scene, root, size, seed, supersampling)
        run_in_workers(task, missing, workers=workers, description='street scenes')


def check_manifest(root: Path, arguments: dict[str, Any]) -> None:
    """Refuse a folder with other data, and note the arguments in a new one."""
    manifest = root / MANIFEST
    if not any((root / name).exists() for name in (MANIFEST, 'leftImg8bit', 'gtFine')):
        with atomic_write(manifest) as temporary:
            temporary.write_text(json.dumps(arguments, indent=2))
    if not manifest.is_file() or json.loads(manifest.read_text()) != arguments:
        raise InputError(
            f'{root} holds other data: choose another folder or delete it.'
        )


def scene_files(root: Path, split: str, index: int) -> list[Path]:
    """Paths of the image, the label, training and instance ids, and the polygons."""
    stem = f'{split}/street/street_{index:06d}_000019'
    kinds = 'labelIds.png', 'labelTrainIds.png', 'instanceIds.png', 'polygons.json'
    labels = [root / 'gtFine' / f'{stem}_gtFine_{kind}' for kind in kinds]
    return [root / 'leftImg8bit' / f'{stem}_leftImg8bit.png', *labels]


def write_scene(
    root: Path, size: tuple[int, int], seed: int, samples: int, scene: tuple[str, int]
) -> None:
    """Draw the scene of a split and a number in it, and write its files."""
    drawn = render_scene((seed, SPLITS.index(scene[0]), scene[1]), size, samples)
    pixels = [drawn.image[..., ::-1], drawn.label_ids, drawn.train_ids]
    pixels.append(drawn.instance_ids.astype(np.uint16))
    level = [cv2.IMWRITE_PNG_COMPRESSION, 3]
    contents = [cv2.imencode('.png', item, level)[1].tobytes() for item in pixels]
    outlines = label_outlines(drawn.instance_ids)
    record = dict(imgHeight=size[0], imgWidth=size[1], objects=outlines)
    contents.append(json.dumps(record).encode())
    for path, content in zip(scene_files(root, *scene), contents, strict=True):
        with atomic_write(path) as temporary:
            temporary.write_bytes(content)


def label_outlines(ids: np.ndarray) -> list[dict[str, Any]]:
    """Trace every connected region of a map of instance ids, the largest first.

    A region's polygon runs through the centres of its border pixels, given as indices
    of column and row. What lies in a hole of a region comes later than the region, so
    painting all in order restores the map.
    """
    found: list[tuple[int, dict[str, Any]]] = []
    for value in np.unique(ids).tolist():
        mask = (ids == value).astype(np.uint8)
        name = id2label[value // 1000 if value >= 1000 else value].name
        borders, tree = cv2.findContours(mask, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
        for border, (_, _, _, parent) in zip(borders, tree[0], strict=True):
            if parent < 0:
                points = border[:, 0].tolist()
                points += points[:1] * (3 - len(points))
                _, _, width, height = cv2.boundingRect(border)
                found.append((width * height, {'label': name, 'polygon': points}))
    return [outline for _, outline in sorted(found, key=lambda item: -item[0])]
