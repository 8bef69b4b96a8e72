"""Train masks of simple shapes in boxes, with and without rendering, in half a minute.

tools/instance_masks.py --out work_dirs/instance_masks.png
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path

from arguments import parse, run


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        '--out', type=Path, default=Path('work_dirs/instance_masks.png'), help='PNG'
    )
    parser.add_argument('--iterations', type=int, default=150, help='training steps')
    parser.add_argument(
        '--class-agnostic', action='store_true', help='one channel for all classes'
    )
    parser.add_argument(
        '--coarse-from',
        choices=['initial', 'current'],
        default='initial',
        help='what the MLP sees while rendering',
    )
    parser.add_argument('--seed', type=int, default=0)


def main(args: Namespace) -> None:
    from mmseg_pointrend.studies.instance_masks.example import run_example

    run_example(
        args.out,
        iterations=args.iterations,
        class_agnostic=args.class_agnostic,
        coarse_from=args.coarse_from,
        seed=args.seed,
    )


if __name__ == '__main__':
    run(main, parse(__doc__, add_arguments))
