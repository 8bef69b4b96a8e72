"""What is measured, on what, and how often."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import torch

from mmseg_pointrend.errors import InputError

CONTENDERS = (
    'plain',
    'plain-d8',
    'mmseg',
    'ours',
    'ours-compiled',
    'ours-fused-compiled',
)
MEASURES = ('train', 'predict', 'tail', 'memory', 'flops')
LOGITS = ('random', 'trained')
AUTOCAST = {'none': None, 'bf16': torch.bfloat16, 'fp16': torch.float16}


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The arguments of ``tools/benchmark.py``.

    Args:
        config: config file of a ``PointRendEncoderDecoder``.
        checkpoint: weights that make the trained logits.
        checkpoint_config: config file of those weights.
        measure: some of ``MEASURES``.
        contenders: some of ``CONTENDERS``.
        logits: which logits the tail starts from, some of ``LOGITS``.
        size: (H, W) of ``predict()`` and of the tail.
        batch: images of ``predict()`` and of the tail.
        train_size: (H, W) of a training image.
        train_batch: images of a training step.
        classes: number of classes; None means the config's.
        points: pixels that each step of rendering classifies again; None means the
            config's.
        fine_channels: channels of the tail's fine features; None means the config's.
        device: ``'cpu'`` or ``'cuda'``.
        autocast: a key of ``AUTOCAST``.
        repeat: timed calls of each contender.
        warmup: calls before them.
        threads: of torch on the CPU; None leaves torch's own choice.
        seed: of weights, inputs and scenes.
        json: file for the figures.
        plot: PNG file for the growth of the tail's time.
    """

    config: str
    checkpoint: str
    checkpoint_config: str
    measure: Sequence[str] = MEASURES
    contenders: Sequence[str] = CONTENDERS
    logits: Sequence[str] = LOGITS
    size: tuple[int, int] = (1024, 2048)
    batch: int = 1
    train_size: tuple[int, int] = (256, 512)
    train_batch: int = 2
    classes: int | None = None
    points: int | None = None
    fine_channels: int | None = None
    device: str = 'cpu'
    autocast: str = 'none'
    repeat: int = 10
    warmup: int = 3
    threads: int | None = None
    seed: int = 0
    json: Path | None = None
    plot: Path | None = None

    def check(self) -> None:
        """Refuse what cannot be measured.

        Raises:
            InputError: a value is out of its range, or there is no CUDA device.
        """
        for option, lowest in (
            ('size', 64),
            ('batch', 1),
            ('train_size', 32),
            ('train_batch', 2),
            ('classes', 2),
            ('points', 1),
            ('fine_channels', 1),
            ('repeat', 1),
            ('warmup', 1),
            ('threads', 1),
        ):
            given = getattr(self, option)
            numbers = given if isinstance(given, (tuple, list)) else (given,)
            if any(number is not None and number < lowest for number in numbers):
                raise InputError(
                    f'--{option.replace("_", "-")} {" ".join(map(str, numbers))}: '
                    f'give at least {lowest}.'
                )
        for file in (self.json, self.plot):
            if file is not None and not file.absolute().parent.is_dir():
                raise InputError(f'{file} cannot be written: make its folder first.')
        if self.device == 'cuda' and not torch.cuda.is_available():
            raise InputError('--device cuda: torch sees no GPU, use --device cpu.')

    @property
    def dtype(self) -> torch.dtype:
        """What convolutions return."""
        return AUTOCAST[self.autocast] or torch.float32

    def autocast_context(self) -> AbstractContextManager:
        """A fresh autocast, which does nothing with ``--autocast none``."""
        return torch.autocast(
            self.device, self.dtype, enabled=AUTOCAST[self.autocast] is not None
        )
