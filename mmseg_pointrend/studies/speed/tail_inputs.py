"""Fine features and coarse logits that the tail starts from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from mmengine.config import ConfigDict
from mmengine.runner import CheckpointLoader, load_state_dict
from mmseg.registry import MODELS
from torch import Tensor, nn

from mmseg_pointrend.engine.config import load_config
from mmseg_pointrend.engine.hooks.testing_hook import check_weights
from mmseg_pointrend.errors import InputError
from mmseg_pointrend.studies.demo.street_scenes import render_scene
from mmseg_pointrend.studies.speed.settings import Settings

STRIDE = 4
VALIDATION = 1


@dataclass
class TailInputs:
    """What the tail starts from.

    Args:
        fine: fine features, (N, F, H/4, W/4).
        coarse: the decode head's logits, (N, K, H/4, W/4).
        point_head: the point head that was trained with them, if any.
    """

    fine: Tensor
    coarse: Tensor
    point_head: nn.Module | None = None


def fine_channels(ours: ConfigDict, settings: Settings) -> int:
    """Channels of the fine features that the tail gets."""
    return settings.fine_channels or sum(ours.point_head.in_channels)


def random_inputs(ours: ConfigDict, settings: Settings) -> TailInputs:
    """Independent normal numbers: every pixel is hard, the worst case."""
    random = torch.Generator().manual_seed(settings.seed)
    size = [-(-side // STRIDE) for side in settings.size]
    fine, coarse = (
        torch.randn(settings.batch, channels, *size, generator=random)
        for channels in (fine_channels(ours, settings), ours.decode_head.num_classes)
    )
    return TailInputs(fine, coarse)


def why_not_trained(ours: ConfigDict, settings: Settings) -> str | None:
    """Why there are no trained logits, in a sentence, or None if there are."""
    if not Path(settings.checkpoint).is_file():
        return (
            f'No trained logits: {settings.checkpoint} does not exist, run make '
            'demo or give --checkpoint.'
        )
    classes = ours.decode_head.num_classes
    trained = load_config(settings.checkpoint_config).model.decode_head.num_classes
    if classes != trained:
        return f'No trained logits: those have {trained} classes, not {classes}.'
    return None


@torch.no_grad()
def trained_inputs(ours: ConfigDict, settings: Settings) -> TailInputs:
    """What a trained model makes of street scenes of the wanted size.

    Its logits are smooth, as real ones are: few pixels are hard, along boundaries. The
    trained model is small, so its fine features come first and random channels fill
    the rest; its point head answers the same after
    ``copy_classifier`` has put it into the large one, which takes the large
    one's time.

    Raises:
        InputError: the checkpoint is not one of the config, or its features do not
            fit.
    """
    cfg = load_config(settings.checkpoint_config).model
    cfg.pretrained = None
    model = MODELS.build(cfg)
    content = CheckpointLoader.load_checkpoint(settings.checkpoint, map_location='cpu')
    check_weights(model, content, settings.checkpoint)
    load_state_dict(model, content.get('state_dict', content))
    model.eval()
    scenes = [
        render_scene((settings.seed, VALIDATION, index), settings.size).image
        for index in range(settings.batch)
    ]
    images = torch.from_numpy(np.stack(scenes)).permute(0, 3, 1, 2).float()
    preprocessor = model.data_preprocessor
    inputs = (images - preprocessor.mean) / preprocessor.std
    maps, [coarse] = model.decode(*model.extract(inputs))
    fine = torch.cat(maps, dim=1)
    channels = fine_channels(ours, settings)
    filled = channels - fine.shape[1]
    if filled < 0:
        raise InputError(
            f'--fine-channels {channels}: the trained features have '
            f'{fine.shape[1]} channels, give at least as many.'
        )
    random = torch.Generator().manual_seed(settings.seed)
    shape = len(fine), filled, *fine.shape[2:]
    fine = torch.cat((fine, torch.randn(shape, generator=random)), dim=1)
    return TailInputs(fine, coarse, model.point_head)
