"""Tables and pictures of scores."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
from rich.console import Console
from rich.table import Table

from mmseg_pointrend.studies.accuracy.predictions import UPSAMPLED
from mmseg_pointrend.studies.accuracy.scores import RINGS
from mmseg_pointrend.studies.pictures import save

WIDE = 1000
"""Columns of text; a table takes what it needs and a terminal wraps the rest."""

MEANS = 'mIoU', 'mBIoU', 'mBA'

Summaries = Mapping[str, Mapping[str, Any]]
"""Of :class:`~mmseg_pointrend.studies.accuracy.scores.Scores`, by name."""


def print_scores(summaries: Summaries, classes: Sequence[str]) -> None:
    """Print one row for each way to predict, and the IoU of these classes."""
    widths = next(iter(summaries.values()))['trimap_mIoU']
    rows = []
    for name, one in summaries.items():
        values = [one[key] for key in MEANS] + [*one['trimap_mIoU'].values()]
        values += [one['IoU'][key] for key in classes]
        rows.append([name, *('-' if v is None else f'{v:.2f}' for v in values)])
    print_table(['', *MEANS, *(f'{width}px' for width in widths), *classes], rows)


def print_gain(figures: Mapping[str, Mapping[str, float]]) -> None:
    """Print the figures of a validation before and after, and the difference."""
    before, after = figures['before'], figures['after']
    names = [name for name in after if name == 'mBIoU' or 'mIoU' in name]
    rows = {'before': before, 'after': after}
    rows['gain'] = {name: after[name] - before[name] for name in names}
    print_table(
        ['', *(name.replace('trimap_mIoU_', 'trimap ') for name in names)],
        [[key, *(f'{row[name]:.2f}' for name in names)] for key, row in rows.items()],
    )


def print_costs(costs: Mapping[str, Mapping[str, float]]) -> None:
    """Print one row for each model of :func:`measure_costs`."""
    rows = (
        (name, f'{cost["gflops"]:.2f}', f'{cost["seconds"]:.3f}')
        for name, cost in costs.items()
    )
    print_table(['', 'GFLOPs', 'seconds an image'], rows)


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print rows, names to the left and figures to the right."""
    table = Table()
    for column in columns:
        justify: Any = 'right' if column else 'left'
        table.add_column(column, justify=justify, no_wrap=True)
    for row in rows:
        table.add_row(*row)
    Console(width=WIDE).print(table)


def plot_budgets(
    path: Path, summaries: Summaries, budgets: Mapping[str, int], title: str
) -> None:
    """Draw accuracy against points, and fixed and broken pixels by distance.

    Args:
        path: of the picture.
        summaries: of each budget, and of ``'one bilinear resize'``.
        budgets: points a step of each summary, ascending.
        title: over the picture.
    """
    figure, (curve, bars) = plt.subplots(1, 2, figsize=(10, 3.6), layout='constrained')
    figure.suptitle(title)
    points = list(budgets.values())
    for key, color in (('mIoU', '#0072b2'), ('mBIoU', '#d55e00')):
        gains = [summaries[name][key] - summaries[UPSAMPLED][key] for name in budgets]
        curve.plot(points, gains, 'o-', color=color, label=key)
    curve.axhline(0, color='#888888', linewidth=1)
    curve.set(
        xscale='symlog',
        xlabel='points a subdivision step',
        ylabel='gain over one bilinear resize',
    )
    curve.set_xlim(left=0)
    curve.legend()
    most = summaries[list(budgets)[-1]]
    for shift, key, color in ((-0.2, 'fixed', '#009e73'), (0.2, 'broken', '#d55e00')):
        places = [place + shift for place in range(len(RINGS) + 1)]
        bars.bar(places, most[key], 0.4, color=color)
    bars.set_xticks(range(len(RINGS) + 1), ring_names())
    bars.set(
        xlabel='distance to a true boundary [pixels]',
        ylabel=f'pixels at {points[-1]} points',
    )
    bars.legend(['made right', 'made wrong'])
    save(figure, path, dpi=120)


def ring_names() -> list[str]:
    """Name the rings: ``1, 2, 3, 4-5, 6-8, >8``."""
    names, low = [], 1
    for high in RINGS:
        names.append(str(high) if low == high else f'{low}-{high}')
        low = high + 1
    return [*names, f'>{RINGS[-1]}']
