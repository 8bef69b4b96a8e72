"""Write procedurally drawn street scenes in the Cityscapes folder layout.

Example:
    python tools/make_street_scenes.py data/street --train 96 --val 16 --size 256 512
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from arguments import parse, run


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument('out_dir', help='folder of the data set')
    parser.add_argument('--train', type=int, default=96, help='training scenes')
    parser.add_argument('--val', type=int, default=16, help='validation scenes')
    parser.add_argument('--test', type=int, default=0, help='test scenes')
    parser.add_argument(
        '--size',
        type=int,
        nargs=2,
        default=(256, 512),
        metavar=('HEIGHT', 'WIDTH'),
        help='in pixels, at least 32 64',
    )
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument(
        '--supersampling', type=int, default=3, help='odd samples per pixel side'
    )
    parser.add_argument('--workers', type=int, default=1, help='processes')


def main(args: Namespace) -> None:
    from mmseg_pointrend.studies.demo.street_scenes import write_dataset

    write_dataset(
        args.out_dir,
        num_train=args.train,
        num_val=args.val,
        num_test=args.test,
        size=tuple(args.size),
        seed=args.seed,
        supersampling=args.supersampling,
        workers=args.workers,
    )


if __name__ == '__main__':
    run(main, parse(__doc__, add_arguments))
