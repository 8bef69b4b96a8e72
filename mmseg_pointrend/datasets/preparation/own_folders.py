"""Which images and labels belong together, in folders that nobody has described?"""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import mmengine.fileio as fileio

from mmseg_pointrend.errors import InputError, name_some

Item = TypeVar('Item')
ENDINGS = ('.jpg', '.jpeg', '.png', '.bmp', '.tif', '.tiff', '.webp')
LOSSY = ('.jpg', '.jpeg', '.webp')
TRAIN_AND_VAL = [
    (change(train), change(val))
    for change in (str.lower, str.capitalize)
    for train in ('train', 'training')
    for val in ('val', 'valid', 'validation', 'test', 'testing')
]
EVERY = 5
"""Of so many images one validates where nothing is given for that."""

LOOKED_AT, MOST = 50, 20
"""Images whose names are compared, and kinds of pairs that are tried."""

Folders = tuple[Path, Path]
"""Those of images and of labels."""
Rule = tuple[str, str]
"""What follows the common part of the names of an image and of its label."""


@dataclass(frozen=True)
class Pairs:
    """The images and labels of two folders that belong together.

    Attributes:
        folders: of the images and of the labels.
        rule: how their names end.
        names: sorted, relative to the folders, without these endings.
        left_out: images without label.
        is_partial: whether the folder of the images holds others, too.
    """

    folders: Folders
    rule: Rule
    names: Sequence[str]
    left_out: Sequence[str]
    is_partial: bool

    def files(self, name: str) -> tuple[Path, Path]:
        """Image and label of a name."""
        (images, labels), (ending, label_ending) = self.folders, self.rule
        return images / f'{name}{ending}', labels / f'{name}{label_ending}'

    def describe(self, purpose: str) -> Iterator[str]:
        """Tell how many there are."""
        image, label = self.files('*')
        yield f'{len(self.names)} pairs {purpose}: {image} with {label}'
        if self.left_out:
            number, names = len(self.left_out), name_some(self.left_out)
            yield f'{number} images without label are left out: {names}'


def find_splits(
    given: Folders, val: Folders | None, label_suffix: str | None = None
) -> list[Pairs]:
    """Find the pairs to train on and those to validate.

    Args:
        given: folders of the images and labels to train on, or of all.
        val: those to validate, which are not trained on; without, they are looked for
            in folders called ``train`` and ``val`` below or beside those given, or
            every fifth pair is held out.
        label_suffix: as in :func:`find_pairs`.

    Raises:
        InputError: as in :func:`find_pairs`, or there is none to train on.
    """
    train = given
    if val is None:
        train, val = next(named_folders(given), (given, None))
    pairs = find_pairs(train, label_suffix)
    if val is not None:
        held_out = find_pairs(val, rule=pairs.rule)
        validated = {held_out.files(name)[0].resolve() for name in held_out.names}
        rest = [
            name
            for name in pairs.names
            if pairs.files(name)[0].resolve() not in validated
        ]
        if not rest:
            raise InputError(
                f'all images of {train[0]} are among those to validate: give others to '
                'train on.'
            )
        if len(rest) < len(pairs.names):
            pairs = replace(pairs, names=rest, is_partial=True)
        return [pairs, held_out]
    if len(pairs.names) < 2:
        raise InputError(
            f'{train[0]} has one image with a label: give two, one to train on and one '
            'to validate, or --val-images and --val-labels.'
        )
    held = pairs.names[::EVERY]
    rest = [name for name in pairs.names if name not in {*held}]
    return [
        replace(pairs, names=rest, is_partial=True),
        replace(pairs, names=held, is_partial=True, left_out=[]),
    ]


def named_folders(given: Folders) -> Iterator[tuple[Folders, Folders]]:
    """Look for folders called ``train`` and ``val`` below and beside those given."""
    images, labels = given
    for train, val in TRAIN_AND_VAL:
        splits = [((images / train, labels / train), (images / val, labels / val))]
        if train in images.parts and train in labels.parts:
            other = renamed(images, train, val), renamed(labels, train, val)
            splits.append((given, other))
        for split in splits:
            if all(folder.is_dir() for folders in split for folder in folders):
                yield split


