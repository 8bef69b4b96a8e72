"""Train a segmentor.

tools/train.py configs/pointrend_deeplabv3plus_cityscapes.py --work-dir work_dirs/run
"""

from __future__ import annotations

import argparse
import os

from mmengine.config import DictAction

try:
    from mmseg_pointrend.errors import exit_with_sentence
    from mmseg_pointrend.launch import build_runner, load_config, use_amp
except ImportError as error:
    raise SystemExit(f'error: {error}') from None


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Train a segmentor')
    parser.add_argument('config', help='config file')
    parser.add_argument('--work-dir', help='where logs and checkpoints go')
    parser.add_argument(
        '--resume',
        action='store_true',
        help='continue from the latest checkpoint in the work dir',
    )
    parser.add_argument(
        '--amp', action='store_true', help='train with automatic mixed precision'
    )
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        help='override config keys: key=value, model.pretrained=None',
    )
    parser.add_argument(
        '--launcher', choices=['none', 'pytorch', 'slurm', 'mpi'], default='none'
    )
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0)
    args = parser.parse_args()
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    return args


def main() -> None:
    args = parse_args()
    cfg = load_config(
        args.config, args.cfg_options, work_dir=args.work_dir, launcher=args.launcher
    )
    if args.amp:
        use_amp(cfg)
    if args.resume:
        cfg.resume = True
    build_runner(cfg).train()


if __name__ == '__main__':
    with exit_with_sentence():
        main()
