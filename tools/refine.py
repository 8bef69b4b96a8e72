"""Refine a folder of label maps, of any model, with CascadePSP.

tools/refine.py LABELS IMAGES --checkpoint refiner.pth --out refined

LABELS holds PNGs whose pixels are the ids of classes, IMAGES the images of the same
names. Where a refined region leaves its pixels to no other, they keep their label.
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path

from arguments import add_cfg_options, parse, run

CONFIG = 'mmseg_pointrend::cascadepsp_r50_2xb6-45k_cityscapes-224x224.py'


def add_arguments(parser: ArgumentParser) -> None:
    add = parser.add_argument
    add('labels', type=Path, help='folder of label maps')
    add('images', type=Path, help='folder of their images')
    add('--checkpoint', required=True, help="the refiner's; the authors' are read, too")
    add('--config', default=CONFIG, help="the refiner's (default: %(default)s)")
    add('--out', type=Path, required=True, metavar='DIR', help='folder for the results')
    add('--overwrite', action='store_true', help='write into a folder that has files')
    add('--ignore', type=int, default=255, metavar='ID', help='no class (default: 255)')
    add('--num-classes', type=int, metavar='N', help='refuse labels from N on')
    add('--size', type=int, default=900, help='longest side that is refined at once')
    add('--no-enlarge', action='store_true', help='leave smaller regions as small')
    add('--global-only', action='store_true', help='without windows of that size: fast')
    add('--min-area', type=int, default=1024, help='pixels of the smallest region')
    add('--stuff', type=int, nargs='+', default=[], metavar='ID',
        help='classes that give way to others that are as sure')  # fmt: skip
    add('--device', help='cpu, cuda:0, ... (default: a GPU if there is one)')
    add_cfg_options(parser, "model.pool_scales='(1, 2, 3, 6)'")


def main(args: Namespace) -> None:
    from mmengine.device import get_device

    from mmseg_pointrend.engine.config import load_config
    from mmseg_pointrend.engine.refining import refine_files
    from mmseg_pointrend.models.mask_refinement import MaskRefinement

    changed = refine_files(
        load_config(args.config, args.cfg_options),
        args.checkpoint,
        args.labels,
        args.images,
        args.out,
        MaskRefinement(
            size=args.size,
            enlarge=not args.no_enlarge,
            local=not args.global_only,
            min_area=args.min_area,
            stuff=args.stuff,
        ),
        device=args.device or get_device(),
        ignore=args.ignore,
        num_classes=args.num_classes,
        overwrite=args.overwrite,
    )
    print(f'{changed} pixels have changed; written to {args.out}')


if __name__ == '__main__':
    run(main, parse(__doc__, add_arguments))
