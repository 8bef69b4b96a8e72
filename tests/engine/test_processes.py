"""Several processes and nodes: they start, and measure what one process does.

Real processes on CPUs that talk through gloo.
"""

from __future__ import annotations

import os
import re
import socket
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from mmengine.config import Config
from mmseg.registry import MODELS
from torch import nn

from mmseg_pointrend.engine.config import load_config, use_tta
from mmseg_pointrend.engine.runner import build_runner
from mmseg_pointrend.errors import InputError
from tests.helpers import ROOT, run_tool

METRICS = ('aAcc', 'mIoU', 'mAcc', 'mBIoU', 'trimap_mIoU_1px', 'trimap_mIoU_5px')


def figures(output):
    """The means, and the tables of the classes, as printed last."""
    means = [float(re.findall(rf'{name}: ([\d.]+)', output)[-1]) for name in METRICS]
    return means, [line for line in output.splitlines() if line.startswith('|')]


def free_port():
    with socket.socket() as listener:
        listener.bind(('127.0.0.1', 0))
        return str(listener.getsockname()[1])


@pytest.mark.slow
def test_several_processes_and_nodes_measure_what_one_does(
    trained, tiny_config, tmp_path
):
    """Five images: two and three processes get some of them twice."""
    options = [
        *('test_dataloader.dataset.data_prefix.img_path=leftImg8bit/train',),
        *('test_dataloader.dataset.data_prefix.seg_map_path=gtFine/train',),
        *('test_dataloader.dataset.indices=5',),
    ]
    checkpoint = trained / 'iter_4.pth'

    def test(command, *more, **env):
        work_dir = tmp_path / f'{len(env)}'
        arguments = ('--work-dir', work_dir, '--cfg-options', *options, *more)
        result = run_tool(*command, *arguments, **env)
        assert result.returncode == 0, result.stderr[-3000:]
        return result.stdout

    one = figures(test((sys.executable, 'tools/test.py', tiny_config, checkpoint)))
    assert one[0][0] > 0
    assert len(one[1]) == 2 * 20
    command = ('tools/dist_test.sh', tiny_config, checkpoint)
    assert figures(test((*command, 3))) == one

    nodes = {'NNODES': '2', 'MASTER_ADDR': '127.0.0.1', 'PORT': free_port()}
    no_shared_folder = [f'test_evaluator.{i}.collect_device=gpu' for i in range(2)]
    with ThreadPoolExecutor() as pool:
        first, second = pool.map(
            lambda rank: test(
                (*command, 1), *no_shared_folder, NODE_RANK=rank, **nodes
            ),
            '01',
        )
    assert figures(first) == one
    assert 'mIoU' not in second


# Runs a tool and prints the names of the threads that it leaves behind.
AT_THE_END = """
import atexit, glob, runpy, sys
def names():
    files = glob.glob('/proc/self/task/*/comm')
    return sorted(open(one).read().strip() for one in files)
atexit.register(lambda: print('at the end:', names()))
del sys.argv[0]
sys.path.insert(0, 'tools')
runpy.run_path(sys.argv[0], run_name='__main__')
"""


@pytest.mark.skipif(sys.platform != 'linux', reason='it reads /proc')
def test_no_thread_of_several_processes_meets_the_end_of_python(tiny_config, tmp_path):
    """C++ threads that do abort the process, once in a while."""
    result = run_tool(
        *(sys.executable, '-c', AT_THE_END, 'tools/train.py', tiny_config),
        *('--launcher', 'pytorch', '--work-dir', tmp_path),
        **dict(RANK='0', LOCAL_RANK='0', WORLD_SIZE='1', OMP_NUM_THREADS='1'),
        **dict(MASTER_ADDR='127.0.0.1', MASTER_PORT=free_port()),
    )
    assert result.returncode == 0, result.stderr[-3000:]
    [names] = re.findall(r'at the end: \[(.*)\]', result.stdout)
    assert 'gloo' not in names


# Starts what SLURM would start, on this machine.
SRUN = """#!/bin/sh
for argument; do
    case $argument in
        --ntasks=*) tasks=${argument#*=} ;;
        -*) ;;
        *) break ;;
    esac
    shift
done
export SLURM_NTASKS=$tasks SLURM_NODELIST='node[0-1]'
rank=0
while [ $rank -lt $tasks ]; do
    SLURM_PROCID=$rank SLURM_LOCALID=0 "$@" &
    processes="$processes $!"
    rank=$((rank + 1))
done
for process in $processes; do wait "$process" || exit 1; done
"""
SCONTROL = """#!/bin/sh
[ "$*" = 'show hostname node[0-1]' ] && printf 'localhost\nelsewhere\n'
"""


@pytest.mark.slow
def test_slurm_trains_and_measures_the_model_it_saves(tiny_config, tmp_path):
    """Each process has its own statistics of BatchNorm; one's are saved."""
    for name, text in (('srun', SRUN), ('scontrol', SCONTROL)):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    work_dir = tmp_path / 'work'
    options = (
        *('train_cfg.max_iters=2', 'train_cfg.val_interval=2'),
        'env_cfg.dist_cfg.backend=nccl',
    )
    result = run_tool(
        *('tools/slurm_train.sh', 'partition', 'job', tiny_config),
        *('--verbose', '--work-dir', work_dir, '--cfg-options', *options),
        PATH=f'{tmp_path}{os.pathsep}{os.environ["PATH"]}',
        GPUS='2',
        GPUS_PER_NODE='1',
        MASTER_PORT=free_port(),
    )
    assert result.returncode == 0, result.stderr[-3000:]
    assert len(re.findall(r'Distributed launcher: slurm', result.stdout)) == 1
    checkpoint = torch.load(work_dir / 'iter_2.pth')
    assert len(checkpoint['random_states']) == 2
    tested = run_tool(
        *(sys.executable, 'tools/test.py', tiny_config, work_dir / 'iter_2.pth'),
        *('--work-dir', tmp_path / 'test'),
    )
    assert tested.returncode == 0, tested.stderr[-3000:]
    assert figures(result.stdout) == figures(tested.stdout)


@pytest.mark.parametrize('tta', [False, True])
def test_sync_bn_on_cpus_is_refused_with_the_keys_to_set(tiny_config, monkeypatch, tta):
    monkeypatch.setattr('mmseg_pointrend.engine.runner.get_device', lambda: 'cpu')
    options = {
        'model.backbone.norm_cfg.type': 'SyncBN',
        'model.decode_head.norm_cfg.type': 'SyncBN',
        'sync_bn': 'torch',
    }
    cfg = load_config(str(tiny_config), options, launcher='pytorch')
    if tta:
        use_tta(cfg)
    with pytest.raises(InputError) as caught:
        build_runner(cfg)
    assert str(caught.value).endswith(
        '--cfg-options model.backbone.norm_cfg.type=BN '
        'model.decode_head.norm_cfg.type=BN sync_bn=None.'
    )


@pytest.mark.parametrize('config', ['cityscapes', 'r18-d16_1xb8-20k_camvid-360x480'])
def test_every_batch_norm_of_the_configs_is_synchronised(config):
    cfg = Config.fromfile(ROOT / f'configs/pointrend_deeplabv3plus_{config}.py')
    cfg.model.pretrained = None
    norms = {
        (name.split('.')[0], issubclass(type(module), nn.SyncBatchNorm))
        for name, module in MODELS.build(cfg.model).named_modules()
        if isinstance(module, nn.modules.batchnorm._NormBase)
    }
    parts = ('backbone', 'decode_head', 'auxiliary_head')
    assert norms == {(part, True) for part in parts}
