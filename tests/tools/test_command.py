"""The command ``pointrend``: its sub-commands are the files of ``tools/``."""

from __future__ import annotations

import ast
import json
import re
import shlex
import sys

import pytest

from pointrend_cli import name_of
from tests.helpers import ROOT, run_tool

TOOLS = {path.stem for path in (ROOT / 'tools').glob('*.py')} - {'arguments'}
POINTREND = sys.executable, '-m', 'pointrend_cli'
HELP = """
import contextlib, io, json, sys
import pointrend_cli

said = io.StringIO()
sys.argv = ['pointrend', *sys.argv[1:]]
with contextlib.redirect_stdout(said), contextlib.suppress(SystemExit):
    pointrend_cli.main()
heavy = {'torch', 'mmengine', 'mmseg', 'mmseg_pointrend', 'matplotlib', 'numpy', 'cv2'}
print(json.dumps([said.getvalue(), [*heavy & {*sys.modules}]]))
"""


def help_of(*words):
    result = run_tool(sys.executable, '-c', HELP, *words, COLUMNS='200')
    assert result.returncode == 0, result.stderr
    said, heavy = json.loads(result.stdout)
    assert not heavy
    return said


def test_help_lists_every_tool_with_what_it_does_and_imports_nothing_heavy():
    said = re.sub(r'\s+', ' ', help_of('--help').partition('COMMAND\n')[2])
    for tool in TOOLS:
        text = (ROOT / f'tools/{tool}.py').read_text()
        does = ast.get_docstring(ast.parse(text)).splitlines()[0]
        assert f' {name_of(tool)} {does} ' in f' {said} '
    assert {'check-data', 'new-config', 'train'} <= {*map(name_of, TOOLS)}
    assert help_of() == help_of('--help')


def test_help_of_a_sub_command_is_that_of_its_tool():
    said = help_of('make-street-scenes', '--help')
    assert said.startswith('usage: pointrend make-street-scenes [-h]')
    assert '--supersampling' in said
    assert 'pointrend make-street-scenes data/street' in said
    assert 'tools/' not in said


@pytest.mark.parametrize(
    ('words', 'code', 'sentence'),
    [
        (['trian'], 2, "pointrend: error: no command 'trian': did you mean train? "),
        (['compare_images'], 2, 'did you mean compare-images?'),
        (['xyzzy'], 2, "no command 'xyzzy': pointrend --help lists all."),
        (['--xyzzy'], 2, 'pointrend: error: '),
        (['train'], 2, 'pointrend train: error: the following arguments'),
        (
            ['retrofit', 'a.py', 'a.pth', '--work-dir', 'a', '--iterations', '0'],
            2,
            'pointrend retrofit: error: --iterations: give at least 1.',
        ),
        (
            ['train', 'no.py', '--cfg-options', 'a=1'],
            1,
            'error: the config file no.py does not exist',
        ),
    ],
)
def test_wrong_words_are_one_sentence(words, code, sentence):
    result = run_tool(*POINTREND, *words)
    assert result.returncode == code
    assert sentence in result.stderr.splitlines()[-1]
    assert 'Traceback' not in result.stderr


@pytest.mark.parametrize(
    ('line', 'completed'),
    [
        ('pointrend compare', ['compare', 'compare-images']),
        ('pointrend demo --work', ['--work-dir', '--workers']),
    ],
)
def test_a_shell_completes_commands_and_options(line, completed):
    answer = run_tool(
        *('bash', '-c', f'{shlex.join(POINTREND)} 8>&1 9>/dev/null >/dev/null'),
        **dict(_ARGCOMPLETE='1', _ARGCOMPLETE_IFS=' ', _ARGCOMPLETE_SHELL='bash'),
        **dict(COMP_LINE=line, COMP_POINT=str(len(line))),
    )
    assert answer.stdout.split() == completed
