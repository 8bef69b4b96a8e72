"""The judge: MMSegmentation's models and ours, timed in turn in one process."""

from __future__ import annotations

from mmseg_pointrend.studies.speed.runner import run_benchmark
from mmseg_pointrend.studies.speed.settings import (
    AUTOCAST,
    CONTENDERS,
    LOGITS,
    MEASURES,
    Settings,
)

__all__ = [
    'AUTOCAST',
    'CONTENDERS',
    'LOGITS',
    'MEASURES',
    'Settings',
    'run_benchmark',
]
