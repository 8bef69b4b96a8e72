"""Train a segmentor.

tools/train.py configs/pointrend_deeplabv3plus_cityscapes.py --work-dir work_dirs/run
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from arguments import add_run_arguments, add_verbose, parse, run


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument('config', help='config file')
    parser.add_argument(
        '--resume',
        action='store_true',
        help='continue from the latest checkpoint in the work dir, if there is one',
    )
    parser.add_argument(
        '--amp', action='store_true', help='train with automatic mixed precision'
    )
    add_run_arguments(parser)
    add_verbose(parser)


def main(args: Namespace) -> None:
    from mmseg_pointrend.engine.config import (
        guard_training,
        load_config,
        resume_latest,
        use_amp,
    )
    from mmseg_pointrend.engine.hooks import OutputNamesHook
    from mmseg_pointrend.engine.runner import build_runner, leave_processes

    cfg = load_config(
        args.config,
        args.cfg_options,
        work_dir=args.work_dir,
        launcher=args.launcher,
        local_rank=args.local_rank,
    )
    guard_training(cfg)
    if args.amp:
        use_amp(cfg)
    if args.resume:
        resume_latest(cfg)
    runner = build_runner(cfg, verbose=args.verbose)
    runner.register_hook(OutputNamesHook())
    runner.train()
    leave_processes(runner)


if __name__ == '__main__':
    run(main, parse(__doc__, add_arguments))
