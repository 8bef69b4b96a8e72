"""Make the labelTrainIds maps of an unpacked Cityscapes folder and check it."""

from __future__ import annotations

import os
from argparse import ArgumentParser, Namespace

from arguments import parse, run


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument('root', help='the folder with leftImg8bit and gtFine')
    parser.add_argument(
        '--workers',
        type=int,
        default=os.cpu_count() or 1,
        help='number of processes (default: one for each core)',
    )
    parser.add_argument(
        '--any-count',
        action='store_true',
        help='take a partial data set: do not ask for 2975/500/1525 images',
    )


def main(args: Namespace) -> None:
    from mmseg_pointrend.datasets.preparation.prepare_cityscapes import (
        prepare_cityscapes,
    )

    prepare_cityscapes(args.root, workers=args.workers, check_counts=not args.any_count)


if __name__ == '__main__':
    run(main, parse(__doc__, add_arguments))
