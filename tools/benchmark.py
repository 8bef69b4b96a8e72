"""Times MMSegmentation's models and ours in turn, in one process.

tools/benchmark.py --json work_dirs/benchmark.json
tools/benchmark.py --device cuda --autocast bf16 --measure tail --classes 150
"""

from __future__ import annotations

import argparse
from pathlib import Path

try:
    from mmseg_pointrend.errors import exit_with_sentence
    from mmseg_pointrend.studies.speed.runner import run_benchmark
    from mmseg_pointrend.studies.speed.settings import (
        AUTOCAST,
        CONTENDERS,
        MEASURES,
        Settings,
    )
except ImportError as error:
    raise SystemExit(f'error: {error}') from None

CONFIGS = Path(__file__).parents[1] / 'configs'


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    size = dict(type=int, nargs=2, metavar=('HEIGHT', 'WIDTH'))
    add(
        '--config',
        default=str(CONFIGS / 'pointrend_deeplabv3plus_cityscapes.py'),
        help='config file with a point head; the other models are made from it',
    )
    add(
        '--measure',
        nargs='+',
        choices=MEASURES,
        default=MEASURES,
        help='train, predict and tail are timed, memory is the peak of the tail, flops '
        'the arithmetic of a training forward; default: all',
    )
    add('--contenders', nargs='+', choices=CONTENDERS, default=CONTENDERS)
    add('--size', default=(1024, 2048), help='of predict() and the tail', **size)
    add('--train-size', default=(256, 512), help='of a training image', **size)
    add('--classes', type=int, help="by default the config's")
    add('--device', choices=('cpu', 'cuda'), default='cpu')
    add('--autocast', choices=AUTOCAST, default='none')
    add('--repeat', type=int, default=10, help='timed calls of each model')
    add('--seed', type=int, default=0)
    add('--json', type=Path, help='file for the figures')
    run_benchmark(Settings(**vars(parser.parse_args())))


if __name__ == '__main__':
    with exit_with_sentence():
        main()
