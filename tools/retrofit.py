"""Sharpen a trained model: give it a point head, which learns alone, and score both.

tools/retrofit.py PLAIN_CONFIG PLAIN_CHECKPOINT --work-dir work_dirs/sharp

The network stays as it is, bit for bit. The work dir gets pointrend.py, the config, and
checkpoints of the whole model.
"""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path

from arguments import add_cfg_options, add_verbose, run

TUNED = Path(__file__).parents[1] / 'configs/_base_/point_heads/tuned.py'


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
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
        help='write the config and stop, to train it by dist_train.sh',
    )
    add_cfg_options(parser, 'train_dataloader.num_workers=4 randomness.seed=1')
    add_verbose(parser)
    args = parser.parse_args()
    if args.iterations < 1:
        parser.error('--iterations: give at least 1.')
    if args.budget_minutes is not None and args.budget_minutes <= 0:
        parser.error('--budget-minutes: give a number above 0.')
    if args.config_only and (args.budget_minutes is not None or args.resume):
        parser.error('--config-only: leave out --budget-minutes and --resume.')
    return args


def main(args: argparse.Namespace) -> None:
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
    config = shlex.quote(str(args.work_dir / 'pointrend.py'))
    if args.config_only:
        print(f'tools/dist_train.sh {config} GPUS --work-dir DIR')
        return
    print_gain(figures)
    checkpoint = Path((args.work_dir / 'last_checkpoint').read_text().strip())
    file = shlex.quote(str(checkpoint))
    print(f'python tools/predict.py {config} {file} IMAGES --out predictions')


if __name__ == '__main__':
    run(main, parse_args())
