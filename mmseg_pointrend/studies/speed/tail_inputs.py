"""Fine features and coarse logits that the tail starts from."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import torch
from mmengine.config import ConfigDict
from mmengine.runner import find_latest_checkpoint, load_checkpoint
from mmseg.apis import init_model
from torch import Tensor, nn

from mmseg_pointrend.engine.config import load_config
from mmseg_pointrend.engine.hooks.testing_hook import check_weights
from mmseg_pointrend.studies.demo.street_scenes import render_scene
from mmseg_pointrend.studies.speed.settings import Settings

STRIDE = 4
VALIDATION = 1
DEMO = 'work_dirs/demo/train'


class TailInputs(NamedTuple):
    """What the tail starts from."""

    fine: Tensor  # (1, F, H/4, W/4)
    coarse: Tensor  # (1, K, H/4, W/4)
    point_head: nn.Module | None = None  # that was trained with them


def random_inputs(cfg: ConfigDict, settings: Settings) -> TailInputs:
    """Draw independent normal numbers: every pixel is hard, the worst case."""
    random = torch.Generator().manual_seed(settings.seed)
    size = [-(-side // STRIDE) for side in settings.size]
    fine, coarse = (
        torch.randn(1, channels, *size, generator=random)
        for channels in (sum(cfg.point_head.in_channels), cfg.decode_head.num_classes)
    )
    return TailInputs(fine, coarse)


@torch.no_grad()
def trained_inputs(cfg: ConfigDict, settings: Settings) -> TailInputs | str:
    """Show a trained model a street scene of the wanted size.

    Its logits are smooth, as real ones are: few pixels are hard, along boundaries. The
    trained model is small, so its fine features come first and random channels fill
    the rest; its point head answers the same after ``copy_classifier`` has put it into
    the large one, which takes the large one's time.

    Returns:
        Inputs, or a sentence why there are none.

    Raises:
        InputError: the checkpoint is not one of its config.
    """
    checkpoint = settings.checkpoint
    if checkpoint is None and Path(DEMO).is_dir():
        checkpoint = find_latest_checkpoint(DEMO)
    if checkpoint is None or not Path(checkpoint).is_file():
        missing = checkpoint or f'a checkpoint in {DEMO}'
        return f'No trained logits: {missing} does not exist, run make demo.'
    trained = load_config(settings.checkpoint_config)
    classes, wanted = (one.decode_head.num_classes for one in (trained.model, cfg))
    if classes != wanted:
        return f'No trained logits: those have {classes} classes, not {wanted}.'
    model = init_model(trained, device='cpu')
    check_weights(model, load_checkpoint(model, checkpoint, 'cpu'), checkpoint)
    scene = render_scene((settings.seed, VALIDATION, 0), settings.size).image
    image = torch.from_numpy(scene).permute(2, 0, 1).float()
    inputs = (image - model.data_preprocessor.mean) / model.data_preprocessor.std
    maps, (*_, coarse) = model.decode(*model.extract(inputs.unsqueeze(0)))
    fine = torch.cat(maps, dim=1)
    filled = max(sum(cfg.point_head.in_channels) - fine.shape[1], 0)
    random = torch.Generator().manual_seed(settings.seed)
    filler = torch.randn(1, filled, *fine.shape[2:], generator=random)
    return TailInputs(torch.cat((fine, filler), dim=1), coarse, model.point_head)
