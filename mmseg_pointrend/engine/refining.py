"""Refine a folder of label maps, of any model."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import cv2
import numpy as np
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from PIL import Image
from rich.progress import MofNCompleteColumn, Progress

from mmseg_pointrend.engine.prediction.inputs import check_out, find_images
from mmseg_pointrend.engine.prediction.model import check_device
from mmseg_pointrend.engine.terminal import quiet_terminal
from mmseg_pointrend.errors import InputError, name_some
from mmseg_pointrend.files import atomic_write
from mmseg_pointrend.models.mask_refinement import MaskRefinement
from mmseg_pointrend.models.refined_segmentor import load_refiner

LARGEST = 8192
"""Longest side of an image, in pixels."""


def refine_files(
    cfg: Config,
    checkpoint: str,
    labels: Path,
    images: Path,
    out: Path,
    refinement: MaskRefinement,
    *,
    device: str,
    ignore: int = 255,
    num_classes: int | None = None,
    overwrite: bool = False,
) -> int:
    """Refine each label map of a folder with the image of the same name.

    Args:
        cfg: config of a refiner.
        checkpoint: its weights.
        labels: folder of label maps, ids of classes in one channel, and its subfolders.
        images: folder of the images, in the same subfolders.
        out: folder for the refined label maps, PNGs with the palettes of the old ones.
        refinement: how to refine.
        device: of the network.
        ignore: an id that is no class.
        num_classes: how many classes there are, if that is known.
        overwrite: whether ``out`` may have files, which are replaced.

    Returns:
        How many pixels have changed.

    Raises:
        InputError: files are missing, cannot be read or do not fit; label maps before
            that one are refined and written.
    """
    check_out(out, overwrite)
    for folder in (labels, images):
        if out.resolve().is_relative_to(folder.resolve()):
            raise InputError(
                f'--out {out} is in {folder}, where a second run would read it: give '
                'a folder elsewhere.'
            )
    check_device(device)
    pairs = paired(find_images([str(labels)], out), find_images([str(images)], out))
    with quiet_terminal():
        if cfg.model.type != 'CascadePSP':
            raise InputError(
                f"{cfg.filename} has model.type='{cfg.model.type}': give the config of "
                'a refiner, one of configs/cascadepsp_*.py.'
            )
        init_default_scope('mmseg')
        network = load_refiner(cfg.model, checkpoint).to(device)
    changed = 0
    columns = (*Progress.get_default_columns(), MofNCompleteColumn())
    with Progress(*columns) as progress, torch.no_grad():
        for name, (label, image) in progress.track(
            pairs.items(), len(pairs), description='refining'
        ):
            old, palette = read_labels(label, ignore, num_classes)
            picture = read_image(image, old.shape, label)
            inputs = torch.from_numpy(picture).to(device).permute(2, 0, 1)[None].float()
            own = network.data_preprocessor
            inputs = (inputs - own.mean) / own.std
            new = refinement.refine_labels(network, inputs, old, ignore)
            changed += int((new != old).sum())
            result = Image.fromarray(new)
            if palette is not None:
                result.putpalette(palette)
            with atomic_write(out / f'{name}.png') as temporary:
                result.save(temporary)
    return changed


def paired(
    labels: Mapping[Path, str], images: Mapping[Path, str]
) -> dict[str, tuple[Path, Path]]:
    """Give each label map the image of its name.

    Args:
        labels: files and their names, without suffixes.
        images: the same of the images.

    Raises:
        InputError: some have none.
    """
    by_name = dict(zip(images.values(), images, strict=True))
    alone = [str(path) for path, name in labels.items() if name not in by_name]
    if alone:
        raise InputError(
            f'{len(alone)} of {len(labels)} label maps have no image of their name, '
            f'such as {name_some(alone)}: call the image of a.png a.jpg, in the same '
            'subfolder.'
        )
    return {name: (path, by_name[name]) for path, name in labels.items()}


def read_labels(
    path: Path, ignore: int, num_classes: int | None
) -> tuple[np.ndarray, list[int] | None]:
    """Read a label map.

    Args:
        path: of the file.
        ignore: an id that is no class.
        num_classes: how many classes there are, if that is known.

    Returns:
        Ids, uint8 or uint16, (H, W), and the palette if there is one.

    Raises:
        InputError: it is no label map, or has more classes.
    """
    try:
        file = Image.open(path)
        labels = np.array(file)
    except (OSError, SyntaxError) as error:
        raise InputError(f'{path} cannot be read ({error}): write it again.') from error
    if labels.ndim != 2 or labels.dtype not in (np.uint8, np.uint16, np.int32):
        raise InputError(
            f'{path} is no label map but an image of mode {file.mode}: give one '
            'channel of 8 or 16 bits that holds the ids of classes.'
        )
    if not 0 <= labels.min(initial=0) <= labels.max(initial=0) < 1 << 16:
        raise InputError(f'{path} has labels outside of 0 to 65535: give ids.')
    if num_classes is not None:
        beyond = np.setdiff1d(labels, [*range(num_classes), ignore])
        if len(beyond):
            raise InputError(
                f'{path} has the label {beyond[0]} but --num-classes {num_classes} end '
                f'at {num_classes - 1}: give the right number, or --ignore {beyond[0]}.'
            )
    palette = file.getpalette() if file.mode == 'P' else None
    kind = np.uint8 if labels.max(initial=0) < 256 else np.uint16
    return labels.astype(kind), palette


def read_image(path: Path, size: tuple[int, ...], label: Path) -> np.ndarray:
    """Read an image, RGB, (H, W, 3), uint8.

    Args:
        path: of the file.
        size: (H, W) that it must have.
        label: its label map.

    Raises:
        InputError: it cannot be read, has another size, or is too large.
    """
    picture = cv2.imread(str(path))
    if picture is None:
        raise InputError(f'{path} cannot be read as an image: write it again.')
    height, width = picture.shape[:2]
    if (height, width) != size:
        raise InputError(
            f'{path} has {height}x{width} pixels but {label} {size[0]}x{size[1]}: give '
            'label maps at the size of the images.'
        )
    if max(height, width) > LARGEST:
        raise InputError(
            f'{path} has {height}x{width} pixels, more than {LARGEST} on a side: cut '
            'it and its label map into parts.'
        )
    return np.ascontiguousarray(picture[..., ::-1])
