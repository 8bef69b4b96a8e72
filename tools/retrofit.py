"""Sharpen a trained model: give it a point head, which learns alone, and score both.

tools/retrofit.py PLAIN_CONFIG PLAIN_CHECKPOINT --work-dir work_dirs/sharp

The network stays as it is, bit for bit. The work dir gets pointrend.py, the config, and
checkpoints of the whole model.
"""

from __future__ import annotations

import shlex
from argparse import ArgumentParser, Namespace
from pathlib import Path

from arguments import add_cfg_options, add_verbose, parse, run

TUNED = Path(__file__).parents[1] / 'configs/_base_/point_heads/tuned.py'


def add_arguments(parser: ArgumentParser) -> None:
    add = parser.add_argument
    add('config', help='config file of the plain model')
    add('checkpoint', help='its checkpoint')
    add('--work-dir', type=Path, required=True, help='a new or empty folder')
    add('--iterations', type=int, default=1000, help='at most; default: 1000')
    add(
        '--budget-minutes', type=float, help='of training: fewer iterations fit into it'
    )
    add('--data-root', help="in place of the config's")
    add('--amp', action='store_true', help='train with automatic mixed precision')
    add('--resume', action='store_true', help='go on with what was stopped')
    add(
        '--config-only',
        action='store_true',
        help='write the config and stop, to train it on several GPUs',
    )
    add_cfg_options(parser, 'train_dataloader.num_workers=4 randomness.seed=1')
    add_verbose(parser)


def check(parser: ArgumentParser, args: Namespace) -> None:
    if args.iterations < 1:
        parser.error('--iterations: give at least 1.')
    if args.budget_minutes is not None and args.budget_minutes <= 0:
        parser.error('--budget-minutes: give a number above 0.')
    if args.config_only and (args.budget_minutes is not None or args.resume):
        parser.error('--config-only: leave out --budget-minutes and --resume.')


def main(args: Namespace) -> None:
    from mmseg_pointrend.engine.commands import short, start
    from mmseg_pointrend.engine.config import load_config
    from mmseg_pointrend.engine.retrofit import retrofit
    from mmseg_pointrend.studies.accuracy.report import print_gain

    figures = retrofit(
        load_config(args.config),
        args.checkpoint,
        load_config(str(TUNED)).point_head,
        args.work_dir,
        iterations=args.iterations,
        budget_minutes=args.budget_minutes,
        data_root=args.data_root,
        options=args.cfg_options,
        amp=args.amp,
        resume=args.resume,
        config_only=args.config_only,
        verbose=args.verbose,
    )
    config = args.work_dir / 'pointrend.py'
    if args.config_only:
        print(shlex.join([*start('train', config, 'GPUS'), '--work-dir', 'DIR']))
        return
    print_gain(figures)
    checkpoint = short((args.work_dir / 'last_checkpoint').read_text().strip())
    rest = checkpoint, 'IMAGES', '--out', 'predictions'
    print('Next:', shlex.join([*start('predict', config), *rest]))


if __name__ == '__main__':
    run(main, parse(__doc__, add_arguments, check))
