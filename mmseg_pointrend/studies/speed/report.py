"""The table and the JSON file."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from typing import NamedTuple

from rich.console import Console
from rich.table import Table

RIVALS = ('mmseg', 'plain')
SCALES = {
    's': ((1, 's'), (1e-3, 'ms'), (1e-6, 'µs')),
    'B': ((1e9, 'GB'), (1e6, 'MB'), (1e3, 'kB')),
    'FLOP': ((1e12, 'TFLOP'), (1e9, 'GFLOP'), (1e6, 'MFLOP')),
}


class Row(NamedTuple):
    """One measure of every contender that takes part."""

    name: str  # key in the JSON file
    title: str  # for the table
    unit: str  # of SCALES
    values: dict[str, list[float]]  # what was measured, once or several times
    failed: dict[str, str]  # contenders that raised an error, and which


def print_rows(console: Console, rows: Sequence[Row]) -> None:
    """Print a table, and below it the errors of contenders that failed."""
    table = Table()
    table.add_column()
    for title in ('median', *(f'÷ {rival}' for rival in RIVALS)):
        table.add_column(title, justify='right')
    for row in rows:
        table.add_section()
        table.add_row(f'[bold]{row.title}')
        medians = {name: median(values) for name, values in row.values.items()}
        for name, value in medians.items():
            ratios = (
                f'{value / medians[rival]:.3f}' if medians.get(rival) else '-'
                for rival in RIVALS
            )
            table.add_row(f'  {name}', readable(value, row.unit), *ratios)
    console.print(table)
    for row in rows:
        for name, error in row.failed.items():
            console.print(f'{row.title}, {name} fails: {error}', markup=False)


def readable(value: float, unit: str) -> str:
    """Write a number in the unit that suits its size."""
    scales = SCALES[unit]
    scale, name = next((pair for pair in scales if value >= pair[0]), scales[-1])
    return f'{value / scale:.3g} {name}'
