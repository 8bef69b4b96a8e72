"""Pictures of the flow along which SFNet upsamples."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from mmcv.visualization import flow2rgb
from mmengine.runner import Runner
from mmseg.engine.hooks import SegVisualizationHook
from mmseg.registry import HOOKS
from mmseg.structures import SegDataSample
from torch import Tensor, nn
from torch.nn.functional import interpolate

from mmseg_pointrend.engine.wrappers import unwrapped
from mmseg_pointrend.models.semantic_flow_fpn import FlowAlignment


@HOOKS.register_module()
class FlowVisualizationHook(SegVisualizationHook):
    """Also draw the flow of each level, finest first, side by side.

    Hue is the direction, strength is relative to the largest flow of the level. Of
    sliding windows and augmented images it is that of the last one.
    """

    def before_val(self, runner: Runner) -> None:
        """Note the flow of every image from now on."""
        self.flows: dict[nn.Module, Tensor] = {}
        modules = unwrapped(runner.model).modules()
        self.noted = [
            module.flow.register_forward_hook(self.note)
            for module in modules
            if self.draw and isinstance(module, FlowAlignment)
        ]

    before_test = before_val

    def after_val(self, runner: Runner) -> None:
        """Stop noting."""
        for handle in self.noted:
            handle.remove()

    after_test = after_val

    def note(self, module: nn.Module, inputs: object, flow: Tensor) -> None:
        """Keep the latest flow of a module, (N, 2, h, w)."""
        self.flows[module] = flow.detach().float().cpu()

    def _after_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: dict,
        outputs: Sequence[SegDataSample],
        mode: str = 'val',
    ) -> None:
        super()._after_iter(runner, batch_idx, data_batch, outputs, mode)
        if not self.flows or not self.every_n_inner_iters(batch_idx, self.interval):
            return
        flows = list(self.flows.values())[::-1]  # the neck begins with the coarsest
        for i, output in enumerate(outputs):
            path = Path(output.img_path)
            subfolder = getattr(self._visualizer, 'subfolder', lambda _: '')(str(path))
            name = Path(subfolder, f'{mode}_flow_{path.name}')
            image = picture([flow[i : i + 1] for flow in flows])
            self._visualizer.add_image(str(name), image, step=runner.iter)


def picture(flows: Sequence[Tensor]) -> np.ndarray:
    """Draw flows, (1, 2, h, w) each, at the size of the first: (H, W · n, 3), uint8."""
    size = flows[0].shape[2:]
    parts = [
        flow2rgb(interpolate(one, size)[0].permute(1, 2, 0).numpy()) for one in flows
    ]
    return (255 * np.concatenate(parts, axis=1)).round().astype(np.uint8)
