"""Test images that have no labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mmengine.hooks import Hook
from mmengine.runner import Runner


class UnlabelledHook(Hook):
    """Write or draw predictions of images without labels, of which there are no scores.

    Metrics that write label maps do that alone, and the others are left out.
    """

    def before_test_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None
    ) -> None:
        """Look whether the first sample has a label."""
        sample = data_batch['data_samples'][0]
        # With test-time augmentation, those of a view come together.
        sample = sample[0] if isinstance(sample, Sequence) else sample
        if batch_idx == 0 and 'gt_sem_seg' not in sample:
            evaluator = runner.test_evaluator
            writers = [one for one in evaluator.metrics if hasattr(one, 'format_only')]
            evaluator.metrics = [one for one in writers if one.output_dir is not None]
            for metric in evaluator.metrics:
                metric.format_only = True
            runner.logger.info('The images have no labels: no figures are computed.')
