"""What a decode head's classifier is given, noted in the call that runs it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from torch import Tensor, nn

NOTES: ContextVar[list[Tensor] | None] = ContextVar('NOTES', default=None)
"""One list a call: a model serves several threads."""


def note_input(module: nn.Module, args: tuple[Tensor]) -> None:
    """Forward pre-hook of a classifier: note its input while somebody listens."""
    notes = NOTES.get()
    if notes is not None:
        notes.append(args[0])


@contextmanager
def noted_inputs(wanted: bool) -> Iterator[list[Tensor]]:
    """Collect, if wanted, what classifiers with :func:`note_input` are given."""
    notes: list[Tensor] = []
    if not wanted:  # compilers do not know context variables
        yield notes
        return
    token = NOTES.set(notes)
    try:
        yield notes
    finally:
        NOTES.reset(token)
