"""The launch scripts, with a stub in place of Python and of srun."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[2]
TOOLS = REPO / 'tools'
LAUNCH_VARIABLES = (
    *('NNODES', 'NODE_RANK', 'MASTER_ADDR', 'PORT', 'PYTHONPATH'),
    *('GPUS', 'GPUS_PER_NODE', 'CPUS_PER_TASK', 'SRUN_ARGS'),
)


USAGES = {
    'torchrun.sh': 'GPUS TOOL.py [arguments of the tool]',
    'dist_train.sh': 'CONFIG GPUS [arguments of train.py]',
    'dist_test.sh': 'CONFIG CHECKPOINT GPUS [arguments of test.py]',
    'slurm_train.sh': 'PARTITION JOB_NAME CONFIG [arguments of train.py]',
}
NO_GPUS = {
    'torchrun.sh': ('two', 'train.py'),
    'dist_train.sh': ('c.py', '--work-dir'),
    'dist_test.sh': ('c.py', 'w.pth', '0'),
    'slurm_train.sh': ('gpu', 'job'),
}


@pytest.mark.parametrize('script', USAGES)
def test_a_script_shows_its_usage(script: str) -> None:
    for arguments in ((), NO_GPUS[script]):
        done = subprocess.run(
            [TOOLS / script, *arguments], capture_output=True, text=True
        )
        assert done.returncode == 2
        assert done.stderr.startswith('usage: [')
        assert done.stderr.endswith(f'] {TOOLS / script} {USAGES[script]}\n')


@pytest.fixture
def stub(tmp_path: Path) -> Path:
    """A ``python`` and an ``srun`` that print what they are called with."""
    for name in ('python', 'srun'):
        script = tmp_path / 'bin' / name
        script.parent.mkdir(exist_ok=True)
        script.write_text('#!/bin/sh\nprintf "%s\\n" "$PYTHONPATH" "$@"\n')
        script.chmod(0o755)
    return tmp_path / 'bin'


def launch(stub: Path, script: str, *arguments: str, **variables: str) -> list[str]:
    env = {k: v for k, v in os.environ.items() if k not in LAUNCH_VARIABLES}
    env |= {'PATH': f'{stub}:{env["PATH"]}', 'PYTHON': str(stub / 'python')}
    done = subprocess.run(
        [TOOLS / script, *arguments],
        cwd=stub,
        env=env | variables,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    path, *passed = done.stdout.splitlines()
    assert Path(path.split(':')[0]).resolve() == REPO
    return passed


PYTORCH = ['--launcher', 'pytorch']
TRAIN = [str(TOOLS / 'train.py'), 'c.py', '--opt', 'a b', *PYTORCH]
TEST = [str(TOOLS / 'test.py'), 'c.py', 'w.pth', '--opt', *PYTORCH]
RUN = ['-m', 'torch.distributed.run', '--nproc_per_node=4']


@pytest.mark.parametrize(
    ('script', 'arguments', 'target'),
    [
        ('dist_train.sh', ('c.py', '4', '--opt', 'a b'), TRAIN),
        ('dist_test.sh', ('c.py', 'w.pth', '4', '--opt'), TEST),
    ],
)
def test_torchrun_arguments(
    stub: Path, script: str, arguments: tuple[str, ...], target: list[str]
) -> None:
    free = ['--standalone', '--local_addr=127.0.0.1']
    assert launch(stub, script, *arguments) == [*RUN, *free, *target]

    head = ['--nnodes=2', '--master_port=29500', '--master_addr=head', '--node_rank=1']
    nodes = {'NNODES': '2', 'NODE_RANK': '1', 'MASTER_ADDR': 'head'}
    assert launch(stub, script, *arguments, **nodes) == [*RUN, *head, *target]


def test_several_nodes_need_an_address(stub: Path) -> None:
    done = subprocess.run(
        [TOOLS / 'dist_train.sh', 'c.py', '4'],
        env={'PATH': os.environ['PATH'], 'NNODES': '2'},
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode != 0
    assert 'MASTER_ADDR: set it to the address' in done.stderr


def test_srun_arguments(stub: Path) -> None:
    passed = launch(
        *(stub, 'slurm_train.sh', 'gpu', 'job', 'c.py', '--opt', 'a b'),
        GPUS='16',
        GPUS_PER_NODE='8',
        SRUN_ARGS='--time=1 --qos=low',
    )
    assert passed == [
        *('--partition=gpu', '--job-name=job', '--gres=gpu:8', '--ntasks=16'),
        *('--ntasks-per-node=8', '--cpus-per-task=5', '--kill-on-bad-exit=1'),
        *('--time=1', '--qos=low', str(stub / 'python'), '-u', TRAIN[0], 'c.py'),
        *('--launcher', 'slurm', '--opt', 'a b'),
    ]
