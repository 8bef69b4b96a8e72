"""Commands answer ``--help`` and wrong arguments without importing torch."""

from __future__ import annotations

import json
import sys

from tests.helpers import ROOT, run_tool

TOOLS = sorted(
    str(path)
    for path in (ROOT / 'tools').glob('*.py')
    # The latter also works alone, with libraries that load in a second.
    if path.stem not in ('arguments', 'infer_onnx')
)
ANSWERS = """
import contextlib, io, json, runpy, sys

sys.path.insert(0, 'tools')
answers = {}
for tool in sys.argv[1:]:
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        codes = []
        for argument in ('--help', '--no-such-argument'):
            sys.argv = [tool, argument]
            try:
                runpy.run_path(tool, run_name='__main__')
            except SystemExit as end:
                codes.append(end.code)
    heavy = {'torch', 'mmengine', 'mmseg', 'matplotlib', 'cv2', 'numpy'}
    answers[tool] = [codes, said.getvalue().count('usage: '), [*heavy & {*sys.modules}]]
print(json.dumps(answers))
"""


def test_help_and_wrong_arguments_need_no_heavy_import():
    result = run_tool(sys.executable, '-c', ANSWERS, *TOOLS)
    assert result.returncode == 0, result.stderr
    answers = json.loads(result.stdout)
    assert answers == {tool: [[0, 2], 2, []] for tool in TOOLS}
