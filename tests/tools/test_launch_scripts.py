"""The launch scripts, with a stub in place of Python and of srun."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[2]
TOOLS = REPO / 'tools'
SCRIPTS = ('torchrun.sh', 'dist_train.sh', 'dist_test.sh', 'slurm_train.sh')
LAUNCH_VARIABLES = (
    *('NNODES', 'NODE_RANK', 'MASTER_ADDR', 'PORT', 'PYTHONPATH'),
    *('GPUS', 'GPUS_PER_NODE', 'CPUS_PER_TASK', 'SRUN_ARGS'),
)


@pytest.mark.parametrize('script', SCRIPTS)
def test_script_parses_and_shows_its_usage(script: str) -> None:
    assert os.access(TOOLS / script, os.X_OK)
    subprocess.run(['bash', '-n', TOOLS / script], check=True)
    done = subprocess.run([TOOLS / script], check=False, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith('usage: ')
    assert done.stderr.count('\n') == 1


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
RUN = [str(TOOLS / 'torchrun.py')]


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
    one = [*RUN, '--nnodes=1', '--nproc_per_node=4']
    free = ['--standalone', '--local_addr=127.0.0.1']
    assert launch(stub, script, *arguments) == [*one, *free, *target]

    fixed = ['--master_addr=127.0.0.1', '--master_port=1234']
    assert launch(stub, script, *arguments, PORT='1234') == [*one, *fixed, *target]

    two = [*RUN, '--nnodes=2', '--nproc_per_node=4', '--node_rank=1']
    head = ['--master_addr=head', '--master_port=29500']
    nodes = {'NNODES': '2', 'NODE_RANK': '1', 'MASTER_ADDR': 'head'}
    assert launch(stub, script, *arguments, **nodes) == [*two, *head, *target]


@pytest.mark.parametrize('count', ['0', '--work-dir', 'two'])
def test_the_number_of_processes_is_one(count: str) -> None:
    done = subprocess.run(
        [TOOLS / 'dist_train.sh', 'c.py', count],
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert done.stderr == (
        f'error: GPUS={count}: give the number of processes of a node, as in 4.\n'
    )


def test_several_nodes_need_an_address(stub: Path) -> None:
    done = subprocess.run(
        [TOOLS / 'dist_train.sh', 'c.py', '4'],
        env={'PATH': os.environ['PATH'], 'NNODES': '2'},
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode != 0
    assert 'MASTER_ADDR: with NNODES=2 set it' in done.stderr


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
