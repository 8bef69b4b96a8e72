"""A model with its trained weights, and what it says of an image."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.runner import CheckpointLoader
from mmseg.apis import init_model
from mmseg.models import BaseSegmentor
from mmseg.registry import DATASETS

from mmseg_pointrend.datasets.validation import find_datasets
from mmseg_pointrend.engine.config import refuse_refiner
from mmseg_pointrend.engine.prediction.point_maps import noted_points, point_map
from mmseg_pointrend.engine.terminal import quiet_terminal
from mmseg_pointrend.engine.weights import check_weights
from mmseg_pointrend.errors import InputError
from mmseg_pointrend.models import PointRendEncoderDecoder, RefinedSegmentor
from mmseg_pointrend.rendering.grids import map_size


@dataclass(frozen=True)
class Prediction:
    """What a model says of an image, at the size of the file.

    Attributes:
        labels: (H, W), uint8, or uint16 if there are more than 256 classes.
        probabilities: (K, H, W), float16; of the second class alone, K being 1, if the
            model has one channel. None if they were not asked for.
        points: (H, W), bool, which pixels the last steps of rendering classified
            again; None if they were not asked for.
    """

    labels: np.ndarray
    probabilities: np.ndarray | None = None
    points: np.ndarray | None = None


class Predictor:
    """A model and what to ask of it.

    Args:
        model: of :func:`load_model`.
        probabilities: whether they are wanted.
        points: whether they are wanted.

    Raises:
        InputError: the model has no points, or no probabilities.
    """

    def __init__(
        self, model: BaseSegmentor, *, probabilities: bool = False, points: bool = False
    ) -> None:
        ours = isinstance(model, PointRendEncoderDecoder)
        if points and not ours:
            raise InputError(
                f'{type(model).__name__} has no points to draw: leave out --points, or '
                "give a config of type='PointRendEncoderDecoder'."
            )
        if probabilities and isinstance(model, RefinedSegmentor):
            raise InputError(
                'RefinedSegmentor has labels alone: leave out --probabilities, or give '
                'the config of its segmentor.'
            )
        if ours:
            model.test_cfg.return_logits = probabilities
        self.model = model
        self.probabilities = probabilities
        self.points = points

    @torch.no_grad()
    def __call__(self, data: dict[str, Any]) -> Prediction:
        """Predict an image as it comes from the pipeline."""
        image = map_size(data['inputs'])
        batch = dict(inputs=[data['inputs']], data_samples=[data['data_samples']])
        with noted_points(self.model, self.points) as renderings:
            [sample] = self.model.test_step(batch)
        kind = np.uint8 if classes_of(self.model) <= 256 else np.uint16
        labels = sample.pred_sem_seg.data[0].cpu().numpy().astype(kind)
        probabilities = points = None
        if self.probabilities:
            logits = sample.seg_logits.data
            # MMSegmentation's of one channel are probabilities already.
            shares = logits.softmax(dim=0) if len(logits) > 1 else logits
            probabilities = shares.half().cpu().numpy()
        if self.points:
            points = point_map(self.model, renderings, image, sample.metainfo).numpy()
        return Prediction(labels, probabilities, points)


def load_model(cfg: Config, checkpoint: str, device: str) -> BaseSegmentor:
    """Build the model of a config, for prediction, and load its weights.

    Its ``dataset_meta`` are the classes and the palette of the checkpoint, or of the
    config's data set if the checkpoint has none.

    Raises:
        InputError: the checkpoint is not one of this model, which labels images, or
            there is no such device.
    """
    check_device(device)
    refuse_refiner(cfg)
    with quiet_terminal():
        content = CheckpointLoader.load_checkpoint(checkpoint, map_location='cpu')
        model = init_model(cfg, device='cpu')
    check_weights(model, content, checkpoint)
    own = model.state_dict()
    weights = {
        name: value
        for key, value in content.get('state_dict', content).items()
        if (name := key.removeprefix('module.')) in own
        and own[name].shape == value.shape
    }
    model.load_state_dict(weights, strict=False)
    model.dataset_meta = meta_of(model, content, cfg)
    return model.to(device).eval()


def check_device(device: str) -> None:
    """Refuse a device that this machine does not have.

    Raises:
        InputError: it has none of the name.
    """
    try:
        torch.zeros(1, device=device)
    except Exception as error:
        reason = str(error).strip().splitlines()[0].rstrip('.')
        raise InputError(
            f'--device {device} cannot be used ({reason}): give cpu, or cuda:0 where '
            'there is a GPU.'
        ) from error


def classes_of(model: BaseSegmentor) -> int:
    """Tell how many labels a model can give; one channel tells two classes apart."""
    return 2 if model.out_channels == 1 else model.num_classes


def meta_of(
    model: BaseSegmentor, checkpoint: Mapping[str, Any], cfg: Config
) -> dict[str, Any]:
    """Find names and colours of the classes of a model.

    Returns:
        ``palette``, uint8, (K, 3), RGB, and ``classes``. If nothing has as many as the
        model, the colours are drawn by lot and there are no names.
    """
    count = classes_of(model)
    colours = np.random.default_rng(0).integers(0, 256, (count, 3), dtype=np.uint8)
    found: dict[str, Any] = {}
    for meta in metas(checkpoint, cfg):
        for key in ('classes', 'palette'):
            if len(meta.get(key) or ()) == count:
                found.setdefault(key, meta[key])
    palette = np.array(found.get('palette', colours), np.uint8)
    return dict(classes=tuple(found.get('classes', ())), palette=palette)


def metas(checkpoint: Mapping[str, Any], cfg: Config) -> Iterator[Mapping[str, Any]]:
    """Go through what says how classes are called, the checkpoint first."""
    meta = checkpoint.get('meta') or {}
    yield meta.get('dataset_meta') or {}
    yield dict(classes=meta.get('CLASSES'), palette=meta.get('PALETTE'))  # before 1.0
    for split in ('test', 'val', 'train'):
        loader: Mapping[str, Any] = cfg.get(f'{split}_dataloader') or {}
        datasets: Sequence[dict] = [*find_datasets(loader.get('dataset'))]
        for one in datasets:
            yield DATASETS.build({**one, 'lazy_init': True}).metainfo
