"""The table and the JSON file."""

from __future__ import annotations

import os
import platform
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

import mmengine
import mmseg
import torch
from mmengine.config import ConfigDict
from rich.console import Console
from rich.table import Table

import mmseg_pointrend
from mmseg_pointrend.studies.speed.settings import CONTENDERS, Settings
from mmseg_pointrend.studies.speed.tail_inputs import fine_channels

RIVALS = {'mmseg': '÷ mmseg', 'plain': '÷ plain'}
SCALES = {
    's': ((1, 's'), (1e-3, 'ms'), (1e-6, 'µs')),
    'B': ((1e9, 'GB'), (1e6, 'MB'), (1e3, 'kB')),
    'FLOP': ((1e12, 'TFLOP'), (1e9, 'GFLOP'), (1e6, 'MFLOP')),
}


@dataclass
class Row:
    """One measure of every contender.

    Args:
        name: key in the JSON file.
        title: for the table.
        unit: ``'s'``, ``'B'`` or ``'FLOP'``.
        values: what was measured of each contender, once or several times.
        absent: contenders that do not take part, and why.
        failed: contenders that raised an error, and which.
    """

    name: str
    title: str
    unit: str
    values: dict[str, list[float]]
    absent: dict[str, str]
    failed: dict[str, str]

    def medians(self) -> dict[str, float]:
        """The median of each contender."""
        return {name: median(values) for name, values in self.values.items()}

    def ratio(self, name: str, rival: str) -> float | None:
        """How many times the rival's median a contender's is, if both are there."""
        medians = self.medians()
        if name not in medians or not medians.get(rival):
            return None
        return medians[name] / medians[rival]

    def names(self) -> list[str]:
        """The contenders in their usual order."""
        known = {**self.values, **self.absent, **self.failed}
        return [name for name in CONTENDERS if name in known]


def print_rows(console: Console, rows: list[Row]) -> None:
    """Print a table, and below it the errors of contenders that failed."""
    table = Table()
    table.add_column()
    for title in ('median', *RIVALS.values()):
        table.add_column(title, justify='right')
    for row in rows:
        table.add_section()
        table.add_row(f'[bold]{row.title}')
        medians = row.medians()
        for name in row.names():
            ratios = (row.ratio(name, rival) for rival in RIVALS)
            shown = readable(medians[name], row.unit) if name in medians else '-'
            table.add_row(
                f'  {name}',
                'fails' if name in row.failed else shown,
                *('-' if ratio is None else f'{ratio:.3f}' for ratio in ratios),
            )
    console.print(table)
    for row in rows:
        for name, error in row.failed.items():
            console.print(f'{row.title}, {name} fails: {error}', markup=False)


def readable(value: float, unit: str) -> str:
    """A number in the unit that suits its size."""
    scales = SCALES[unit]
    scale, name = next((pair for pair in scales if value >= pair[0]), scales[-1])
    return f'{value / scale:.3g} {name}'


def figures(
    settings: Settings, ours: ConfigDict, rows: list[Row], growth: Any
) -> dict[str, Any]:
    """Everything the JSON file holds."""
    return {
        'machine': machine(settings),
        'arguments': asdict(settings),
        'classes': ours.decode_head.num_classes,
        'points': ours.point_head.subdivision_num_points,
        'fine_channels': fine_channels(ours, settings),
        'measures': {
            row.name: {
                'title': row.title,
                'unit': row.unit,
                'contenders': {name: _cell(row, name) for name in row.names()},
            }
            for row in rows
        },
        'growth': growth,
    }


def _cell(row: Row, name: str) -> dict[str, Any]:
    for key, reasons in (('absent', row.absent), ('failed', row.failed)):
        if name in reasons:
            return {key: reasons[name]}
    ratios = {f'ratio_to_{rival}': row.ratio(name, rival) for rival in RIVALS}
    return {'median': row.medians()[name], **ratios, 'values': row.values[name]}


def machine(settings: Settings) -> dict[str, Any]:
    """What the figures were measured on."""
    cuda = settings.device == 'cuda'
    return {
        'cpu': cpu_model(),
        'cores': os.cpu_count(),
        'threads': torch.get_num_threads(),
        'gpu': torch.cuda.get_device_name() if cuda else None,
        'cuda': torch.version.cuda if cuda else None,
        'tf32_convolutions': cuda and torch.backends.cudnn.allow_tf32,
        'system': platform.platform(),
        'python': platform.python_version(),
        'torch': torch.__version__,
        'mmsegmentation': mmseg.__version__,
        'mmengine': mmengine.__version__,
        'mmseg_pointrend': mmseg_pointrend.__version__,
    }


def cpu_model() -> str:
    """The processor's name, as Linux knows it."""
    info = Path('/proc/cpuinfo')
    lines = info.read_text().splitlines() if info.is_file() else []
    names = [line.split(':', 1)[1].strip() for line in lines if 'model name' in line]
    return names[0] if names else platform.processor()
