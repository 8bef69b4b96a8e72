"""Make a checkpoint of another library's PointRend one of this project's.

tools/convert_checkpoint.py mmseg pointrend_r50.pth converted.pth
tools/convert_checkpoint.py detectron2 model_final.pkl converted.pth

configs/converted/ has the configs for the result; docs/convert.md.
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path

from arguments import parse, run


def add_arguments(parser: ArgumentParser) -> None:
    add = parser.add_argument
    add(
        'family',
        choices=['mmseg', 'detectron2'],
        help="MMSegmentation's PointHead, or detectron2's Semantic FPN PointRend",
    )
    add('source', metavar='IN', help='its checkpoint, .pth, or .pkl of detectron2')
    add('out', metavar='OUT', type=Path, help='the new checkpoint')
    add('--overwrite', action='store_true', help='replace a file that exists')


def main(args: Namespace) -> None:
    from mmseg_pointrend.engine.conversion import convert

    lines = convert(args.family, args.source, args.out, overwrite=args.overwrite)
    print(*lines, sep='\n')


if __name__ == '__main__':
    run(main, parse(__doc__, add_arguments))
