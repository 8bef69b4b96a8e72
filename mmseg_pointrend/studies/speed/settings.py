"""What is measured, on what, and how often."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import torch

from mmseg_pointrend.errors import InputError

AUTOCAST = {'none': None, 'bf16': torch.bfloat16, 'fp16': torch.float16}


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The arguments of ``tools/benchmark.py``; sizes are (H, W)."""

    config: str  # of a PointRendEncoderDecoder
    measure: Sequence[str] = ()
    contenders: Sequence[str] = ()
    size: tuple[int, int] = (1024, 2048)  # of the image of predict() and of the tail
    train_size: tuple[int, int] = (256, 512)  # of the two images of a training step
    classes: int | None = None  # or the config's
    device: str = 'cpu'
    autocast: str = 'none'
    repeat: int = 10  # timed calls of each contender
    seed: int = 0  # of weights and inputs
    json: Path | None = None  # file for the figures

    def check(self) -> None:
        """Refuse what cannot be measured.

        Raises:
            InputError: a value is out of its range, or there is no CUDA device.
        """
        for option, numbers, lowest in (
            ('--size', self.size, 64),
            ('--train-size', self.train_size, 32),
            ('--classes', [self.classes or 2], 2),
            ('--repeat', [self.repeat], 1),
        ):
            if min(numbers) < lowest:
                given = ' '.join(map(str, numbers))
                raise InputError(f'{option} {given}: give at least {lowest}.')
        if self.device == 'cuda' and not torch.cuda.is_available():
            raise InputError('--device cuda: torch sees no GPU, use --device cpu.')

    @property
    def dtype(self) -> torch.dtype:
        """What convolutions return."""
        return AUTOCAST[self.autocast] or torch.float32

    def autocast_context(self) -> AbstractContextManager:
        """Make a fresh autocast, which does nothing with ``--autocast none``."""
        enabled = self.autocast != 'none'
        return torch.autocast(self.device, self.dtype, enabled=enabled)
