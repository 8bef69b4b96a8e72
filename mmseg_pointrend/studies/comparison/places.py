"""Where in a data set rendering helps most, and where it hurts most."""

from __future__ import annotations

from collections.abc import Sequence
from heapq import nlargest
from pathlib import Path

from mmengine.config import Config
from mmseg.registry import DATASETS
from rich.progress import track
from torch.utils.data import ConcatDataset

from mmseg_pointrend.datasets.validation import find_datasets
from mmseg_pointrend.engine.prediction.inputs import check_out
from mmseg_pointrend.engine.prediction.model import load_model
from mmseg_pointrend.engine.prediction.reading import loads_labels
from mmseg_pointrend.engine.weights import check_classes
from mmseg_pointrend.errors import InputError
from mmseg_pointrend.models import PointRendEncoderDecoder
from mmseg_pointrend.studies.accuracy.predictions import check_whole_images
from mmseg_pointrend.studies.comparison.picture import Window, compare, densest, draw


def compare_images(
    cfg: Config,
    checkpoint: str,
    out: Path,
    *,
    split: str,
    count: int,
    device: str,
    overwrite: bool = False,
) -> None:
    """Draw the images in which rendering helps most, and those in which it hurts most.

    An image counts by the part of it, as large as the zoom, in which the pixels that
    are put right outnumber those that are put wrong by most; or the other way round.
    The network runs twice on what is drawn, so that memory holds one image.

    Args:
        cfg: config of a model with points.
        checkpoint: file.
        out: folder for the pictures.
        split: ``'train'``, ``'val'`` or ``'test'``.
        count: of pictures of each kind, at most.
        device: of the network.
        overwrite: whether ``out`` may have files.

    Raises:
        InputError: the model has no points or is of other classes, or the data set has
            no labels.
    """
    check_out(out, overwrite)
    model = load_model(cfg, checkpoint, device)
    if not isinstance(model, PointRendEncoderDecoder):
        raise InputError(
            f'{type(model).__name__} has no points to compare with: give a config of '
            "type='PointRendEncoderDecoder'."
        )
    check_whole_images(model)
    dataset = labelled(cfg, split)
    found = getattr(dataset.datasets[0], 'metainfo', {}).get('classes')
    check_classes(model.dataset_meta['classes'], found, checkpoint)
    palette = model.dataset_meta['palette']
    places: dict[str, list[tuple[int, int, Window]]] = {'helps': [], 'hurts': []}
    right = wrong = 0
    for i in track(range(len(dataset)), description='comparing'):
        gain = compare(model, dataset[i]).gain
        right, wrong = right + (gain > 0).sum(), wrong + (gain < 0).sum()
        for kind, sign in (('helps', 1), ('hurts', -1)):
            window = densest(sign * gain)
            net = int(sign * gain[window].sum())
            if net > 0:
                best = [*places[kind], (net, i, window)]
                places[kind] = nlargest(count, best, key=lambda place: place[0])
    for kind, best in places.items():
        for rank, (_net, i, window) in enumerate(best, start=1):
            sample = dataset[i]
            result = compare(model, sample)
            name = Path(sample['data_samples'].img_path).stem
            file = f'{kind}_{rank}_{name}.png'
            there = result.gain[window]
            says = f'{(there > 0).sum()} pixels put right, {(there < 0).sum()} wrong'
            title = f'{name}: where rendering {kind}, {says} in the frame'
            draw(result, window, palette, title, out / file)
            print(f'{file}: {says} in the frame')
        if not best:
            print(f'there is no place where rendering {kind}')
    print(f'all {len(dataset)} images: {right} pixels put right, {wrong} wrong')
    print(f'written to {out}')


def labelled(cfg: Config, split: str) -> ConcatDataset:
    """Build the data sets of a split, with labels and the pipeline of tests.

    Raises:
        InputError: there are none.
    """
    configs = {
        name: [*find_datasets((cfg.get(f'{name}_dataloader') or {}).get('dataset'))]
        for name in (split, 'val', 'test')
    }
    tests = [one for name in configs if name != 'train' for one in configs[name]]
    pipelines = [one['pipeline'] for one in tests if loads_any_labels(one['pipeline'])]
    parts = [
        DATASETS.build({**one, 'pipeline': pipelines[0], 'test_mode': True})
        for one in configs[split]
        if pipelines
    ]
    if not sum(map(len, parts)) or 'seg_map_path' not in parts[0].data_prefix:
        raise InputError(
            f'{split}_dataloader.dataset has no images with labels: give data_root, '
            'data_prefix.seg_map_path and LoadAnnotations in the pipeline, or another '
            '--split.'
        )
    return ConcatDataset(parts)


def loads_any_labels(pipeline: Sequence[dict]) -> bool:
    """Tell whether a pipeline has a transform that loads annotations."""
    return any(loads_labels(step['type']) for step in pipeline)
