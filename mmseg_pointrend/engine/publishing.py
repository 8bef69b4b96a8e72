"""From a checkpoint of a training to a file that is given away."""

from __future__ import annotations

import io
import json
import math
import re
import shlex
from collections.abc import Mapping
from contextlib import ExitStack
from copy import deepcopy
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.runner import CheckpointLoader
from mmseg.apis import init_model
from mmseg.models import BaseSegmentor
from torch import Tensor

from mmseg_pointrend import __version__
from mmseg_pointrend.engine.commands import start
from mmseg_pointrend.engine.config import portable
from mmseg_pointrend.engine.model_card import card_of
from mmseg_pointrend.engine.prediction.model import meta_of
from mmseg_pointrend.engine.retrofit import figures_of
from mmseg_pointrend.engine.safe_loading import import_safetensors
from mmseg_pointrend.engine.terminal import quiet_terminal
from mmseg_pointrend.engine.weights import check_weights
from mmseg_pointrend.errors import InputError, one_line
from mmseg_pointrend.files import atomic_write


def publish(
    cfg: Config,
    checkpoint: str,
    out: Path,
    *,
    name: str,
    dtype: str = 'float32',
    suffix: str = 'pth',
    metrics: Path | None = None,
    overwrite: bool = False,
) -> list[str]:
    """Write the weights of a model with what says which model it is.

    Where MMEngine's ``EMAHook`` has averaged weights these are published: it puts them
    into ``state_dict``, which validation and tests use, too.

    Args:
        cfg: config of the model.
        checkpoint: its file or URL.
        out: folder, which gets ``{name}-{hash}.{suffix}``, ``{name}.py``, the config,
            and ``MODEL.md``, the model card.
        name: of the model.
        dtype: of all weights and statistics that are no integers; loading casts back.
        suffix: ``'pth'`` or ``'safetensors'``.
        metrics: JSON file as in :func:`read_metrics`.
        overwrite: replace files that exist.

    Returns:
        Lines that say what was written, and a command that uses it.

    Raises:
        InputError: the checkpoint is none of this model, nothing names its classes,
            ``dtype`` cannot hold a weight, or a file exists or cannot be written.
    """
    if Path(name).name != name:
        raise InputError(f'--name {name}: give a name without folders.')
    if suffix == 'safetensors':
        import_safetensors('--format safetensors')
    figures = read_metrics(metrics) if metrics else {}
    with quiet_terminal():
        content = CheckpointLoader.load_checkpoint(checkpoint, map_location='cpu')
        model = init_model(deepcopy(cfg), device='cpu')
    check_weights(model, content, checkpoint)
    weights = cast_weights(model, content, checkpoint, getattr(torch, dtype))
    if not metrics and len(weights) == len(content['state_dict']):
        figures = figures_in(content)  # and not of a model that has more than this one
    dataset_meta = meta_of(model, content, cfg)
    if not dataset_meta['classes']:
        raise InputError(
            f'neither {checkpoint} nor the data sets of its config name the classes: '
            'set test_dataloader.dataset.metainfo=dict(classes=..., palette=...).'
        )
    text = portable(cfg)
    meta = dict(
        dataset_meta=dict(
            classes=[*dataset_meta['classes']],
            palette=dataset_meta['palette'].tolist(),
        ),
        cfg=text,
        metrics=figures,
        mmseg_pointrend_version=__version__,
    )
    digest = hash_of(weights)
    file = out / f'{name}-{digest[:8]}.{suffix}'
    config, card = out / f'{name}.py', out / 'MODEL.md'
    existing = [path for path in (file, config, card) if path.exists()]
    if existing and not overwrite:
        raise InputError(f'{existing[0]} exists: give another --out, or --overwrite.')
    data = {
        file: packed(weights, meta, suffix),
        config: text.encode(),
        card: card_of(model, meta, file, dtype, digest).encode(),
    }
    with ExitStack() as stack:  # all are written before the first takes its place
        for path in data:
            stack.enter_context(atomic_write(path)).write_bytes(data[path])
    command = [*start('predict', config), str(file), 'IMAGES', '--out', 'predictions']
    return [
        f'Wrote {file}, {len(data[file]) / 1e6:.1f} MB; {config}; {card}',
        f'Next: {shlex.join(command)}',
    ]


