"""Checkpoints of other libraries' PointRend, made ours by new names."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.runner import CheckpointLoader
from torch import Tensor

from mmseg_pointrend.engine.safe_loading import safe_loader
from mmseg_pointrend.engine.unpickling import ArrayUnpickler
from mmseg_pointrend.errors import InputError, name_some
from mmseg_pointrend.files import atomic_write

Rule = tuple[str, str, int]
"""A regular expression of names, in which a dot is a dot; the new name, or '' for none;
and what is subtracted from the first group to get the number ``#`` in it."""

COARSE, POINTS = 'sem_seg_head.coarse_sem_seg_head', 'sem_seg_head.point_head'
STAGE = r'backbone.bottom_up.res([2-5]).(\d+)'
RULES: dict[str, list[Rule]] = {
    'mmseg': [
        (r'((?:backbone|neck|auxiliary_head).\S+)', r'\1', 0),
        (r'decode_head.0.(\S+)', r'decode_head.\1', 0),
        (r'decode_head.1.fcs.(\d+).conv.(\w+)', r'point_head.mlp.hidden.#.\2', 0),
        (r'decode_head.1.fc_seg.(\w+)', r'point_head.mlp.predictor.\1', 0),
        # Decode heads of MMSegmentation are built with one; PointHead uses none.
        (r'decode_head.1.conv_seg.\w+', '', 0),
    ],
    'detectron2': [
        (r'pixel_(mean|std)', '', 0),  # belongs to the config, see normalisation()
        (r'backbone.bottom_up.stem.conv1.weight', r'backbone.conv1.weight', 0),
        (r'backbone.bottom_up.stem.conv1.norm.(\w+)', r'backbone.bn1.\1', 0),
        (STAGE + r'.conv(\d).weight', r'backbone.layer#.\2.conv\3.weight', 1),
        (STAGE + r'.conv(\d).norm.(\w+)', r'backbone.layer#.\2.bn\3.\4', 1),
        (STAGE + r'.shortcut.weight', r'backbone.layer#.\2.downsample.0.weight', 1),
        (STAGE + r'.shortcut.norm.(\w+)', r'backbone.layer#.\2.downsample.1.\3', 1),
        (r'backbone.fpn_lateral([2-5]).(\w+)', r'neck.lateral_convs.#.conv.\2', 2),
        (r'backbone.fpn_output([2-5]).(\w+)', r'neck.fpn_convs.#.conv.\2', 2),
        (
            COARSE + r'.p([2-5]).(\d).weight',
            r'decode_head.scale_heads.#.\2.conv.weight',
            2,
        ),
        (
            COARSE + r'.p([2-5]).(\d).norm.(\w+)',
            r'decode_head.scale_heads.#.\2.gn.\3',
            2,
        ),
        (COARSE + r'.predictor.(\w+)', r'decode_head.conv_seg.\1', 0),
        (POINTS + r'.fc(\d+).(\w+)', r'point_head.mlp.hidden.#.\2', 1),
        (POINTS + r'.predictor.(\w+)', r'point_head.mlp.predictor.\1', 0),
    ],
}
KINDS = {
    'mmseg': (
        ['decode_head.1.fcs.0.conv.weight', 'decode_head.1.fc_seg.weight'],
        "MMSegmentation's CascadeEncoderDecoder with decode_head=[HOST, PointHead]",
    ),
    'detectron2': (
        [f'{POINTS}.fc1.weight', f'{POINTS}.predictor.weight'],
        "detectron2's PointRendSemSegHead with StandardPointHead on a ResNet with FPN",
    ),
}
"""Weights that every checkpoint of a family has, and the models that it comes from."""
PIXELS = {'pixel_mean': [103.53, 116.28, 123.675], 'pixel_std': [1.0, 1.0, 1.0]}
"""How the configs of the ``detectron2`` family normalise an image, BGR."""


