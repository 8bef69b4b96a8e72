"""Do the model and its data sets have the same number of classes?"""

from __future__ import annotations

from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmseg.registry import HOOKS

from mmseg_pointrend.engine.runner import unwrapped
from mmseg_pointrend.errors import InputError


@HOOKS.register_module()
class NumClassesHook(Hook):
    """Refuse a model whose number of classes is not that of the data set.

    Otherwise training ends in an error that names no key, or the figures leave out the
    classes that the data set lacks. The methods raise an :class:`InputError`.
    """

    def before_train(self, runner: Runner) -> None:
        """Compare with the data sets for training and validation."""
        self._check(runner, 'train')
        if runner.val_loop is not None:
            self._check(runner, 'val')

    def before_test(self, runner: Runner) -> None:
        """Compare with the data set for testing."""
        self._check(runner, 'test')

    def _check(self, runner: Runner, split: str) -> None:
        model = unwrapped(runner.model)
        dataset = getattr(runner, f'{split}_dataloader').dataset
        count = len(dataset.metainfo.get('classes') or ())
        if count == 1:
            raise InputError(
                f'the data set of {split}_dataloader has one class by name, and its '
                'figures would be those of label 0: name two in metainfo.classes, '
                'background first, and set num_classes=2 in every head.'
            )
        # One channel tells two classes apart, whatever num_classes is.
        of_model = 2 if model.out_channels == 1 else model.num_classes
        if count and count != of_model:
            raise InputError(
                f'decode_head.num_classes={model.num_classes} but the data set of '
                f'{split}_dataloader has {count} classes: set num_classes={count} in '
                'decode_head and auxiliary_head, or metainfo.classes of the data set.'
            )
