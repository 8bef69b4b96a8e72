"""Write a config for folders of images and labels, and say what to run next.

tools/new_config.py --images photos --labels masks --classes background cat

Pairs have one name, up to an ending. Labels hold one value a pixel; 255 is ignored,
and so is what --classes calls void. Nothing is guessed that the labels do not tell.
"""

from __future__ import annotations

import warnings
from argparse import ArgumentParser, Namespace
from pathlib import Path

from arguments import parse, run


def add_arguments(parser: ArgumentParser) -> None:
    add = parser.add_argument
    add('--images', type=Path, required=True, help='folder of the images')
    add('--labels', type=Path, required=True, help='folder of the labels')
    add(
        '--classes',
        nargs='+',
        metavar='NAME',
        help='names of the ids from 0 on, or of the values that occur (default: named '
        'after their ids); one name is that of the foreground',
    )
    add(
        '--val-images',
        type=Path,
        help='to validate (default: a folder val beside or below one called train, or '
        'every fifth image)',
    )
    add('--val-labels', type=Path)
    add('--label-suffix', help='how labels end, where an image has several')
    add('--out', type=Path, default=Path('my_config.py'), help='default: my_config.py')
    add('--plain', action='store_true', help='a model without point head, to retrofit')
    add('--overwrite', action='store_true', help='replace a config that exists')


def check(parser: ArgumentParser, args: Namespace) -> None:
    if (args.val_images is None) != (args.val_labels is None):
        parser.error('--val-images and --val-labels: give both or none.')


def main(args: Namespace) -> None:
    warnings.filterwarnings('ignore', module='mmseg')  # of itself
    from mmseg_pointrend.datasets.reports import findings_of, has_errors
    from mmseg_pointrend.engine.agreement import check_data_and_model
    from mmseg_pointrend.engine.config import load_config
    from mmseg_pointrend.engine.new_config import cores, new_config, next_commands

    lines = new_config(
        (args.images, args.labels),
        (args.val_images, args.val_labels) if args.val_images else None,
        args.out,
        names=args.classes,
        label_suffix=args.label_suffix,
        plain=args.plain,
        overwrite=args.overwrite,
    )
    for line in lines:
        print(line)
    print(f'Wrote {args.out}; checking every image and label')
    cfg = load_config(str(args.out))
    found = check_data_and_model(cfg, ('train', 'val'), workers=cores())
    print(*findings_of(found), sep='\n')
    if has_errors(found):
        raise SystemExit(1)
    print('Next:')
    for command in next_commands(cfg, plain=args.plain):
        print(f'  {command}')


if __name__ == '__main__':
    run(main, parse(__doc__, add_arguments, check))
