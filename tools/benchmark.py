"""Time MMSegmentation's models and ours in turn, in one process.

tools/benchmark.py --json work_dirs/benchmark.json
tools/benchmark.py --device cuda --autocast bf16 --measure tail --classes 150
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path

from arguments import parse, run

CONFIGS = Path(__file__).parents[1] / 'configs'
CONTENDERS = 'plain', 'plain-d8', 'mmseg', 'ours', 'ours-retrofit', 'ours-compiled'
MEASURES = 'train', 'train-memory', 'flops', 'predict', 'tail', 'memory'


def add_arguments(parser: ArgumentParser) -> None:
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
        help='train, predict and tail are timed, memory is the peak of the tail and '
        'train-memory that of a step, flops the arithmetic of a training forward; '
        'default: all',
    )
    add('--contenders', nargs='+', choices=CONTENDERS, default=CONTENDERS)
    add('--size', default=(1024, 2048), help='of predict() and the tail', **size)
    add('--train-size', default=(256, 512), help='of a training image', **size)
    add('--classes', type=int, help="by default the config's")
    add('--device', choices=('cpu', 'cuda'), default='cpu')
    add('--autocast', choices=('none', 'bf16', 'fp16'), default='none')
    add('--repeat', type=int, default=10, help='timed calls of each model')
    add('--seed', type=int, default=0)
    add('--json', type=Path, help='file for the figures')


def main(args: Namespace) -> None:
    from mmseg_pointrend.studies.speed.runner import run_benchmark
    from mmseg_pointrend.studies.speed.settings import Settings

    run_benchmark(Settings(**vars(args)))


if __name__ == '__main__':
    run(main, parse(__doc__, add_arguments))
