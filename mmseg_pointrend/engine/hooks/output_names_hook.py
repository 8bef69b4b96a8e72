"""One file for each image, also where images share their name."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import partial
from typing import Any

from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmengine.visualization import LocalVisBackend
from mmseg.engine.hooks import SegVisualizationHook
from mmseg.registry import HOOKS

from mmseg_pointrend.datasets.parts import parts_of

Names = dict[str, str]
"""What the files of an image, given by its path, are called; with a suffix."""


@HOOKS.register_module()
class OutputNamesHook(Hook):
    """Keep the subfolders of images where metrics or the visualization write files.

    MMSegmentation calls files after the image's file alone, so that ``a/0.png`` and
    ``b/0.png`` are written to one. Names that are all different stay as they are.
    """

    def before_val(self, runner: Runner) -> None:
        """Name the files of the validation."""
        name_outputs(runner, runner.val_loop)

    def before_test(self, runner: Runner) -> None:
        """Name the files of the test."""
        name_outputs(runner, runner.test_loop)


def name_outputs(runner: Runner, loop: Any) -> None:
    """Have what writes files in a loop write one for each image."""
    metrics = loop.evaluator.metrics
    writers = [one for one in metrics if getattr(one, 'output_dir', None)]
    hooks = [one for one in runner.hooks if isinstance(one, SegVisualizationHook)]
    visualizers = [one._visualizer for one in hooks if one.draw]
    if not writers and not visualizers:
        return
    images = {
        info['img_path']: part.data_prefix.get('img_path', '')
        for part in parts_of(loop.dataloader.dataset)
        for info in map(part.get_data_info, range(len(part)))
    }
    if not images:
        return
    names = output_names(images)
    for metric in writers:
        metric.process = partial(process, metric, names)
    for visualizer in visualizers:
        visualizer.subfolder = partial(subfolder_of, visualizer, names)
        visualizer.add_datasample = partial(add_datasample, visualizer)


def output_names(images: dict[str, str]) -> Names:
    """Name files by no more of the paths than makes them differ.

    Args:
        images: path of each image and the folder of its data set.

    Returns:
        For each the name of its file; or its path below the folder; or, where several
        folders hold the same, below what they share. Where the suffix alone differs,
        another follows it.
    """
    paths = {image: os.path.abspath(image) for image in images}
    shared = os.path.commonpath([os.path.dirname(path) for path in paths.values()])
    for names in (
        {image: os.path.basename(image) for image in images},
        {image: os.path.relpath(image, folder) for image, folder in images.items()},
        {image: os.path.relpath(image, shared) for image in images},
    ):
        different = {os.path.splitext(name)[0] for name in names.values()}
        outside = any(name.startswith(os.pardir) for name in names.values())
        if len(different) == len(set(paths.values())) and not outside:
            return names
    return {image: f'{name}.png' for image, name in names.items()}


def process(
    metric: Any, names: Names, data_batch: Any, data_samples: Sequence[dict]
) -> None:
    """Process samples, each in the subfolder of ``output_dir`` that it belongs to."""
    folder = metric.output_dir
    for sample in data_samples:
        parent, own = os.path.split(sample['img_path'])
        subfolder, name = os.path.split(names.get(sample['img_path'], own))
        renamed = {**sample, 'img_path': os.path.join(parent, name)}
        metric.output_dir = os.path.join(folder, subfolder)
        os.makedirs(metric.output_dir, exist_ok=True)
        try:
            type(metric).process(metric, data_batch, [renamed])
        finally:
            metric.output_dir = folder


def subfolder_of(visualizer: Any, names: Names, path: str) -> str:
    """Name, and make, the subfolder for pictures of an image, given by its path."""
    subfolder = os.path.dirname(names.get(path, ''))
    for backend in visualizer._vis_backends.values():
        if isinstance(backend, LocalVisBackend):
            folder = os.path.join(backend.experiment._img_save_dir, subfolder)
            os.makedirs(folder, exist_ok=True)
    return subfolder


def add_datasample(
    visualizer: Any,
    name: str,
    image: Any,
    data_sample: Any = None,
    *args: Any,
    **kwargs: Any,
) -> None:
    """Paint a sample into the subfolder that it belongs to, if it is one of a loop."""
    subfolder = visualizer.subfolder(getattr(data_sample, 'img_path', ''))
    type(visualizer).add_datasample(
        visualizer, os.path.join(subfolder, name), image, data_sample, *args, **kwargs
    )
