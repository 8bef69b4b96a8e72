"""Which images or which video to predict, and what the files of each are called."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from mmseg_pointrend.errors import InputError, name_some

IMAGES = {
    *('.bmp', '.jp2', '.jpe', '.jpeg', '.jpg', '.pbm', '.pgm', '.png', '.ppm'),
    *('.tif', '.tiff', '.webp'),
}
"""Suffixes of the files that are taken out of a folder."""
WRITTEN = 'labels', 'overlays', 'probabilities', 'points'
"""Folders of what is written."""
VIDEOS = {
    *('.avi', '.flv', '.m4v', '.mkv', '.mov', '.mp4', '.mpeg', '.mpg', '.mts', '.ogv'),
    *('.webm', '.wmv'),
}


def check_out(out: Path, overwrite: bool) -> None:
    """Refuse a folder for results that has files, unless they may be replaced.

    Raises:
        InputError: it is not empty, or no folder.
    """
    if out.exists() and not out.is_dir():
        raise InputError(f'--out {out} is a file: give a folder.')
    if not overwrite and out.is_dir() and any(out.iterdir()):
        raise InputError(
            f'--out {out} is not empty: give another folder, or --overwrite to replace '
            'files of the same names.'
        )


def find_video(inputs: Sequence[str]) -> str | int | None:
    """Find the video, or the number of the camera, in the arguments of a command.

    Returns:
        None if they name images.

    Raises:
        InputError: it is not the only one, or does not exist.
    """
    videos = [one for one in inputs if is_camera(one) or is_video(one)]
    if not videos:
        return None
    if len(inputs) > 1:
        raise InputError(
            f'{videos[0]} is a video or a camera: give it alone, and the rest in '
            'another run.'
        )
    if is_camera(videos[0]):
        return int(videos[0])
    if not Path(videos[0]).is_file():
        raise InputError(f'{videos[0]} does not exist: check the path.')
    return videos[0]


def is_camera(text: str) -> bool:
    """Tell whether an argument is the number of a camera and no file of that name."""
    return text.isdecimal() and not Path(text).exists()


def is_video(text: str) -> bool:
    """Tell whether an argument has the name of a video."""
    return Path(text).suffix.lower() in VIDEOS and not Path(text).is_dir()


def find_images(inputs: Sequence[str], out: Path) -> dict[Path, str]:
    """Find image files, those of folders with their subfolders.

    Args:
        inputs: files and folders.
        out: folder for the results, which do not count.

    Returns:
        Of each image the name of what is written for it, without a suffix: that of the
        file, after its subfolders in the folder that was given. Where images differ in
        their suffix alone, it is a part of the name.

    Raises:
        InputError: one does not exist or could be written over, a folder holds no
            image, or two images would have the same name.
    """
    found: dict[Path, Path] = {}
    seen = set()
    for one in inputs:
        for path, name in images_in(Path(one), out):
            if path.resolve() not in seen:
                seen.add(path.resolve())
                found[path] = name
    stems = Counter(name.with_suffix('') for name in found.values())
    names: dict[str, Path] = {}
    for path, name in found.items():
        stem = name.with_suffix('')
        key = str(name if stems[stem] > 1 else stem)
        if key in names:
            raise InputError(
                f'{names[key]} and {path} would both be written to {key}.png: predict '
                'them into two folders, or give the folder above both.'
            )
        names[key] = path
    return {path: key for key, path in names.items()}


def images_in(source: Path, out: Path) -> Iterator[tuple[Path, Path]]:
    """List the images that one argument names, and their names below it.

    Raises:
        InputError: as :func:`find_images`.
    """
    if not source.exists():
        raise InputError(f'{source} does not exist: check the path.')
    if not source.is_dir():
        if is_written(source, out):
            raise InputError(
                f'{source} is where results are written: give another --out.'
            )
        yield source, Path(source.name)
        return
    count = 0
    for path in sorted(source.rglob('*')):
        name = path.relative_to(source)
        hidden = any(part.startswith('.') for part in name.parts)
        if path.suffix.lower() not in IMAGES or hidden or not path.is_file():
            continue
        if not is_written(path, out):
            count += 1
            yield path, name
    if count == 0:
        raise InputError(
            f'{source} holds no images ({name_some(sorted(IMAGES))}): check the path.'
        )


def is_written(path: Path, out: Path) -> bool:
    """Tell whether a file is in one of the folders for results."""
    folders = {out.resolve() / name for name in WRITTEN}
    return not folders.isdisjoint(path.resolve().parents)
