"""The command ``pointrend``: each file of ``tools/`` is one of its sub-commands.

It finds them without importing the package, which takes seconds.
"""

from __future__ import annotations

import os
import re
import sys
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from ast import get_docstring, parse
from difflib import get_close_matches
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

SHORT = {
    'check_dataset': 'check-data',
    'convert_checkpoint': 'convert',
    'infer_onnx': 'infer',
}
"""Names of commands that are not those of their files."""


def name_of(tool: str) -> str:
    """Give the name of a sub-command to the name of a file of ``tools/``."""
    return SHORT.get(tool, tool.replace('_', '-'))


def as_commands(text: str) -> str:
    """Write sub-commands in place of files of ``tools/``."""
    return re.sub(
        r'(?:python )?tools/(\w+)\.py',
        lambda file: f'pointrend {name_of(file[1])}',
        text,
    )


def find_tools() -> dict[str, Path]:
    """Find the files of ``tools/``, by the names of their sub-commands."""
    spec = find_spec('mmseg_pointrend')
    folder = Path(spec.submodule_search_locations[0], '.mim/tools')
    files = sorted(folder.glob('*.py'))
    return {name_of(one.stem): one for one in files if one.stem != 'arguments'}


def load(file: Path) -> ModuleType:
    """Import a file of ``tools/``."""
    sys.path.insert(0, str(file.parent))
    return import_module(file.stem)


def main() -> None:
    """Run the sub-command that the arguments name."""
    tools = find_tools()
    parser = ArgumentParser(
        prog='pointrend', description='PointRend for MMSegmentation.'
    )
    commands = parser.add_subparsers(metavar='COMMAND', required=True)
    for name, file in tools.items():
        said = as_commands(get_docstring(parse(file.read_text(encoding='utf-8'))))
        commands.add_parser(
            name,
            help=said.splitlines()[0].replace('%', '%%'),
            description=said,
            formatter_class=RawDescriptionHelpFormatter,
        )
    completes = '_ARGCOMPLETE' in os.environ
    words = os.environ.get('COMP_LINE', '').split() if completes else sys.argv
    word = words[1] if len(words) > 1 else '--help'
    if word in tools:
        tool, command = load(tools[word]), commands.choices[word]
        tool.add_arguments(command)
    if completes:
        from argcomplete import autocomplete

        autocomplete(parser)
    if word in tools:
        args = command.parse_args(words[2:])
        if hasattr(tool, 'check'):
            tool.check(command, args)
        tool.run(tool.main, args, as_commands)
    elif word.startswith('-'):
        parser.parse_args([word])
    else:
        close = get_close_matches(word, tools, 1)
        hint = f'did you mean {close[0]}? ' if close else ''
        parser.error(f'no command {word!r}: {hint}pointrend --help lists all.')


if __name__ == '__main__':
    main()
