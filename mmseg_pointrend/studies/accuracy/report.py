"""Tables and pictures of scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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

Summaries = Mapping[str, Mapping[str, Any]]


def print_scores(summaries: Summaries, classes: Sequence[str]) -> None:
    """One row for each way to predict.

    Args:
        summaries: of :class:`~mmseg_pointrend.studies.accuracy.scores.Scores` by name.
        classes: whose IoU get a column.
    """
    widths = next(iter(summaries.values()))['trimap_mIoU']
    table = Table()
    table.add_column('', no_wrap=True)
    columns = ['mIoU', 'mBIoU', *(f'{width}px' for width in widths), *classes]
    for column in columns:
        table.add_column(column, justify='right', no_wrap=True)
    for name, figures in summaries.items():
        values = [figures['mIoU'], figures['mBIoU'], *figures['trimap_mIoU'].values()]
        values += [figures['IoU'][key] for key in classes]
        table.add_row(
            name, *('-' if value is None else f'{value:.2f}' for value in values)
        )
    Console(width=WIDE).print(table)


def print_costs(costs: Mapping[str, Mapping[str, float]]) -> None:
    """One row for each model of :func:`measure_costs`."""
    table = Table()
    for column in ('', 'GFLOPs', 'seconds an image'):
        table.add_column(column, justify='right')
    for name, cost in costs.items():
        table.add_row(name, f'{cost["gflops"]:.2f}', f'{cost["seconds"]:.3f}')
    Console(width=WIDE).print(table)


def plot_budgets(
    path: Path, summaries: Summaries, budgets: Mapping[str, int], title: str
) -> None:
    """Draw accuracy against points, and fixed and broken pixels by distance.

    Args:
        path: of the picture.
        summaries: of each budget, and of ``'upsampled'``.
        budgets: points a step of each summary, ascending.
        title: over the picture.
    """
    figure, (curve, bars) = plt.subplots(1, 2, figsize=(10, 3.6), layout='constrained')
    figure.suptitle(title)
    points = list(budgets.values())
    for key, label, color in (
        ('mIoU', 'mIoU', '#0072b2'),
        ('mBIoU', 'Boundary IoU', '#d55e00'),
    ):
        gains = [summaries[name][key] - summaries[UPSAMPLED][key] for name in budgets]
        curve.plot(points, gains, 'o-', color=color, label=label)
    curve.axhline(0, color='#888888', linewidth=1)
    curve.set(
        xscale='symlog',
        xlabel='points a subdivision step',
        ylabel='gain over one bilinear resize',
    )
    curve.set_xlim(left=0)
    curve.legend()
    most = summaries[list(budgets)[-1]]
    places = range(len(RINGS) + 1)
    bars.bar([i - 0.2 for i in places], most['fixed'], 0.4, color='#009e73')
    bars.bar([i + 0.2 for i in places], most['broken'], 0.4, color='#d55e00')
    bars.set_xticks(places, ring_names())
    bars.set(
        xlabel='distance to a true boundary [pixels]',
        ylabel=f'pixels at {points[-1]} points',
    )
    bars.legend(['made right', 'made wrong'])
    save(figure, path, dpi=120)


def ring_names() -> list[str]:
    """``1, 2, 3, 4-5, 6-8, >8``."""
    names, low = [], 1
    for high in RINGS:
        names.append(str(high) if low == high else f'{low}-{high}')
        low = high + 1
    return [*names, f'>{RINGS[-1]}']
