"""Time and score exported files beside the model they were made of.

tools/benchmark_files.py CONFIG CHECKPOINT model.onnx small.onnx model.xml --threads 1

All run in turn in one process, on the test set of the config, which needs labels.
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path

from arguments import add_cfg_options, parse, run


def add_arguments(parser: ArgumentParser) -> None:
    add = parser.add_argument
    add('config', help='config file')
    add('checkpoint', help='checkpoint file')
    add('files', nargs='*', type=Path, metavar='FILE', help='.onnx, .xml or .pt2')
    add('--compiled', action='store_true', help='also the model after torch.compile')
    add('--threads', type=int, default=1, help='of the CPU')
    add('--repeat', type=int, default=15, help='timed calls of each')
    add('--limit', type=int, metavar='N', help='score the first N images alone')
    add_cfg_options(parser, 'test_dataloader.dataset.data_root=data/camvid/')


def main(args: Namespace) -> None:
    import torch

    from mmseg_pointrend.engine.config import load_config
    from mmseg_pointrend.studies.accuracy.report import print_table
    from mmseg_pointrend.studies.speed.exported import measure_files, table_of

    torch.set_num_threads(args.threads)
    rows = measure_files(
        load_config(args.config, args.cfg_options),
        args.checkpoint,
        args.files,
        compiled=args.compiled,
        repeat=args.repeat,
        limit=args.limit,
    )
    columns = ['', 'seconds', 'of the model', '% equal', 'mIoU', 'MB']
    print_table(columns, table_of(rows))


if __name__ == '__main__':
    run(main, parse(__doc__, add_arguments))
