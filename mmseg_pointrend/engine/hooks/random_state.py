"""The random numbers of a training and how to go on with them."""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import chain, islice
from typing import Any

import numpy as np
import torch

from mmseg_pointrend.errors import InputError


def random_state() -> dict[str, Any]:
    """Note where the generators of Python, numpy and torch are, in this process.

    Returns:
        Tensors and plain values only, so that a checkpoint which holds them is safe to
        load.
    """
    of_numpy: dict[str, Any] = np.random.get_state(legacy=False)  # type: ignore
    of_numpy['state']['key'] = of_numpy['state']['key'].tolist()
    state = dict(python=random.getstate(), numpy=of_numpy, torch=torch.get_rng_state())
    if torch.cuda.is_available():
        state['cuda'] = torch.cuda.get_rng_state()
    return state


def set_random_state(state: dict[str, Any]) -> None:
    """Go on where :func:`random_state` was called.

    Raises:
        InputError: the state is none of numpy's, which would read beyond its memory.
    """
    position = state['numpy']['state']['pos']
    if type(position) is not int or not 0 <= position <= 624:
        raise InputError(
            f'the checkpoint has a random state of numpy at {position!r}, which must '
            'lie in 0 to 624: resume from another checkpoint.'
        )
    random.setstate(state['python'])
    np.random.set_state(state['numpy'])
    torch.set_rng_state(state['torch'].cpu())
    if 'cuda' in state and torch.cuda.is_available():
        torch.cuda.set_rng_state(state['cuda'].cpu())


class ContinuedBatches(Iterator[Any]):
    """The batches of a resumed training.

    Loading those which were trained before brings worker processes to the random state
    that they had; for this process it is set once they are through.

    Args:
        batches: all batches, from the first.
        skipped: how many were trained before.
        state: of this process when the next one is loaded.
    """

    def __init__(
        self, batches: Iterator[Any], skipped: int, state: dict[str, Any]
    ) -> None:
        def rest() -> Iterator[Any]:
            set_random_state(state)
            yield from batches

        self.batches = chain(islice(batches, skipped), rest())

    def __next__(self) -> Any:
        return next(self.batches)

    def skip_iter(self, count: int) -> None:
        """Load batches that nobody wants, as the ``onedl-`` MMEngine asks."""
        for _ in islice(self, count):
            pass
