"""Street scenes, training, evaluation and a picture, in a few minutes on a CPU."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from arguments import run

CONFIGS = Path(__file__).parents[1] / 'configs'


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--work-dir', type=Path, default=Path('work_dirs/demo'))
    parser.add_argument('--workers', type=int, default=os.cpu_count() or 1)
    return parser.parse_args()


def main(args: argparse.Namespace) -> None:
    from mmseg_pointrend.studies.demo.run import run_demo

    run_demo(
        str(CONFIGS / 'pointrend_deeplabv3plus_r18-d16_demo-256x512.py'),
        str(CONFIGS / 'deeplabv3plus_r18-d16_demo-256x512.py'),
        args.work_dir,
        args.workers,
    )


if __name__ == '__main__':
    run(main, parse_args())
