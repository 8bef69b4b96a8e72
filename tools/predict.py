"""Look at what a checkpoint sees in images, folders, a video or a camera.

tools/predict.py CONFIG CHECKPOINT photos street.jpg --out seen
tools/predict.py CONFIG CHECKPOINT drive.mp4 --out seen
tools/predict.py CONFIG CHECKPOINT 0 --frames 100 --out seen

DIR/labels gets PNGs whose pixels are the ids of classes, with the colours as palette;
DIR/overlays the images under these colours. Works with any MMSegmentation config.
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
        'inputs',
        nargs='+',
        metavar='INPUT',
        help='images, and folders with their subfolders; or one video; or the number '
        'of a camera, which runs until Ctrl-C',
    )
    add('--out', type=Path, required=True, metavar='DIR', help='folder for the results')
    add(
        '--overwrite',
        action='store_true',
        help='write into a folder that has files, and replace those of the same names',
    )
    add(
        '--probabilities',
        action='store_true',
        help='also write DIR/probabilities, NPZ files of (classes, height, width)',
    )
    add(
        '--points',
        action='store_true',
        help='also write DIR/points, white where the last step of rendering '
        'classified a pixel again',
    )
    add('--frames', type=int, metavar='N', help='at most, of a video or a camera')
    add('--device', help='cpu, cuda:0, ... (default: a GPU if there is one)')
    add_cfg_options(parser, "model.test_cfg.mode='whole'")


def check(parser: ArgumentParser, args: Namespace) -> None:
    if args.frames is not None and args.frames < 1:
        parser.error('--frames: give at least 1.')


def main(args: Namespace) -> None:
    from mmengine.device import get_device

    from mmseg_pointrend.engine.config import load_config
    from mmseg_pointrend.engine.prediction.run import predict_files

    complete = predict_files(
        load_config(args.config, args.cfg_options),
        args.checkpoint,
        args.inputs,
        args.out,
        device=args.device or get_device(),
        overwrite=args.overwrite,
        probabilities=args.probabilities,
        points=args.points,
        frames=args.frames,
    )
    if not complete:
        raise SystemExit(1)


if __name__ == '__main__':
    run(main, parse(__doc__, add_arguments, check))
