"""Imports go one way through the rooms, and no file outgrows its reader."""

from __future__ import annotations

import ast
from pathlib import Path

import mmseg_pointrend

PACKAGE = Path(mmseg_pointrend.__file__).parent
FILES = sorted(PACKAGE.rglob('*.py'))
GROUND = {'errors', 'files'}
MODELS = {'models', 'rendering', *GROUND}
ENGINE = {'engine', 'compat', 'datasets', 'evaluation', *MODELS}
MAY_IMPORT = {
    'failures': {'failures'},
    'errors': {'errors', 'failures'},
    'files': GROUND,
    **{room: {room, *GROUND} for room in ('compat', 'rendering')},
    **{room: {room, *GROUND} for room in ('datasets', 'evaluation')},
    'models': MODELS,
    'engine': ENGINE,
    'studies': {'studies', *ENGINE},
    '__init__': ENGINE - {'rendering', *GROUND},
}
MUST_NOT_IMPORT = {
    'rendering': {'mmseg', 'mmcv', 'mmengine'},
    # The package imports it before mmseg.
    'engine/safe_loading.py': {'mmseg', 'mmcv'},
    'engine/unpickling.py': {'mmseg', 'mmcv'},
}


def imported_by(path: Path) -> set[str]:
    """The libraries, and the rooms of the package, that a file imports."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names = [name.name for name in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [f'{node.module}.{name.name}' for name in node.names]
        else:
            continue
        for library, *rest in (name.split('.') for name in names):
            ours = library == 'mmseg_pointrend' and rest
            found.add(rest[0] if ours else library)
    return found


def test_every_file_imports_from_the_rooms_below_it_alone() -> None:
    wrong = {}
    for path in FILES:
        name = str(path.relative_to(PACKAGE))
        room = name.split('/')[0].removesuffix('.py')
        found = imported_by(path)
        wrong[name] = found & set(MAY_IMPORT) - MAY_IMPORT[room]
        for key in (room, name):
            wrong[name] |= found & MUST_NOT_IMPORT.get(key, set())
    assert not {name: rooms for name, rooms in wrong.items() if rooms}


def test_no_file_has_more_than_350_lines() -> None:
    lengths = {str(path): len(path.read_text().splitlines()) for path in FILES}
    assert not {path: length for path, length in lengths.items() if length > 350}
