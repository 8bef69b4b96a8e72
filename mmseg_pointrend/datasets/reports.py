"""What a check of data sets finds, and how it is told."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
from mmseg.datasets import BaseSegDataset
from prettytable import PrettyTable


@dataclass(frozen=True)
class Finding:
    """Something wrong with a file, or with the config.

    Attributes:
        is_error: training stops at it or learns what is not meant; otherwise the file
            is read right but probably not meant.
        kind: what is wrong, in two or three words.
        path: the file, or the folder.
        sentence: what is wrong and the fix, with the path.
    """

    is_error: bool
    kind: str
    path: str
    sentence: str


@dataclass
class Report:
    """What was found in a split.

    Attributes:
        images: their number.
        findings: about files, about all labels together, and about the config.
        datasets: those of the split.
        pixels: of each id that a model is given, (256,).
    """

    images: int = 0
    findings: list[Finding] = field(default_factory=list)
    datasets: list[BaseSegDataset] = field(default_factory=list)
    pixels: np.ndarray = field(default_factory=partial(np.zeros, 256, np.int64))

    def pixels_by_name(self) -> dict[str, int]:
        """Count the pixels of each class, and of each id that is none and occurs."""
        classes = self.datasets[0].metainfo['classes']
        names = [*classes, *(f'{i} (no class)' for i in range(len(classes), 256))]
        return {
            names[i]: int(count)
            for i, count in enumerate(self.pixels)
            if i < len(classes) or count
        }


Found = dict[str, Report]
"""What was found in each split."""


def summary(found: Found) -> Iterator[str]:
    """Lines to read: the pixels of each class, then what was found."""
    for split, report in found.items():
        if report.pixels.any():
            table = PrettyTable(['class', 'pixels', '%'], align='r')
            for name, pixels in report.pixels_by_name().items():
                share = 100 * pixels / report.pixels.sum()
                table.add_row([name, pixels, f'{share:.2f}'])
            yield f'{split}: pixels of each class\n{table}'
    yield from findings_of(found)


def findings_of(found: Found) -> Iterator[str]:
    """Tell each kind of finding, how often, the first three sentences; then totals."""
    groups: dict[tuple[bool, str], list[str]] = {}
    for report in found.values():
        for finding in report.findings:
            key = (not finding.is_error, finding.kind)
            groups.setdefault(key, []).append(finding.sentence)
    for (is_warning, kind), sentences in sorted(groups.items()):
        yield f'{"warning" if is_warning else "error"}: {kind} ({len(sentences)})'
        yield from (f'  {sentence}' for sentence in sentences[:3])
        if len(sentences) > 3:
            yield f'  and {len(sentences) - 3} more, --json FILE has them all'
    for split, report in found.items():
        errors = sum(finding.is_error for finding in report.findings)
        warnings = len(report.findings) - errors
        yield f'{split}: images {report.images}, errors {errors}, warnings {warnings}'


def has_errors(found: Found) -> bool:
    """Tell whether a training would stop or learn what is not meant."""
    return any(one.is_error for report in found.values() for one in report.findings)


def as_json(found: Found) -> dict[str, Any]:
    """All that was found, as lists and dicts, for each split."""
    return {
        split: {
            'images': report.images,
            'findings': [vars(finding) for finding in report.findings],
            'pixels': report.pixels_by_name(),
        }
        for split, report in found.items()
    }
