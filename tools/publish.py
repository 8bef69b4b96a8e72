"""Make a checkpoint a file to give away: weights, classes, config; a model card beside.

tools/publish.py CONFIG CHECKPOINT --out published --metrics figures.json
tools/publish.py CONFIG CHECKPOINT --out small --dtype float16 --format safetensors

DIR gets NAME-HASH.pth, named after its weights, NAME.py and MODEL.md; docs/publish.md.
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path

from arguments import add_cfg_options, parse, run


def add_arguments(parser: ArgumentParser) -> None:
    add = parser.add_argument
    add('config', help='config file')
    add('checkpoint', help='checkpoint file')
    add('--out', type=Path, required=True, metavar='DIR', help='folder for the files')
    add('--name', help="of the model (default: the config file's)")
    add('--dtype', choices=['float32', 'float16'], default='float32', help='of weights')
    add('--format', choices=['pth', 'safetensors'], default='pth', help='of the file')
    add(
        '--metrics',
        type=Path,
        metavar='FILE.json',
        help='figures by name, as test.py writes them, or figures.json of retrofit.py '
        '(default: those in a checkpoint that was the best)',
    )
    add('--overwrite', action='store_true', help='replace files that exist')
    add_cfg_options(parser, "model.test_cfg.mode='whole'")


def main(args: Namespace) -> None:
    from mmseg_pointrend.engine.config import load_config
    from mmseg_pointrend.engine.publishing import publish

    lines = publish(
        load_config(args.config, args.cfg_options),
        args.checkpoint,
        args.out,
        name=args.name or Path(args.config.rpartition('::')[2]).stem,
        dtype=args.dtype,
        suffix=args.format,
        metrics=args.metrics,
        overwrite=args.overwrite,
    )
    print(*lines, sep='\n')


if __name__ == '__main__':
    run(main, parse(__doc__, add_arguments))
