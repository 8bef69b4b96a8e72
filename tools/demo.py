"""Draw street scenes, train on them, evaluate and show, in a few minutes on a CPU."""

from __future__ import annotations

import os
from argparse import ArgumentParser, Namespace
from pathlib import Path

from arguments import add_cfg_options, parse, run

CONFIGS = Path(__file__).parents[1] / 'configs'


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument('--work-dir', type=Path, default=Path('work_dirs/demo'))
    parser.add_argument('--workers', type=int, default=os.cpu_count() or 1)
    parser.add_argument(
        '--scenes',
        type=int,
        nargs=2,
        default=(96, 16),
        metavar=('TRAIN', 'VAL'),
        help='how many to draw (default: 96 16)',
    )
    add_cfg_options(parser, 'randomness.seed=1')


def main(args: Namespace) -> None:
    from mmseg_pointrend.studies.demo.run import run_demo

    run_demo(
        str(CONFIGS / 'pointrend_deeplabv3plus_r18-d16_demo-256x512.py'),
        str(CONFIGS / 'deeplabv3plus_r18-d16_demo-256x512.py'),
        args.work_dir,
        scenes=tuple(args.scenes),
        options=args.cfg_options,
        workers=args.workers,
    )


if __name__ == '__main__':
    run(main, parse(__doc__, add_arguments))
