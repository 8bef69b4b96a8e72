"""Make one file of a checkpoint that turns images into labels, points and all.

tools/export.py CONFIG CHECKPOINT --out model.onnx --images photos
tools/export.py CONFIG CHECKPOINT --out small.onnx --size 512 1024 --int8 photos
tools/export.py CONFIG CHECKPOINT --out model.xml

It takes images (N, H, W, 3), uint8, RGB, and gives labels (N, H, W). The file is run
beside the model and is not written unless it gives the same labels. Needs
pip install onnx onnxruntime onnxscript, and for .xml openvino. Works with
MMSegmentation's own models, too.
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path

from arguments import add_cfg_options, parse, run


def add_arguments(parser: ArgumentParser) -> None:
    add = parser.add_argument
    add('config', help='config file')
    add('checkpoint', help='checkpoint file')
    add(
        '--out',
        type=Path,
        required=True,
        help='.onnx; .xml for OpenVINO; .pt2 for torch.export',
    )
    add(
        '--target',
        choices=['onnx', 'openvino', 'torch-export'],
        help='by default what --out ends with says',
    )
    add('--size', type=int, nargs=2, metavar=('H', 'W'), help='of all images')
    add(
        '--batch',
        type=int,
        default=1,
        metavar='N',
        help='images at a time, with --size',
    )
    add(
        '--dynamic',
        action='store_true',
        help='any number of images of any size; the default without --size',
    )
    add('--logits', action='store_true', help='also give logits (N, K, H, W)')
    add('--points', type=int, metavar='N', help='of a step; fewer are faster')
    add(
        '--max-topk',
        type=int,
        metavar='K',
        help='find points by TopKs of at most K '
        'entries, 3839 for TensorRT; with --size',
    )
    add(
        '--int8',
        metavar='IMAGES',
        help='convolutions in 8 bits, their ranges taken from these images; for ONNX',
    )
    add('--images', nargs='+', default=[], help='files and folders to compare on')
    add('--overwrite', action='store_true', help='replace a file that exists')
    add_cfg_options(parser, 'model.point_head.scale_factor=4')


def check(parser: ArgumentParser, args: Namespace) -> None:
    for name in ('batch', 'max_topk'):
        value = getattr(args, name)
        if value is not None and value < 1:
            parser.error(f'--{name.replace("_", "-")}: give at least 1.')
    if args.size and min(args.size) < 1:
        parser.error('--size: give a height and a width above 0.')
    if args.size and args.dynamic:
        parser.error('--dynamic: leave out --size.')
    if args.points is not None and args.points < 0:
        parser.error('--points: give 0 or more.')


def main(args: Namespace) -> None:
    from mmseg_pointrend.engine.config import load_config
    from mmseg_pointrend.engine.export.run import TARGETS, export
    from mmseg_pointrend.errors import InputError

    if args.target and args.out.suffix != TARGETS[args.target]:
        raise InputError(
            f'--target {args.target} writes {TARGETS[args.target]} files: give such a '
            'name to --out.'
        )
    result = export(
        load_config(args.config, args.cfg_options),
        args.checkpoint,
        args.out,
        size=args.size and tuple(args.size),
        batch=args.batch,
        dynamic=args.dynamic,
        logits=args.logits,
        points=args.points,
        max_topk=args.max_topk,
        int8=args.int8,
        images=args.images,
        overwrite=args.overwrite,
    )
    model, file = result.seconds
    names = [args.out, *[args.out.with_suffix('.bin')] * (args.out.suffix == '.xml')]
    print(f'{" and ".join(map(str, names))}: {result.megabytes:.1f} MB')
    print(
        f'{100 * result.agreement:.4f} % of labels are those of the model '
        f'({result.source})'
    )
    print(
        f'{file:.3f} s an image, {file / model:.2f} of the {model:.3f} s of the model '
        '(medians, in turn)'
    )


if __name__ == '__main__':
    run(main, parse(__doc__, add_arguments, check))
