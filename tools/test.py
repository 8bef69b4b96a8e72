"""Evaluate a checkpoint: per-class IoU and mIoU, or whatever the config's metric says.

tools/test.py configs/pointrend_deeplabv3plus_cityscapes.py CHECKPOINT
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from arguments import add_run_arguments, add_verbose, parse, run


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument('config', help='config file')
    parser.add_argument('checkpoint', help='checkpoint file')
    parser.add_argument('--out', help='folder for predicted label maps (PNG)')
    parser.add_argument('--show', action='store_true', help='show predictions')
    parser.add_argument('--show-dir', help='folder for painted predictions')
    parser.add_argument(
        '--wait-time', type=float, default=2, help='seconds between shown images'
    )
    parser.add_argument('--tta', action='store_true', help='test-time augmentation')
    parser.add_argument(
        '--fuse-conv-bn',
        action='store_true',
        help='merge BatchNorm into convolutions: faster, equal up to rounding',
    )
    parser.add_argument(
        '--compile',
        action='store_true',
        help='torch.compile: minutes for the first image of each size, then faster',
    )
    add_run_arguments(parser)
    add_verbose(parser)


def main(args: Namespace) -> None:
    from mmseg_pointrend.engine.config import (
        draw_predictions,
        keep_testing_only,
        load_config,
        save_predictions,
        use_tta,
    )
    from mmseg_pointrend.engine.hooks import OutputNamesHook
    from mmseg_pointrend.engine.hooks.acceleration_hook import AccelerationHook
    from mmseg_pointrend.engine.hooks.unlabelled_hook import UnlabelledHook
    from mmseg_pointrend.engine.runner import build_runner, leave_processes

    cfg = load_config(
        args.config,
        args.cfg_options,
        work_dir=args.work_dir,
        launcher=args.launcher,
        local_rank=args.local_rank,
    )
    cfg.load_from = args.checkpoint
    keep_testing_only(cfg)
    if args.show or args.show_dir:
        draw_predictions(cfg, args.show_dir, show=args.show, wait_time=args.wait_time)
    if args.tta:
        use_tta(cfg)
    if args.out:
        save_predictions(cfg, args.out)
    runner = build_runner(cfg, verbose=args.verbose)
    runner.register_hook(OutputNamesHook())
    hook = AccelerationHook(fuse=args.fuse_conv_bn, compile=args.compile)
    runner.register_hook(hook)
    if args.out or args.show or args.show_dir:
        runner.register_hook(UnlabelledHook())
    runner.test()
    leave_processes(runner)


if __name__ == '__main__':
    run(main, parse(__doc__, add_arguments))
