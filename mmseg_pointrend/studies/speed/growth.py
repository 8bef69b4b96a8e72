"""How the tail's time grows with pixels, classes and points."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import matplotlib.pyplot as plt
from matplotlib.ticker import LogLocator
from mmengine.config import ConfigDict
from rich.console import Console

from mmseg_pointrend.studies.pictures import save
from mmseg_pointrend.studies.speed.contenders import our_config
from mmseg_pointrend.studies.speed.meters import time_in_turn, warm_up
from mmseg_pointrend.studies.speed.settings import Settings
from mmseg_pointrend.studies.speed.tail_inputs import random_inputs
from mmseg_pointrend.studies.speed.tasks import tail_task

SHARES_OF_SIDE = (0.25, 0.5, 0.75, 1)
CLASSES = (2, 8, 19, 40, 80, 150)
SHARES_OF_POINTS = (0.25, 0.5, 1, 2, 4)
LINES = {
    'plain': dict(label='one resize, no points', color='#888888', marker='s'),
    'mmseg': dict(label="MMSegmentation's PointHead", color='#d55e00', marker='o'),
    'ours': dict(label='ours, eager', color='#56b4e9', marker='^'),
    'ours-compiled': dict(label='ours, compiled', color='#0072b2', marker='D'),
}


def measure_growth(
    ours: ConfigDict, settings: Settings, console: Console
) -> dict[str, Any]:
    """Time the tail from random logits while one quantity grows.

    Args:
        ours: config of our model.
        settings: the size that the shares refer to.
        console: where progress goes.

    Returns:
        For ``'pixels'``, ``'classes'`` and ``'points'``: its values ``'x'``, what stays
        the same, and the median ``'seconds'`` of each contender, None where it failed.
    """
    names = [name for name in settings.contenders if name in LINES]
    settings = replace(settings, contenders=names)
    growth: dict[str, Any] = {}
    known: dict[Variation, dict[str, float]] = {}
    for quantity, one in variations(ours, settings.size):
        if one not in known:
            console.print(f'growth: {", ".join(one.described().values())} …')
            known[one] = tail_medians(ours, settings, one, console)
        fixed = one.described()
        del fixed[quantity]
        panel = growth.setdefault(
            quantity,
            dict(
                fixed=list(fixed.values()), x=[], seconds={name: [] for name in names}
            ),
        )
        height, width = one.size
        x = dict(pixels=height * width, classes=one.classes, points=one.points)
        panel['x'].append(x[quantity])
        for name, seconds in panel['seconds'].items():
            seconds.append(known[one].get(name))
    return growth


class Variation(NamedTuple):
    """What the time of the tail depends on."""

    size: tuple[int, int]
    classes: int
    points: int

    def described(self) -> dict[str, str]:
        """Each quantity in words."""
        return dict(
            pixels='{}x{}'.format(*self.size),
            classes=f'{self.classes} classes',
            points=f'{self.points} points',
        )


def variations(
    ours: ConfigDict, size: tuple[int, int]
) -> Iterator[tuple[str, Variation]]:
    """What grows, and all the quantities.

    Classes grow at half the side, where 150 of them fit into memory.
    """
    sizes = {
        share: (round(size[0] * share), round(size[1] * share))
        for share in SHARES_OF_SIDE
    }
    usual = ours.decode_head.num_classes
    budget = ours.point_head.subdivision_num_points
    for share in SHARES_OF_SIDE:
        yield 'pixels', Variation(sizes[share], usual, budget)
    for classes in CLASSES:
        yield 'classes', Variation(sizes[0.5], classes, budget)
    for share in SHARES_OF_POINTS:
        yield 'points', Variation(sizes[1], usual, max(round(budget * share), 1))


def tail_medians(
    ours: ConfigDict, settings: Settings, one: Variation, console: Console
) -> dict[str, float]:
    """Median seconds of each contender's tail; those that fail are left out."""
    settings = replace(settings, **one._asdict())
    cfg = our_config(ours, settings)
    task = tail_task('random', random_inputs(cfg, settings), cfg, settings)
    calls, failed = warm_up(task.calls, settings.warmup)
    for name, error in failed.items():
        console.print(f'{name} fails: {error}', markup=False)
    times = time_in_turn(
        calls, repeat=settings.repeat, device=settings.device, seed=settings.seed
    )
    return {name: median(values) for name, values in times.items()}


def draw_growth(growth: dict[str, Any], path: Path) -> None:
    """Draw a panel for each quantity.

    Args:
        growth: from :func:`measure_growth`.
        path: PNG file.
    """
    figure, panels = plt.subplots(1, 3, figsize=(15, 4.6), layout='constrained')
    for axes, (quantity, panel) in zip(panels, growth.items(), strict=True):
        for name, seconds in panel['seconds'].items():
            heights = [float('nan') if s is None else s * 1000 for s in seconds]
            axes.plot(panel['x'], heights, **LINES[name])
        axes.set(xscale='log', yscale='log', title=', '.join(panel['fixed']))
        ticks = panel['x']
        labels = [f'{x / 1e6:.3g}' for x in ticks] if quantity == 'pixels' else ticks
        axes.set_xlabel('megapixels' if quantity == 'pixels' else quantity)
        axes.minorticks_off()
        axes.set_xticks(ticks, labels)
        axes.yaxis.set_minor_locator(LogLocator(subs=(2, 5)))
        axes.yaxis.set_major_formatter('{x:g}')
        axes.yaxis.set_minor_formatter('{x:g}')
        axes.grid(which='both', alpha=0.25)
    panels[0].set_ylabel('coarse logits to labels, ms')
    panels[0].legend()
    save(figure, path, dpi=100)
