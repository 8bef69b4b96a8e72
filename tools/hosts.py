"""Try point heads on the models that carry them, and count what they add.

tools/hosts.py                      # configs/hosts and DeepLabv3+
tools/hosts.py my_config.py         # your own model
"""

from __future__ import annotations

import argparse
import logging
import sys
import warnings
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / 'tests'))

try:
    from host_tester import CHECKS, HOSTS, SIZE
    from mmengine.logging import MMLogger
    from mmseg.utils import register_all_modules
    from rich.box import MARKDOWN
    from rich.console import Console
    from rich.progress import track
    from rich.table import Table

    from mmseg_pointrend.engine.config import load_config
    from mmseg_pointrend.errors import (
        InputError,
        exit_with_sentence,
        name_some,
        one_line,
    )
    from mmseg_pointrend.studies.speed.hosts import Costs, host_costs
except ImportError as error:
    raise SystemExit(f'error: {error}') from None


def passed(path: Path) -> int:
    """How many checks a model passes; those that fail are named on stderr."""
    failed: dict[str, list[str]] = {}
    for check in CHECKS:
        try:
            check(path)
        except Exception as error:
            failed.setdefault(one_line(error), []).append(check.__name__)
    for reason, names in failed.items():
        size = '{}x{}'.format(*SIZE)
        print(
            f'{path}: {name_some(names)} failed (a narrow copy, images of {size} '
            f'pixels), {reason}',
            file=sys.stderr,
        )
    return len(CHECKS) - sum(map(len, failed.values()))


def with_share(extra: float, whole: float, unit: str) -> str:
    """A cost and what it is of another in percent: ``0.21 M (0.5 %)``."""
    return f'{extra:.2f} {unit} ({100 * extra / whole:.1f} %)'


def row(path: Path, checks: str, host: Costs, extra: Costs) -> list[str]:
    """The cells of a model."""
    return [
        f'`{path.name}`',
        checks,
        f'{host.parameters / 1e6:.1f} M',
        with_share(extra.parameters / 1e6, host.parameters / 1e6, 'M'),
        f'{host.flops / 1e9:.0f} G',
        with_share(extra.flops / 1e9, host.flops / 1e9, 'G'),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('configs', nargs='*', type=Path, help='config files')
    parser.add_argument(
        '--size',
        type=int,
        nargs=2,
        default=(512, 1024),
        metavar=('HEIGHT', 'WIDTH'),
        help='of the image whose FLOPs are counted, default 512 1024',
    )
    args = parser.parse_args()
    register_all_modules()
    # Every weight of every model is logged otherwise.
    MMLogger.get_current_instance().setLevel(logging.ERROR)
    warnings.simplefilter('ignore')
    table = Table(box=MARKDOWN)
    for column in ('config', 'passes', 'parameters', 'extra', 'FLOPs', 'extra'):
        table.add_column(column, no_wrap=True)
    failures = 0
    for path in track(args.configs or HOSTS, console=Console(stderr=True)):
        cfg = load_config(str(path))
        model = cfg.get('model', {})
        if 'point_head' not in model or 'variants' in model:
            count = 'several point heads' if 'variants' in model else 'no point head'
            raise InputError(
                f'{path} has {count}: give a config of '
                "type='PointRendEncoderDecoder' with model.point_head."
            )
        costs = host_costs(cfg.model, tuple(args.size))
        count = passed(path)
        failures += len(CHECKS) - count
        table.add_row(*row(path, f'{count} of {len(CHECKS)}', *costs))
    Console(width=1000).print(table)
    if failures:
        raise SystemExit(1)


if __name__ == '__main__':
    with exit_with_sentence():
        main()
