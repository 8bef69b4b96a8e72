"""Train a plain model, continue it as each contender, and score all of them.

tools/compare.py CONFIG --work-dir work_dirs/compare --seeds 0 1 2

The network and its points learn with the same --losses. Continued are: plain, the model
as it is; pointrend, with our tuned point head; pointhead, with MMSegmentation's; and
retrofit, the continued plain one as it is, whose point head alone learns for as many
iterations again, as tools/retrofit.py does it. Continued networks keep BatchNorm's
statistics, and their new heads learn at the full rate.

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

TUNED = Path(__file__).parents[1] / 'configs/_base_/point_heads/tuned.py'
CONTENDERS = 'plain', 'retrofit', 'pointrend', 'pointhead'
LOSSES = 'cross-entropy', 'lovasz'
BASE = 'base'


def add_arguments(parser: ArgumentParser) -> None:
    add = parser.add_argument
    add('config', help='config file of the plain model')
    add('--work-dir', type=Path, required=True, help='outside of the repository')
    add('--data-root', help="in place of the config's")
    add('--checkpoint', type=Path, help='of the plain model, which is trained without')
    add('--base-seed', type=int, default=0, help='of its training')
    add('--base-iterations', type=int, help="of it; by default the config's")
    add('--seeds', type=int, nargs='+', default=[0], help='of the continuations')
    add('--iterations', type=int, default=1000, help='of each continuation')
    add('--lr-factor', type=float, default=0.2, help='their share of the learning rate')
    add('--losses', nargs='+', choices=LOSSES, default=['lovasz'], help='lovasz and CE')
    add('--contenders', nargs='+', choices=CONTENDERS, default=list(CONTENDERS))
    add('--name', help='of the run of a single contender with other --cfg-options')
    add_cfg_options(parser, 'model.point_head.detach=False')
    add('--workers', type=int, help='processes that load training images')
    add('--classes', action='store_true', help='show the IoU of every class')


def check(parser: ArgumentParser, args: Namespace) -> None:
    if args.name and (len(args.contenders) != 1 or args.name in (BASE, *CONTENDERS)):
        parser.error('--name is for one of --contenders, and is a new name.')
    if args.cfg_options and not args.name:
        parser.error('--cfg-options make another contender: give it a --name.')


def main(args: Namespace) -> None:
    from mmengine import dump

    from mmseg_pointrend.engine.config import load_config
    from mmseg_pointrend.errors import InputError
    from mmseg_pointrend.studies.accuracy.costs import measure_costs
    from mmseg_pointrend.studies.accuracy.report import print_costs, print_scores
    from mmseg_pointrend.studies.accuracy.score_checkpoint import (
        load_for_testing,
        score_checkpoint,
    )
    from mmseg_pointrend.studies.accuracy.training import recipe_of, train

    start = args.checkpoint or Path()
    if args.checkpoint and not start.is_file():
        raise InputError(f'--checkpoint {start} does not exist: check the path.')
    for losses, key in product(args.losses, args.contenders):  # refused at once
        contender_config(args, start, key, losses, args.seeds[0], args.work_dir)
    if not args.checkpoint:
        start = train_base(args)
    rows, runners = {}, {}
    for losses, seed, key in product(args.losses, args.seeds, args.contenders):
        name = args.name or key
        run = f'{losses}_seed{seed}'
        folder, plain = (args.work_dir / f'{one}_{run}' for one in (name, 'plain'))
        begin = start
        if key == 'retrofit':
            whole = contender_config(args, start, 'plain', losses, seed, plain)
            begin = train(whole, plain)
        cfg = contender_config(args, begin, key, losses, seed, folder)
        cfg.merge_from_dict(args.cfg_options)
        checkpoint = train(cfg, folder)
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
    print_scores(rows, [*next(iter(rows.values()))['IoU']] if args.classes else [])


def train_base(args: Namespace) -> Path:
    from mmseg_pointrend.studies.accuracy.training import shortened, train

    cfg = plain_config(args, args.base_seed)
    if args.base_iterations is not None:
        shortened(cfg, args.base_iterations)
    return train(cfg, args.work_dir / f'{BASE}_seed{args.base_seed}')


def contender_config(
    args: Namespace, start: Path, key: str, losses: str, seed: int, folder: Path
) -> Config:
    from mmseg_pointrend.engine.config import load_config
    from mmseg_pointrend.engine.retrofit_config import retrofit_config
    from mmseg_pointrend.studies.accuracy import contenders
    from mmseg_pointrend.studies.accuracy.training import continue_from, shortened

    head = load_config(str(TUNED)).point_head
    head.loss_decode = contenders.LOSSES[losses]
    cfg = plain_config(args, seed)
    if key == 'retrofit':
        contenders.plain(cfg, head, contenders.LOSSES[losses])
        return retrofit_config(cfg, str(start), head, args.iterations)
    contenders.TOGETHER[key](cfg, head, contenders.LOSSES[losses])
    shortened(cfg, args.iterations)
    continue_from(start, cfg, folder, args.lr_factor)
    return cfg


def plain_config(args: Namespace, seed: int) -> Config:
    from mmseg_pointrend.engine.config import load_config
    from mmseg_pointrend.engine.retrofit_config import set_data_root
    from mmseg_pointrend.errors import InputError

    options = {'randomness.seed': seed}
    if args.workers is not None:
        options['train_dataloader.num_workers'] = args.workers
        options['train_dataloader.persistent_workers'] = args.workers > 0
    cfg = load_config(args.config, options)
    if 'max_iters' not in cfg.get('train_cfg', {}):
        raise InputError(
            f'{args.config} has no train_cfg.max_iters: give one that has.'
        )
    if args.data_root is not None:
        set_data_root(cfg, args.data_root)
    return cfg


if __name__ == '__main__':
    run(main, parse(__doc__, add_arguments, check))
