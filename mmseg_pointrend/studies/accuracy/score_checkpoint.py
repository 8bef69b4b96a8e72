"""Score a checkpoint on the test set of its config, in several ways at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mmengine.config import Config
from mmengine.runner import Runner
from rich.progress import track

from mmseg_pointrend.engine.config import evaluators_of, keep_testing_only
from mmseg_pointrend.engine.runner import build_runner
from mmseg_pointrend.engine.wrappers import unwrapped
from mmseg_pointrend.errors import InputError
from mmseg_pointrend.models import PointRendEncoderDecoder
from mmseg_pointrend.studies.accuracy.predictions import (
    UPSAMPLED,
    Settings,
    check_whole_images,
    predict_in_each_way,
)
from mmseg_pointrend.studies.accuracy.scores import Scores


def load_for_testing(cfg: Config, checkpoint: str) -> Runner:
    """Build MMEngine's Runner, without what only training needs, and load weights.

    Raises:
        InputError: the checkpoint is not one of this model.
    """
    keep_testing_only(cfg)
    cfg.load_from = checkpoint
    runner = build_runner(cfg)
    runner.load_or_resume()
    unwrapped(runner.model).eval()
    return runner


def score_checkpoint(
    cfg: Config, checkpoint: str, settings: Settings, ceilings: Sequence[int] = ()
) -> dict[str, dict[str, Any]]:
    """Score every way to predict, from one run of the network over the images.

    Ways, settings and ceilings are those of :func:`predict_in_each_way`.

    Returns:
        :meth:`Scores.summary` of each way; fixed and broken pixels are counted against
        ``'one bilinear resize'``.

    Raises:
        InputError: the checkpoint is not one of this model, the test set has no
            labels, or the model cannot predict in these ways.
    """
    runner = load_for_testing(cfg, checkpoint)
    model = unwrapped(runner.model)
    check_whole_images(model)
    if settings and not isinstance(model, PointRendEncoderDecoder):
        raise InputError(
            f'{type(model).__name__} has no budget of points to change: score a config '
            "of type='PointRendEncoderDecoder', or leave out --points and "
            '--coarse-from.'
        )
    dataset = runner.test_dataloader.dataset
    boundary = {
        key: one[key]
        for one in evaluators_of(cfg)
        for key in ('dilation', 'trimap_widths')
        if one['type'] == 'BoundaryIoUMetric' and key in one
    }
    scores: dict[str, Scores] = {}
    for batch in track(runner.test_dataloader, description='scoring'):
        data = model.data_preprocessor(batch, False)
        samples = data['data_samples']
        if 'gt_sem_seg' not in samples[0]:
            raise InputError(
                'the test set has no labels: add LoadAnnotations to '
                'test_dataloader.dataset.pipeline.'
            )
        before: list = [None] * len(samples)
        ways = predict_in_each_way(model, data['inputs'], samples, settings, ceilings)
        for name, maps in ways:
            if name not in scores:
                scores[name] = Scores(
                    dataset.metainfo['classes'], dataset.ignore_index, **boundary
                )
            for sample, labels, old in zip(samples, maps, before, strict=True):
                scores[name].add(sample.gt_sem_seg.data.squeeze(0), labels, old)
            if name == UPSAMPLED:
                before = maps
    return {name: score.summary() for name, score in scores.items()}
