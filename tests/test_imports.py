"""What importing the package replaces in other libraries stands in docs/imports.md."""

from __future__ import annotations

import json
import re
import sys

import pytest

from mmseg_pointrend.compat import MissingOps
from tests.helpers import ROOT, run_tool

# MMSegmentation cannot be imported without compiled ops; they get a stand-in.
REPLACED = """
import json, sys
from unittest.mock import MagicMock
from mmcv.utils import ext_loader
ext_loader.load_ext = MagicMock()
import mmengine._strategy, mmengine.infer, torch._dynamo
import mmseg.apis, mmseg.datasets, mmseg.engine, mmseg.evaluation
from mmengine.registry import Registry

modules = {
    name: module for name, module in sys.modules.items()
    if name.split('.')[0] in ('mmcv', 'mmengine', 'mmseg', 'torch')
}
values = [value for module in modules.values() for value in vars(module).values()]
classes = {
    f'{one.__module__}.{one.__name__}': one for one in values
    if isinstance(one, type) and one.__module__ in modules
}
registries = [one for one in values if isinstance(one, Registry)]


def snapshot():
    found = {
        f'{owner}.{name}': value for owner, one in {**modules, **classes}.items()
        for name, value in list(vars(one).items())
    }
    for one in registries:
        known = {**(one.parent.module_dict if one.parent else {}), **one.module_dict}
        found |= {f'{one.scope} {one.name} {name}': known[name] for name in known}
    for owner, table in list(found.items()):
        module = owner.rpartition('.')[0]
        if module in modules and module[:2] == 'mm' and isinstance(table, dict):
            found |= {f'{owner}[{name}]': table[name] for name in table}
    return found


before = snapshot()
import mmseg_pointrend
changed = [
    name for name, value in snapshot().items()
    if before.get(name, value) is not value
]
print(json.dumps(changed))
"""


INSTALLED = {
    'mmcv.utils.ext_loader.load_ext',
    'mmengine.runner.checkpoint.get_torch_safe_globals',
}
"""Which of these is replaced depends on which MMCV and MMEngine are installed."""


def test_the_table_names_everything_that_is_replaced() -> None:
    result = run_tool(sys.executable, '-c', REPLACED)
    assert result.returncode == 0, result.stderr
    replaced = set(json.loads(result.stdout.splitlines()[-1]))
    table = (ROOT / 'docs/imports.md').read_text()
    named = set(re.findall(r'^\| `([^`]+)`', table, re.MULTILINE))
    assert replaced - INSTALLED == named - INSTALLED


def test_a_missing_op_says_what_to_install() -> None:
    with pytest.raises(RuntimeError, match=r"'nms' needs the compiled mmcv"):
        MissingOps().nms()
