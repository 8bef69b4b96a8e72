"""BatchNorm that keeps its statistics."""

from __future__ import annotations

from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import Runner
from torch.nn.modules.batchnorm import _BatchNorm


@HOOKS.register_module()
class NormEvalHook(Hook):
    """Train with the statistics that BatchNorm has learned, in the whole model.

    What ``norm_eval`` does in MMSegmentation's backbones, for heads and necks too: for
    a trained network that is continued with few images in a batch. The scales and
    shifts go on learning.
    """

    def before_train_iter(self, runner: Runner, *_: object, **__: object) -> None:
        """Switch every BatchNorm to evaluation; validation has switched it back."""
        for module in runner.model.modules():
            if isinstance(module, _BatchNorm):
                module.eval()