def read_metrics(path: Path) -> dict[str, float]:
    """Read figures by name, without times.

    Args:
        path: JSON file; of a retrofit's ``figures.json`` those after it count.

    Raises:
        InputError: it is no JSON object of numbers.
    """
    try:
        content = json.loads(path.read_text())
        content = content.get('after', content)
        wrong = [name for name, value in content.items() if not is_number(value)]
        reason = f'{wrong[0]} is none' if wrong else ''
    except (OSError, ValueError, AttributeError) as error:
        reason = one_line(error)
    if reason:
        raise InputError(
            f'--metrics {path} is no JSON object of numbers ({reason}): give '
            '{"mIoU": 71.2, ...}, as tools/test.py writes into its work dir.'
        )
    return {name: value for name, value in content.items() if 'time' not in name}


def is_number(value: Any) -> bool:
    """Tell numbers from other things in JSON, such as ``true`` and ``NaN``."""
    return type(value) in (int, float) and math.isfinite(value)


def figures_in(checkpoint: Mapping[str, Any]) -> dict[str, float]:
    """Read the figures of its own weights from a checkpoint, if it has any.

    MMEngine validates after it has written a checkpoint, whose log ends with figures of
    older weights then; but it writes the best ones after their validation.
    """
    hub, meta = checkpoint.get('message_hub') or {}, checkpoint.get('meta') or {}
    for key, path in hub.get('runtime_info', {}).items():
        best = re.search(r'_(iter|epoch)_(\d+)\.pth$', str(path))
        if key.startswith('best_ckpt') and best and meta.get(best[1]) == int(best[2]):
            return figures_of(hub['log_scalars'])
    return {}


def cast_weights(
    model: BaseSegmentor, checkpoint: dict, source: str, dtype: torch.dtype
) -> dict[str, Tensor]:
    """Take the weights that a model has out of a checkpoint, as copies.

    Raises:
        InputError: one has values that ``dtype`` cannot hold.
    """
    own = model.state_dict()
    weights = {}
    for key, value in checkpoint.get('state_dict', checkpoint).items():
        name = key.removeprefix('module.')
        if name not in own or own[name].shape != value.shape:
            continue
        weights[name] = value.detach().clone(memory_format=torch.contiguous_format)
        if value.is_floating_point():
            weights[name] = weights[name].to(dtype)
        if not weights[name].isfinite().all():
            largest, most = value.abs().max().item(), torch.finfo(dtype).max
            kind = str(dtype).removeprefix('torch.')
            fix = '--dtype float32' if math.isfinite(largest) else 'another checkpoint'
            raise InputError(
                f'{source}: {name} reaches {largest:.6g}, and {kind} holds numbers up '
                f'to {most:.6g}: give {fix}.'
            )
    return weights


def hash_of(weights: Mapping[str, Tensor]) -> str:
    """Compute the SHA-256 of weights: their names, types, shapes and values."""
    digest = sha256()
    for name in sorted(weights):
        value = weights[name].cpu().numpy()
        digest.update(f'{name} {value.dtype} {value.shape}\n'.encode())
        digest.update(value.tobytes())
    return digest.hexdigest()


def packed(weights: dict[str, Tensor], meta: dict[str, Any], suffix: str) -> bytes:
    """Make the content of a file."""
    if suffix == 'safetensors':
        texts = dict(format='pt', meta=json.dumps(meta))
        return import_safetensors(suffix).torch.save(weights, texts)
    buffer = io.BytesIO()
    torch.save(dict(meta=meta, state_dict=weights), buffer)
    return buffer.getvalue()
