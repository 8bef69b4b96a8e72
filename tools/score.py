"""Score a checkpoint at boundaries, for several budgets of points in one run.

tools/score.py CONFIG CHECKPOINT --points 0 256 1024 4096 --plot curve.png
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path

from arguments import add_cfg_options, parse, run


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument('config', help='config file')
    parser.add_argument('checkpoint', help='checkpoint file')
    parser.add_argument(
        '--points',
        type=int,
        nargs='+',
        default=[],
        help='budgets of a subdivision step, beside the one of the config',
    )
    parser.add_argument(
        '--coarse-from',
        nargs='+',
        choices=['current', 'initial'],
        help="what the MLP sees; by default the config's",
    )
    parser.add_argument(
        '--ceilings',
        type=int,
        nargs='+',
        default=[],
        metavar='N',
        help='what the truth at the N hardest pixels would bring',
    )
    parser.add_argument(
        '--classes', action='store_true', help='also print the IoU of each class'
    )
    parser.add_argument('--json', type=Path, help='file for all figures')
    parser.add_argument('--plot', type=Path, help='PNG of accuracy against points')
    parser.add_argument('--work-dir', help='where logs go')
    add_cfg_options(parser, 'test_evaluator.1.dilation=3')


def check(parser: ArgumentParser, args: Namespace) -> None:
    if args.plot and not args.points:
        parser.error('--plot draws accuracy against points: give --points, too.')
    if min([*args.points, *args.ceilings], default=0) < 0:
        parser.error('--points, --ceilings: give at least 0.')


def main(args: Namespace) -> None:
    from mmengine import dump

    from mmseg_pointrend.engine.config import load_config
    from mmseg_pointrend.studies.accuracy.report import plot_budgets, print_scores
    from mmseg_pointrend.studies.accuracy.score_checkpoint import score_checkpoint

    cfg = load_config(args.config, args.cfg_options, work_dir=args.work_dir)
    points = {
        f'{count} points': dict(subdivision_num_points=count)
        for count in sorted(set(args.points))
    }
    settings = dict(points)
    for source in args.coarse_from or []:
        settings[f'coarse_from={source}'] = dict(coarse_from=source)
    scores = score_checkpoint(cfg, args.checkpoint, settings, args.ceilings)
    classes = next(iter(scores.values()))['IoU'] if args.classes else ()
    print_scores(scores, classes)
    if args.json:
        dump(scores, args.json, file_format='json', indent=2)
    if args.plot:
        budgets = {
            name: point['subdivision_num_points'] for name, point in points.items()
        }
        plot_budgets(args.plot, scores, budgets, f'{Path(args.config).stem}')


if __name__ == '__main__':
    run(main, parse(__doc__, add_arguments, check))
