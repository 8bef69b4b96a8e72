"""The data sets inside a data loader's."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mmengine.dataset import BaseDataset


def parts_of(dataset: Any) -> Iterator[BaseDataset]:
    """Find the data sets that list files, in one that may wrap them."""
    if isinstance(dataset, BaseDataset):
        yield dataset
        return
    for part in getattr(dataset, 'datasets', [getattr(dataset, 'dataset', None)]):
        if part is not None:
            yield from parts_of(part)
