"""Times MMSegmentation's models and ours in turn, in one process.

tools/benchmark.py --json work_dirs/benchmark.json --plot work_dirs/benchmark.png
tools/benchmark.py --device cuda --autocast bf16 --measure tail --classes 150
"""

from __future__ import annotations

import argparse
from pathlib import Path

try:
    from mmseg_pointrend.errors import exit_with_sentence
    from mmseg_pointrend.studies.speed import (
        AUTOCAST,
        CONTENDERS,
        LOGITS,
        MEASURES,
        Settings,
        run_benchmark,
    )
except ImportError as error:
    raise SystemExit(f'error: {error}') from None

CONFIGS = Path(__file__).parents[1] / 'configs'


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    size = dict(type=int, nargs=2, metavar=('HEIGHT', 'WIDTH'))
    add(
        '--config',
        default=str(CONFIGS / 'pointrend_deeplabv3plus_cityscapes.py'),
        help='config file with a point head; the other models are made from it',
    )
    add(
        '--measure',
        nargs='*',
        choices=MEASURES,
        default=MEASURES,
        help='train, predict and tail are timed, memory adds the peak memory of each '
        'of them (alone: of the tail), flops counts the arithmetic; default: all',
    )
    add('--contenders', nargs='+', choices=CONTENDERS, default=CONTENDERS)
    add('--size', default=(1024, 2048), help='of predict() and the tail', **size)
    add('--batch', type=int, default=1, help='images of predict() and the tail')
    add('--train-size', default=(256, 512), help='of a training image', **size)
    add('--train-batch', type=int, default=2, help='images of a training step')
    add('--classes', type=int, help="by default the config's")
    add('--points', type=int, help="of a subdivision step; by default the config's")
    add('--fine-channels', type=int, help="of the tail; by default the config's")
    add('--device', choices=('cpu', 'cuda'), default='cpu')
    add('--autocast', choices=AUTOCAST, default='none')
    add(
        '--logits',
        nargs='+',
        choices=LOGITS,
        default=LOGITS,
        help='where the tail starts: random ones are the worst case, trained ones are '
        'smooth; default: both',
    )
    add(
        '--checkpoint',
        default='work_dirs/demo/train/iter_1400.pth',
        help='weights that make the trained logits; by default those of make demo',
    )
    add(
        '--checkpoint-config',
        default=str(CONFIGS / 'pointrend_deeplabv3plus_r18-d16_demo-256x512.py'),
        help='config file of these weights',
    )
    add('--repeat', type=int, default=10, help='timed calls of each model')
    add('--warmup', type=int, default=3, help='calls before them')
    add('--threads', type=int, help='of torch on the CPU')
    add('--seed', type=int, default=0)
    add('--json', type=Path, help='file for the figures')
    add(
        '--plot',
        type=Path,
        help="PNG file: how the tail's time grows with pixels, classes and points",
    )
    run_benchmark(Settings(**vars(parser.parse_args())))


if __name__ == '__main__':
    with exit_with_sentence():
        main()