def convert(
    family: str, source: str, out: Path, *, overwrite: bool = False
) -> list[str]:
    """Rename the weights of a checkpoint for ``PointRendEncoderDecoder``.

    Names of classes and their colours stay; the optimizer and the old config do not.

    Args:
        family: of :data:`RULES`.
        source: a ``.pth`` file, or a ``.pkl`` file of detectron2's.
        out: the new checkpoint.
        overwrite: replace a file that exists.

    Returns:
        Lines that say what was written, and what its config must hold.

    Raises:
        InputError: the checkpoint cannot be read or is of another model, a weight has
            no rule, or the new one exists or cannot be written.
    """
    if out.exists() and not overwrite:
        raise InputError(f'{out} exists: give another OUT, or --overwrite.')
    checkpoint = read(source)
    weights = checkpoint.get('model') if family == 'detectron2' else None
    weights = weights or checkpoint['state_dict']
    renamed = rename(family, weights, source)
    meta = dataset_meta(checkpoint.get('meta') or {})
    buffer = io.BytesIO()
    torch.save(dict(state_dict=renamed, meta=meta), buffer)
    with atomic_write(out) as temporary:
        temporary.write_bytes(buffer.getbuffer())
    return [
        f'Wrote {out}, {len(renamed)} weights, for configs/converted/{family}',
        describe(renamed),
        *normalisation(weights),
    ]


def read(source: str) -> dict[str, Any]:
    """Read a checkpoint without running what is in it.

    Raises:
        InputError: it cannot be read, or is not safe to.
    """
    if source.endswith('.pkl'):
        return read_pickle(source)
    return CheckpointLoader.load_checkpoint(source, 'cpu', logger='silent')


@safe_loader
def read_pickle(source: str, map_location: Any = None) -> Any:
    """Read a file of detectron2's model zoo, as records."""
    with Path(source).open('rb') as file:
        return ArrayUnpickler(file).load()


def rename(family: str, weights: Any, source: str) -> dict[str, Tensor]:
    """Give every weight its new name.

    Args:
        family: of :data:`RULES`.
        weights: tensors or arrays by name.
        source: the file they come from.

    Raises:
        InputError: the weights are of another model, or one has no rule.
    """
    marks, model = KINDS[family]
    if not isinstance(weights, Mapping):
        weights = {}
    weights = {str(name).removeprefix('module.'): weights[name] for name in weights}
    missing = [name for name in marks if name not in weights]
    if missing:
        raise InputError(
            f'{source} has no {missing[0]}: give a checkpoint of {model} '
            f'(docs/convert.md), or another family than {family}.'
        )
    names = {
        name: new_name(name, RULES[family])
        for name, value in weights.items()
        if isinstance(value, Tensor | np.ndarray)
    }
    unknown = [name for name in weights if names.get(name) is None]
    if unknown:
        raise InputError(
            f'{source} holds {name_some(unknown)}, for which there is no rule: give a '
            f'checkpoint of {model}, with nothing else in it (docs/convert.md).'
        )
    return {new: torch.as_tensor(weights[name]) for name, new in names.items() if new}


def new_name(name: str, rules: list[Rule]) -> str | None:
    """Find the new name of a weight, '' if it gets none; None without a rule."""
    for pattern, target, first in rules:
        match = re.fullmatch(pattern.replace('.', r'\.'), name)
        if match:
            number = int(match[1]) - first if '#' in target else 0
            return match.expand(target).replace('#', str(number))
    return None


def dataset_meta(meta: dict[str, Any]) -> dict[str, Any]:
    """Keep the classes and their colours, which MMSegmentation 0.x calls otherwise."""
    old = {key.lower(): meta[key] for key in ('CLASSES', 'PALETTE') if meta.get(key)}
    kept = meta.get('dataset_meta') or old
    return dict(dataset_meta=kept) if kept else {}


def describe(weights: dict[str, Tensor]) -> str:
    """Say what a config must hold to take converted weights."""
    pattern = r'point_head\.mlp\.hidden\.\d+\.weight'
    num_layers = sum(re.fullmatch(pattern, name) is not None for name in weights)
    width = len(weights['point_head.mlp.hidden.0.weight'])
    classes, inputs, _ = weights['point_head.mlp.predictor.weight'].shape
    return (
        f'num_classes={classes}, point_head.mlp of {num_layers=}, '
        f'hidden_channels={width}, coarse_pred_each_layer={inputs > width}'
    )


def normalisation(weights: Mapping[str, Any]) -> list[str]:
    """Say where a model normalised images otherwise than our configs for it do."""
    lines = []
    for name, usual in PIXELS.items():
        values = torch.as_tensor(weights.get(name, usual)).float().flatten()
        if not torch.allclose(values, torch.tensor(usual)):
            key = name.removeprefix('pixel_')
            lines.append(f'set model.data_preprocessor.{key}={values.tolist()}')
    return lines
