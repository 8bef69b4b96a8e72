"""Make the labelTrainIds maps of an unpacked Cityscapes folder and check it."""

from __future__ import annotations

import argparse
import os

try:
    from mmseg_pointrend.datasets.preparation.prepare_cityscapes import (
        prepare_cityscapes,
    )
    from mmseg_pointrend.errors import exit_with_sentence
except ImportError as error:
    raise SystemExit(f'error: {error}') from None


def main() -> None:
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
    args = parser.parse_args()
    prepare_cityscapes(args.root, workers=args.workers, check_counts=not args.any_count)


if __name__ == '__main__':
    try:
        with exit_with_sentence():
            main()
    except KeyboardInterrupt:
        raise SystemExit(130) from None
