"""Makes the ``labelTrainIds`` maps of Cityscapes and checks the data set."""

from __future__ import annotations

import contextlib
import io
import os
from glob import glob
from pathlib import Path

from cityscapesscripts.preparation.json2labelImg import json2labelImg

from mmseg_pointrend.datasets.preparation.workers import check_workers, run_in_workers
from mmseg_pointrend.errors import InputError, name_some

COUNTS = {'train': 2975, 'val': 500, 'test': 1525}
IMAGES = 'leftImg8bit'
LABELS = 'gtFine'
IMAGE_SUFFIX = '_leftImg8bit.png'
POLYGON_SUFFIX = '_gtFine_polygons.json'
LABEL_SUFFIX = '_gtFine_labelTrainIds.png'
# Does not end in LABEL_SUFFIX, so what a kill leaves behind is never a label.
TEMPORARY_SUFFIX = '_gtFine_labelTrainIds.tmp.png'
ARCHIVES = {
    IMAGES: 'leftImg8bit_trainvaltest.zip',
    LABELS: 'gtFine_trainvaltest.zip',
}


def prepare_cityscapes(
    root: str | os.PathLike[str], *, workers: int, check_counts: bool = True
) -> int:
    """Makes every missing ``*_gtFine_labelTrainIds.png`` of a Cityscapes folder.

    Images and annotations are matched before the first label is made, so an incomplete
    download is named at once. A label appears under its name only when it is whole; an
    interrupted call is finished by calling again.

    Args:
        root: The folder that holds ``leftImg8bit`` and ``gtFine``.
        workers: Number of worker processes.
        check_counts: Whether ``train``, ``val`` and ``test`` must hold the 2975, 500
            and 1525 images of Cityscapes. False takes a partial data set.

    Returns:
        The number of labels made by this call.

    Raises:
        InputError: Something is missing, is unreadable or has the wrong count.
    """
    check_workers(workers)
    root = Path(root)
    _check_folders(root, check_counts)

    counts = {}
    todo = []
    for split in COUNTS:
        images = _keys(root / IMAGES / split, IMAGE_SUFFIX)
        labels = _keys(root / LABELS / split, LABEL_SUFFIX)
        polygons = _keys(root / LABELS / split, POLYGON_SUFFIX)
        _check_pairs(root, split, images, labels | polygons)
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
    """Lists the ``<city>/<frame>`` of the files in ``folder`` ending in ``suffix``."""
    names = glob(f'*/*{suffix}', root_dir=folder)
    return {Path(name).as_posix().removesuffix(suffix) for name in names}


def _unpack(root: Path, kind: str) -> str:
    return f'unpack {ARCHIVES[kind]} from cityscapes-dataset.com in {root}'


def _check_folders(root: Path, check_counts: bool) -> None:
    for kind in ARCHIVES:
        folders = [root / kind]
        if check_counts:
            folders += [root / kind / split for split in COUNTS]
        for folder in folders:
            if not folder.is_dir():
                raise InputError(
                    f'the folder {folder} does not exist, {_unpack(root, kind)}.'
                )


def _check_pairs(root: Path, split: str, images: set[str], labels: set[str]) -> None:
    """Names the images without annotation, else the annotations without image."""
    for kind, suffix, missing in (
        (LABELS, POLYGON_SUFFIX, images - labels),
        (IMAGES, IMAGE_SUFFIX, labels - images),
    ):
        if missing:
            folder = root / kind / split
            paths = [f'{folder / key}{suffix}' for key in sorted(missing)]
            verb = 'is' if len(missing) == 1 else 'are'
            raise InputError(
                f'{name_some(paths)} {verb} missing, {_unpack(root, kind)}.'
            )


def _check_totals(root: Path, counts: dict[str, int], check_counts: bool) -> None:
    if not any(counts.values()):
        raise InputError(
            f'{root / IMAGES} holds no <split>/<city>/*{IMAGE_SUFFIX}, '
            f'{_unpack(root, IMAGES)}.'
        )
    if not check_counts:
        return
    for split, count in counts.items():
        if count != COUNTS[split]:
            raise InputError(
                f'{root / IMAGES / split} holds {count} images, Cityscapes has '
                f'{COUNTS[split]}: unpack {" and ".join(ARCHIVES.values())} from '
                f'cityscapes-dataset.com in {root}, or use --any-count '
                '(check_counts=False) for a partial data set.'
            )


def _make_label(stem: Path) -> None:
    """Draws ``<stem>_gtFine_labelTrainIds.png`` from the polygons next to it."""
    polygons = f'{stem}{POLYGON_SUFFIX}'
    temporary = Path(f'{stem}{TEMPORARY_SUFFIX}')
    printed = io.StringIO()
    try:
        with contextlib.redirect_stdout(printed):
            json2labelImg(polygons, str(temporary), 'trainIds')
        os.replace(temporary, f'{stem}{LABEL_SUFFIX}')
    except OSError as error:
        raise InputError(
            f'cannot make the label map of {polygons} ({error}), free space and make '
            'the folder writable.'
        ) from error
    except (Exception, SystemExit) as error:
        # json2labelImg prints what is wrong with a label name and calls sys.exit.
        reason = printed.getvalue().split('\n')[0] or f'{type(error).__name__}: {error}'
        raise InputError(
            f'{polygons} is not a Cityscapes polygon file ({reason}), '
            f'unpack {ARCHIVES[LABELS]} from cityscapes-dataset.com again.'
        ) from error
    finally:
        temporary.unlink(missing_ok=True)
