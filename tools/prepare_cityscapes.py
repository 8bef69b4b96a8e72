"""Makes the labelTrainIds maps of an unpacked Cityscapes folder and checks it."""

from __future__ import annotations

import argparse
import os
import sys


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
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
    return parser.parse_args()


def main() -> int:
    args = parse_args()
    from mmseg_pointrend.datasets.preparation.prepare_cityscapes import (
        prepare_cityscapes,
    )
    from mmseg_pointrend.errors import InputError

    try:
        prepare_cityscapes(
            args.root, workers=args.workers, check_counts=not args.any_count
        )
    except InputError as error:
        print(f'error: {error}', file=sys.stderr)
        return 1
    return 0


if __name__ == '__main__':
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
