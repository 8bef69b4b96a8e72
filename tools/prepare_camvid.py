"""Lay out CamVid, in its 11-class or its original form, and check it."""

from __future__ import annotations

import os
from argparse import ArgumentParser, Namespace

from arguments import parse, run


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        'source',
        help='the folder with train, trainannot, ... (SegNet), or with '
        '701_StillsRaw_full and LabeledApproved_full (original); one with img and ann '
        'is only checked',
    )
    parser.add_argument(
        '--out', default='data/camvid', help='the folder to make (default: %(default)s)'
    )
    parser.add_argument(
        '--workers',
        type=int,
        default=os.cpu_count() or 1,
        help='number of processes (default: one for each core)',
    )
    parser.add_argument(
        '--full-size',
        action='store_true',
        help='keep the 960x720 pixels of the original images instead of 480x360',
    )
    parser.add_argument(
        '--any-count',
        action='store_true',
        help='take a partial data set: do not ask for 367/101/233 pairs',
    )


def main(args: Namespace) -> None:
    from mmseg_pointrend.datasets.preparation.prepare_camvid import prepare_camvid

    prepare_camvid(
        args.source,
        args.out,
        workers=args.workers,
        full_size=args.full_size,
        check_counts=not args.any_count,
    )


if __name__ == '__main__':
    run(main, parse(__doc__, add_arguments))