def renamed(folder: Path, old: str, new: str) -> Path:
    """Change the last part of a path that has a name."""
    *parts, last = folder.parts
    if last == old:
        return Path(*parts, new)
    return renamed(Path(*parts), old, new) / last


def find_pairs(
    folders: Folders, label_suffix: str | None = None, rule: Rule | None = None
) -> Pairs:
    """Find out how the names of images and labels in two folders belong together.

    Args:
        folders: of the images and of the labels, which may be one.
        label_suffix: how the names of labels end, if that is known.
        rule: the result, if that is known from other folders.

    Raises:
        InputError: none belong together, or not in one way.
    """
    for folder in folders:
        if not folder.is_dir():
            raise InputError(f'the folder {folder} does not exist: correct the path.')
    images, labels = (
        [
            name
            for name in sorted(fileio.list_dir_or_file(folder, False, recursive=True))
            if name.lower().endswith(ENDINGS)
        ]
        for folder in folders
    )
    labels = [name for name in labels if name.endswith(label_suffix or '')]
    known = set(labels)
    covered = {
        one: {
            name
            for name in images
            if name.endswith(one[0]) and name.removesuffix(one[0]) + one[1] in known
        }
        for one in ([rule] if rule else find_rules(images, labels))
        if folders[0] != folders[1] or is_forward(one)
    }
    if not any(covered.values()):
        raise InputError(
            f'no label in {folders[1]} ({len(labels)}, {name_some(labels)}) has the '
            f'name of an image in {folders[0]} ({len(images)}, {name_some(images)}): '
            'give both one name in the same subfolder, up to an ending such as '
            "'.jpg' and '_mask.png'."
        )
    best = max(covered, key=lambda one: (len(covered[one]), -len(one[0])))
    others = {one[0] for one in covered if covered[one] - covered[best]}
    if others:
        raise InputError(
            f'images in {folders[0]} end with {best[0]} and with {name_some([*others])}'
            ', and MMSegmentation reads one ending: rename or convert the others.'
        )
    same = [one[1] for one in covered if covered[one] == covered[best]]
    if len(same) > 1 and label_suffix not in same:
        raise InputError(
            f'an image has several labels in {folders[1]}, ending with '
            f'{name_some(same)}: choose by --label-suffix={same[0]}.'
        )
    if len(same) > 1:
        best = best[0], str(label_suffix)
    used = covered[best] | (known if folders[0] == folders[1] else set())
    left_out = [name for name in images if name not in used]
    names = sorted(name.removesuffix(best[0]) for name in covered[best])
    is_partial = any(name.endswith(best[0]) for name in {*images} - covered[best])
    return Pairs(folders, best, names, left_out, is_partial)


def find_rules(images: Sequence[str], labels: Sequence[str]) -> list[Rule]:
    """List the endings of the labels whose names are most like those of some images."""
    in_folder = defaultdict(list)
    for label in labels:
        in_folder[os.path.dirname(label)].append(os.path.basename(label))
    rules = Counter[Rule]()
    for path in spread(images, LOOKED_AT):
        image, others = os.path.basename(path), in_folder[os.path.dirname(path)]
        ends = [i for i in range(1, len(image)) if not image[i].isalnum()]
        for end in reversed(ends):
            alike = [label for label in others if label.startswith(image[:end])]
            if alike:
                rules.update((image[end:], label[end:]) for label in alike)
                break
    return [rule for rule, _ in rules.most_common(MOST)]


def is_forward(rule: Rule) -> bool:
    """Tell which of two files of one folder is the label: the PNG, or the longer name.

    An image is not its own label.
    """
    lossy_image, lossy_label = (ending.lower().endswith(LOSSY) for ending in rule)
    image, label = map(len, rule)
    return rule[0] != rule[1] and (lossy_label, image) <= (lossy_image, label)


def spread(items: Sequence[Item], number: int) -> Sequence[Item]:
    """Take some, evenly."""
    return items[:: max(1, -(-len(items) // number))]
