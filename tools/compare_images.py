"""Draw where in a data set rendering helps most, and where it hurts most.

tools/compare_images.py CONFIG CHECKPOINT --out DIR

Each picture shows the image, its labels, the points of the last step, one bilinear
resize, PointRend, the pixels put right and wrong, and a zoom.
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path

from arguments import add_cfg_options, parse, run


def add_arguments(parser: ArgumentParser) -> None:
    add = parser.add_argument
    add('config', help='config file of a model with points')
    add('checkpoint', help='checkpoint file')
    add('--out', type=Path, required=True, metavar='DIR', help='folder of the pictures')
    add('--count', type=int, default=4, help='of each kind (default: 4)')
    add('--split', choices=['val', 'test', 'train'], default='val')
    add(
        '--overwrite',
        action='store_true',
        help='write into a folder that has files, and replace those of the same names',
    )
    add('--device', help='cpu, cuda:0, ... (default: a GPU if there is one)')
    add_cfg_options(parser, 'val_dataloader.dataset.data_root=PATH')


def check(parser: ArgumentParser, args: Namespace) -> None:
    if args.count < 1:
        parser.error('--count: give at least 1.')


def main(args: Namespace) -> None:
    from mmengine.device import get_device

    from mmseg_pointrend.engine.config import load_config
    from mmseg_pointrend.studies.comparison.places import compare_images

    compare_images(
        load_config(args.config, args.cfg_options),
        args.checkpoint,
        args.out,
        split=args.split,
        count=args.count,
        device=args.device or get_device(),
        overwrite=args.overwrite,
    )


if __name__ == '__main__':
    run(main, parse(__doc__, add_arguments, check))
