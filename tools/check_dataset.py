"""Check what a config reads and whether it agrees, before a training meets it.

tools/check_dataset.py configs/pointrend_deeplabv3plus_cityscapes.py --workers 8
"""

from __future__ import annotations

import json
import os
from argparse import ArgumentParser, Namespace
from pathlib import Path

from arguments import add_cfg_options, parse, run


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument('config', help='config file')
    parser.add_argument(
        '--split',
        nargs='+',
        choices=('train', 'val', 'test'),
        default=(),
        help='data loaders to check (default: all that the config has)',
    )
    parser.add_argument(
        '--workers',
        type=int,
        default=os.cpu_count() or 1,
        help='number of processes (default: one for each core)',
    )
    add_cfg_options(parser, 'train_dataloader.dataset.data_root=PATH')
    parser.add_argument('--json', type=Path, help='write all findings to this file')


def main(args: Namespace) -> None:
    from mmseg_pointrend.datasets.reports import as_json, has_errors, summary
    from mmseg_pointrend.engine.agreement import check_data_and_model
    from mmseg_pointrend.engine.config import load_config
    from mmseg_pointrend.files import atomic_write

    cfg = load_config(args.config, args.cfg_options)
    found = check_data_and_model(cfg, args.split, workers=args.workers)
    print(*summary(found), sep='\n')
    if args.json:
        with atomic_write(args.json) as temporary:
            temporary.write_text(json.dumps(as_json(found), indent=2))
    if has_errors(found):
        raise SystemExit(1)


if __name__ == '__main__':
    run(main, parse(__doc__, add_arguments))
