"""Train the plain model, continue it as each contender, and score all of them.

tools/compare.py --data-root data/camvid/ --work-dir work_dirs/compare --seeds 0 1 2

The network and its points learn with the same --losses. In the continuations BatchNorm
keeps its statistics, and a head that the plain model lacks learns at the full rate.
The contender retrofit is the continued plain model as it is, whose point head alone
learns, for as many iterations again.

What is done is not done again and what was stopped continues, so a second call goes on.
"""

from __future__ import annotations

import json
from argparse import ArgumentParser, Namespace
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

from arguments import add_cfg_options, parse, run

if TYPE_CHECKING:
    from mmengine.config import Config

CONFIGS = Path(__file__).parents[1] / 'configs'
NAME = '{}_efficientnet-lite0-{}_1xb4-2k_camvid-360x480.py'
CONTENDERS = {
    'plain': NAME.format('deeplabv3plus', 'd16'),
    'pointhead': NAME.format('pointhead_deeplabv3plus', 'd16'),
    'pointrend': NAME.format('pointrend_deeplabv3plus', 'd16'),
    'retrofit': NAME.format('deeplabv3plus', 'd16'),
    'plain-d8': NAME.format('deeplabv3plus', 'd8'),
}
CROSS_ENTROPY = dict(type='CrossEntropyLoss', avg_non_ignore=True)
LOVASZ = dict(type='LovaszLoss', reduction='none', loss_name='loss_lovasz')
LOSSES = {'cross-entropy': [CROSS_ENTROPY], 'lovasz': [CROSS_ENTROPY, LOVASZ]}
BASE = 'base'
TUNED = str(CONFIGS / '_base_/point_heads/tuned.py')


def add_arguments(parser: ArgumentParser) -> None:
    add = parser.add_argument
    add('--data-root', required=True, help='folder that prepare_camvid.py made')
    add('--work-dir', type=Path, required=True, help='outside of the repository')
    add('--seeds', type=int, nargs='+', default=[0], help='of the continuations')
    add('--base-seed', type=int, default=0, help='of the plain model they continue')
    add('--base-iterations', type=int, help="of that model; by default its config's")
    add('--iterations', type=int, default=1000, help='of each continuation')
    add(
        '--losses',
        nargs='+',
        choices=LOSSES,
        default=['lovasz'],
        help='default: lovasz, beside cross-entropy',
    )
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
    from mmseg_pointrend.studies.accuracy.training import recipe_of

    start = train_base(args)
    rows, runners = {}, {}
    for losses, seed, key in product(args.losses, args.seeds, args.contenders):
        name = args.name or key
        folder = args.work_dir / f'{name}_{losses}_seed{seed}'
        checkpoint = train_contender(args, start, key, losses, seed, folder)
        cfg = load_config(str(recipe_of(folder)), work_dir=str(folder / 'score'))
        if name not in runners:
            runners[name] = load_for_testing(cfg, str(checkpoint))
        scores = folder / 'scores.json'
        if not scores.is_file():
            dump(score_checkpoint(cfg, str(checkpoint), {}), scores, indent=2)
        for way, figures in json.loads(scores.read_text()).items():
            rows[f'{folder.name} {way}'] = figures
    costs = measure_costs(runners)
    dump(costs, args.work_dir / f'costs_{"_".join(runners)}.json', indent=2)
    print_costs(costs)
    print_scores(rows, ['pole', 'sign', 'fence', 'pedestrian', 'bicyclist'])


def train_base(args: Namespace) -> Path:
    from mmseg_pointrend.studies.accuracy.training import shortened, train

    cfg = config_of('plain', args, args.base_seed)
    if args.base_iterations is not None:
        shortened(cfg, args.base_iterations)
    return train(cfg, args.work_dir / f'{BASE}_seed{args.base_seed}')


def train_contender(
    args: Namespace, start: Path, key: str, losses: str, seed: int, folder: Path
) -> Path:
    from mmseg_pointrend.engine.config import load_config
    from mmseg_pointrend.engine.retrofit_config import retrofit_config
    from mmseg_pointrend.studies.accuracy.training import (
        continue_from,
        learn_with,
        recipe_of,
        shortened,
        train,
    )

    if key == 'retrofit':
        plain = args.work_dir / f'plain_{losses}_seed{seed}'
        end = train_contender(args, start, 'plain', losses, seed, plain)
        head = dict(load_config(str(TUNED)).point_head, loss_decode=LOSSES[losses])
        cfg = load_config(str(recipe_of(plain)))
        cfg = retrofit_config(cfg, str(end), head, args.iterations)
    else:
        cfg = config_of(key, args, seed)
        learn_with(LOSSES[losses], cfg.model)
        shortened(cfg, args.iterations)
        continue_from(start, cfg, folder, args.lr_factor)
    if folder.name.startswith(f'{args.name}_'):
        cfg.merge_from_dict(args.cfg_options)
    return train(cfg, folder)


def config_of(key: str, args: Namespace, seed: int) -> Config:
    from mmseg_pointrend.engine.config import load_config

    loaders = ['train_dataloader', 'val_dataloader', 'test_dataloader']
    options = {f'{one}.dataset.data_root': args.data_root for one in loaders}
    options['train_dataloader.num_workers'] = args.workers
    return load_config(
        str(CONFIGS / CONTENDERS[key]), {**options, 'randomness.seed': seed}
    )


if __name__ == '__main__':
    run(main, parse(__doc__, add_arguments, check))
