"""Train the plain model, continue it as each contender, and score all of them.

tools/compare.py --data-root data/camvid/ --work-dir work_dirs/compare --seeds 0 1

In the continuations BatchNorm keeps its statistics, and a head that the plain model
lacks learns at the full rate.

What is done is not done again and what was stopped continues, so a second call goes on.
"""

from __future__ import annotations

import json
from argparse import ArgumentParser, Namespace
from pathlib import Path

from arguments import add_cfg_options, parse, run

CONFIGS = Path(__file__).parents[1] / 'configs'
NAME = '{}_efficientnet-lite0-{}_1xb4-2k_camvid-360x480.py'
CONTENDERS = {
    'plain': NAME.format('deeplabv3plus', 'd16'),
    'pointhead': NAME.format('pointhead_deeplabv3plus', 'd16'),
    'pointrend': NAME.format('pointrend_deeplabv3plus', 'd16'),
    'plain-d8': NAME.format('deeplabv3plus', 'd8'),
}
BASE = 'base'


def add_arguments(parser: ArgumentParser) -> None:
    add = parser.add_argument
    add('--data-root', required=True, help='folder that prepare_camvid.py made')
    add('--work-dir', type=Path, required=True, help='outside of the repository')
    add('--seeds', type=int, nargs='+', default=[0], help='of the continuations')
    add('--base-seed', type=int, default=0, help='of the plain model they continue')
    add('--base-iterations', type=int, help="of that model; by default its config's")
    add('--iterations', type=int, default=1000, help='of each continuation')
    add('--lr-factor', type=float, default=0.2, help='their share of the learning rate')
    add('--contenders', nargs='+', choices=CONTENDERS, default=list(CONTENDERS))
    add('--name', help='of the run of a single contender with other --cfg-options')
    add_cfg_options(parser, 'model.point_head.detach=False')
    add('--workers', type=int, default=1, help='processes that load training images')


def check(parser: ArgumentParser, args: Namespace) -> None:
    if args.name and (len(args.contenders) != 1 or args.name in (BASE, *CONTENDERS)):
        parser.error('--name is for one of --contenders, and is a new name.')
    if args.cfg_options and not args.name:
        parser.error('--cfg-options make another contender: give it a --name.')


def main(args: Namespace) -> None:
    from mmengine import dump

    from mmseg_pointrend.engine.config import load_config
    from mmseg_pointrend.studies.accuracy.costs import measure_costs
    from mmseg_pointrend.studies.accuracy.report import print_costs, print_scores
    from mmseg_pointrend.studies.accuracy.score_checkpoint import (
        load_for_testing,
        score_checkpoint,
    )
    from mmseg_pointrend.studies.accuracy.training import recipe_of, train

    loaders = ['train_dataloader', 'val_dataloader', 'test_dataloader']
    data = {f'{one}.dataset.data_root': args.data_root for one in loaders}
    data['train_dataloader.num_workers'] = args.workers
    start = train(
        str(CONFIGS / CONTENDERS['plain']),
        args.work_dir / f'{BASE}_seed{args.base_seed}',
        {**data, 'randomness.seed': args.base_seed},
        iterations=args.base_iterations,
    )
    rows, runners = {}, {}
    for seed in args.seeds:
        for key in args.contenders:
            name = f'{args.name or key}_seed{seed}'
            folder = args.work_dir / name
            checkpoint = train(
                str(CONFIGS / CONTENDERS[key]),
                folder,
                {**data, 'randomness.seed': seed, **args.cfg_options},
                iterations=args.iterations,
                start=start,
                lr_factor=args.lr_factor,
            )
            cfg = load_config(str(recipe_of(folder)), work_dir=str(folder / 'score'))
            if seed == args.seeds[0]:
                runners[args.name or key] = load_for_testing(cfg, str(checkpoint))
            scores = folder / 'scores.json'
            if not scores.is_file():
                dump(score_checkpoint(cfg, str(checkpoint), {}), scores, indent=2)
            for way, figures in json.loads(scores.read_text()).items():
                rows[f'{name} {way}'] = figures
    costs = measure_costs(runners)
    dump(costs, args.work_dir / f'costs_{"_".join(runners)}.json', indent=2)
    print_costs(costs)
    print_scores(rows, ['pole', 'sign', 'fence', 'pedestrian', 'bicyclist'])


if __name__ == '__main__':
    run(main, parse(__doc__, add_arguments, check))
