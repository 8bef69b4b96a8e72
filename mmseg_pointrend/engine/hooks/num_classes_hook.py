"""Do the model and its data sets mean the same classes, and do labels have them?"""

from __future__ import annotations

from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmseg.registry import HOOKS

from mmseg_pointrend.datasets.class_counts import count_some, doubt_about
from mmseg_pointrend.datasets.parts import parts_of
from mmseg_pointrend.engine.agreement import Datasets, disagreements, ignored_label
from mmseg_pointrend.engine.wrappers import unwrapped
from mmseg_pointrend.errors import InputError


@HOOKS.register_module()
class NumClassesHook(Hook):
    """Refuse a config whose parts disagree on the classes, or on what is ignored.

    Otherwise training ends in an error that names no key, or weights and figures are
    those of something else. The methods raise an :class:`InputError`.
    """

    def before_train(self, runner: Runner) -> None:
        """Compare with the data for training and validation, and read some labels."""
        splits = ['train'] if runner.val_loop is None else ['train', 'val']
        parts = self._compare(runner, splits)['train']
        if not is_main_process():
            return
        counts, read = count_some(parts)
        doubt = doubt_about(counts, parts, ignored_label(unwrapped(runner.model)))
        if doubt:
            runner.logger.warning(
                f'Of {read} labels of train_dataloader: {doubt}. '
                'tools/check_dataset.py (pointrend check-data) counts all.'
            )

    def before_test(self, runner: Runner) -> None:
        """Compare with the data set for testing."""
        self._compare(runner, ['test'])

    def _compare(self, runner: Runner, splits: list[str]) -> Datasets:
        datasets = {}
        for split in splits:
            dataset = getattr(runner, f'{split}_dataloader').dataset
            datasets[split] = [*parts_of(dataset)] or [dataset]
        model = unwrapped(runner.model)
        for is_error, sentence in disagreements(runner.cfg, model, datasets):
            if is_error:
                raise InputError(sentence)
            runner.logger.warning(sentence)
        return datasets
