"""docs/own_data.md is right: every command on it runs, in this order."""

from __future__ import annotations

import re
import runpy
import shlex

import numpy as np
import pytest
from mmengine.config import Config
from PIL import Image

from tests.datasets.own_data import make_pairs
from tests.helpers import ROOT

PAGE = (ROOT / 'docs/own_data.md').read_text()
FEWER = {
    'iter_500': 'iter_2',
    'iter_300': 'iter_2',
    '--iterations 300': '--iterations 2',
    'train.py (.*)': r'train.py \1 --cfg-options train_cfg.max_iters=2',
}


def blocks(language: str) -> list[str]:
    """What the page has in a language."""
    return re.findall(rf'^```{language}\n(.*?)^```', PAGE, re.DOTALL | re.MULTILINE)


def commands() -> list[str]:
    """The lines of the page that start a command, with few iterations."""
    text = ''.join(blocks('bash')).replace('\\\n', '')
    for page, here in FEWER.items():
        text = re.sub(page, here, text)
    return text.splitlines()


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder with the data that the page speaks of."""
    for split, number in ('train', 4), ('val', 2):
        make_pairs(
            tmp_path / 'data/street scenes',
            images=f'images/{split}/{{}}.jpg',
            labels=f'labels/{split}/{{}}.png',
            values=(0, 1, 2, 3),
            number=number,
            mode='P',
        )
    cells = tmp_path / 'data/cells'
    make_pairs(cells, labels='masks/{}.png', values=(0, 255))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def unformatted(cfg: Config) -> str:
    """A config as it is dumped, without the formatter that takes most of the time."""
    return ''.join(f'{key} = {value!r}\n' for key, value in cfg.to_dict().items())


def test_the_commands_of_the_page_run(here, monkeypatch, capsys):
    monkeypatch.setattr(Config, 'pretty_text', property(unformatted))
    for command in commands():
        python, tool, *arguments = shlex.split(command)
        assert python == 'python'
        monkeypatch.setattr('sys.argv', [tool, *arguments])
        runpy.run_path(str(ROOT / tool), run_name='__main__')
    said = capsys.readouterr().out
    assert '6 labels were looked at: mode P, values 0, 1, 2, 3' in said
    assert said.count('Next:') == 3
    labels = sorted(here.glob('work_dirs/cells_seen/labels/**/*.png'))
    assert len(labels) == 6
    assert {*np.unique(Image.open(labels[0])).tolist()} <= {0, 1}


def test_colours_become_ids(here):
    colours = np.array([[(0, 0, 142), (70, 70, 70), (9, 9, 9)]], np.uint8)
    (here / 'data/colours/a').mkdir(parents=True)
    Image.fromarray(colours).save(here / 'data/colours/a/1.png')
    (snippet,) = blocks('python')
    exec(snippet, {})
    ids = np.array(Image.open(here / 'data/ids/a/1.png'))
    assert ids.tolist() == [[2, 1, 255]]


def test_the_page_says_what_it_is_about(here):
    assert len(PAGE.splitlines()) <= 120
    assert {shlex.split(one)[1].removesuffix('.py') for one in commands()} == {
        *('tools/new_config', 'tools/train', 'tools/test', 'tools/retrofit'),
        'tools/predict',
    }
