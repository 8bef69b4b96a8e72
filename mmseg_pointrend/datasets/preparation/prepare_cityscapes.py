"""Make the ``labelTrainIds`` maps of Cityscapes and check the data set."""

from __future__ import annotations

import contextlib
import io
import os
from glob import glob
from pathlib import Path

from cityscapesscripts.preparation.json2labelImg import json2labelImg

from mmseg_pointrend.datasets.preparation.workers import run_in_workers
from mmseg_pointrend.errors import InputError, name_some
from mmseg_pointrend.files import atomic_write

COUNTS = {'train': 2975, 'val': 500, 'test': 1525}
IMAGES, LABELS = 'leftImg8bit', 'gtFine'
IMAGE_SUFFIX = '_leftImg8bit.png'
POLYGON_SUFFIX = '_gtFine_polygons.json'
LABEL_SUFFIX = '_gtFine_labelTrainIds.png'


def prepare_cityscapes(
    root: str | os.PathLike[str], *, workers: int, check_counts: bool = True
) -> int:
    """Make every missing ``*_gtFine_labelTrainIds.png`` of a Cityscapes folder.

    Images and annotations are matched before the first label is made, so an incomplete
    download is named at once. A label appears under its name only when it is whole; an
    interrupted call is finished by calling again.

    Args:
        root: the folder that holds ``leftImg8bit`` and ``gtFine``.
        workers: number of worker processes.
        check_counts: whether ``train``, ``val`` and ``test`` must hold the 2975, 500
            and 1525 images of Cityscapes. False takes a partial data set.

    Returns:
        The number of labels made by this call.

    Raises:
        InputError: something is missing, is unreadable or has the wrong count.
    """
    root = Path(root)
    for kind in (IMAGES, LABELS):
        for folder in (root / kind, *(root / kind / split for split in COUNTS)):
            if not folder.is_dir() and (check_counts or folder == root / kind):
                raise InputError(
                    f'the folder {folder} does not exist: {_unpack(root, kind)}.'
                )
    counts, todo = {}, []
    for split in COUNTS:
        images = _keys(root / IMAGES / split, IMAGE_SUFFIX)
        labels = _keys(root / LABELS / split, LABEL_SUFFIX)
        polygons = _keys(root / LABELS / split, POLYGON_SUFFIX)
        for kind, suffix, missing in (
            (LABELS, POLYGON_SUFFIX, images - labels - polygons),
            (IMAGES, IMAGE_SUFFIX, (labels | polygons) - images),
        ):
            if missing:
                paths = [f'{root / kind / split / i}{suffix}' for i in sorted(missing)]
                raise InputError(f'no {name_some(paths)}: {_unpack(root, kind)}.')
        counts[split] = len(images)
        todo += [root / LABELS / split / key for key in sorted(polygons - labels)]
    _check_totals(root, counts, check_counts)

    if todo:
        run_in_workers(_make_label, todo, workers=workers, description='label maps')
    found = ', '.join(f'{count} {split}' for split, count in counts.items())
    made = f'{len(todo)} made now' if todo else 'all made before'
    print(f'{root} is ready: {found} images, each with its label map ({made}).')
    return len(todo)


def _keys(folder: Path, suffix: str) -> set[str]:
    """List the ``<city>/<frame>`` of files in ``folder`` that end in ``suffix``."""
    names = glob(f'*/*{suffix}', root_dir=folder)
    return {Path(name).as_posix().removesuffix(suffix) for name in names}


def _unpack(root: Path, *kinds: str) -> str:
    archives = ' and '.join(f'{kind}_trainvaltest.zip' for kind in kinds)
    return f'unpack {archives} from cityscapes-dataset.com in {root}'


def _check_totals(root: Path, counts: dict[str, int], check_counts: bool) -> None:
    if not any(counts.values()):
        raise InputError(
            f'{root / IMAGES} holds no <split>/<city>/*{IMAGE_SUFFIX}: '
            f'{_unpack(root, IMAGES)}.'
        )
    for split, count in counts.items():
        if check_counts and count != COUNTS[split]:
            raise InputError(
                f'{root / IMAGES / split} holds {count} images, Cityscapes has '
                f'{COUNTS[split]}: {_unpack(root, IMAGES, LABELS)}, or use --any-count '
                '(check_counts=False) for a partial data set.'
            )


def _make_label(stem: Path) -> None:
    """Draw ``<stem>_gtFine_labelTrainIds.png`` from the polygons next to it."""
    polygons = f'{stem}{POLYGON_SUFFIX}'
    printed = io.StringIO()
    with atomic_write(f'{stem}{LABEL_SUFFIX}') as temporary:
        try:
            with contextlib.redirect_stdout(printed):
                json2labelImg(polygons, str(temporary), 'trainIds')
        except OSError:
            raise
        except (Exception, SystemExit) as error:
            # json2labelImg prints what is wrong with a label name and calls sys.exit.
            reason = (
                printed.getvalue().split('\n')[0] or f'{type(error).__name__}: {error}'
            )
            raise InputError(
                f'{polygons} is not a Cityscapes polygon file ({reason}): unpack '
                f'{LABELS}_trainvaltest.zip from cityscapes-dataset.com again.'
            ) from error
