"""Street scenes, training, evaluation and a picture, in a few minutes on a CPU."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from mmseg_pointrend.errors import exit_with_sentence
from mmseg_pointrend.studies.demo.run import run_demo

CONFIGS = Path(__file__).parents[1] / 'configs'


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--work-dir', type=Path, default=Path('work_dirs/demo'))
    parser.add_argument('--workers', type=int, default=os.cpu_count() or 1)
    args = parser.parse_args()
    run_demo(
        str(CONFIGS / 'pointrend_deeplabv3plus_r18-d16_demo-256x512.py'),
        str(CONFIGS / 'deeplabv3plus_r18-d16_demo-256x512.py'),
        args.work_dir,
        args.workers,
    )


if __name__ == '__main__':
    with exit_with_sentence():
        main()
