"""Makes MMEngine read every checkpoint without running what is in it."""

from __future__ import annotations

import json
import pickle
import re
from collections import OrderedDict
from collections.abc import Callable
from functools import partial, wraps
from pathlib import Path
from typing import Any
from urllib.error import URLError

import torch
from mmengine.infer import BaseInferencer
from mmengine.runner import CheckpointLoader
from mmengine.runner import checkpoint as checkpoint_module

from mmseg_pointrend.engine.unpickling import allow_mmengine_checkpoints, checked
from mmseg_pointrend.errors import InputError


class SafeTorch:
    """What MMEngine's module for checkpoints sees as ``torch``: loads only weights."""

    def __getattr__(self, name: str) -> Any:
        return getattr(torch, name)

    @staticmethod
    def load(file: Any, map_location: Any = None, **kwargs: Any) -> Any:
        """Load with ``weights_only=True``, whatever the caller or the shell asks."""
        return torch.load(file, map_location=map_location, weights_only=True)


class StateDict(OrderedDict):
    """A checkpoint of weights alone.

    ``init_model`` asks it for ``meta``, and ``EMAHook`` for ``state_dict``.
    """

    def __missing__(self, key: str) -> dict[str, Any]:
        if key == 'state_dict':
            return self
        if key != 'meta':
            raise KeyError(key)
        return {}


def safe_loader(loader: Callable[..., Any]) -> Callable[..., dict[str, Any]]:
    """Wrap a checkpoint loader of MMEngine so that nothing unchecked comes out.

    Args:
        loader: from a file name or URL and ``map_location`` to the file's content.

    Returns:
        The same, which raises :class:`InputError` for a file that cannot be read, is
        no checkpoint, or holds objects that are neither tensors nor what MMEngine
        stores. ``meta['config']``, which MMEngine would run as Python when it resumes
        (it writes ``meta['cfg']`` itself), is left out.
    """

    @wraps(loader)
    def load(filename: str, map_location: Any = None) -> dict[str, Any]:
        try:
            checkpoint = checked(loader(filename, map_location=map_location))
        except Exception as error:  # a damaged or crafted file can cause any
            raise in_a_sentence(error, filename) from error
        if not isinstance(checkpoint, dict) or not checkpoint:
            raise not_a_checkpoint(filename)
        if 'state_dict' in checkpoint:
            checkpoint.setdefault('meta', {})
        else:
            checkpoint = StateDict(checkpoint)
        if isinstance(checkpoint.get('meta'), dict):
            checkpoint['meta'].pop('config', None)
        return checkpoint

    return load


def in_a_sentence(error: Exception, filename: str) -> InputError:
    """Say what a user can do about an error from reading a checkpoint."""
    if isinstance(error, InputError):
        return error
    if isinstance(error, FileNotFoundError):
        return InputError(
            f'checkpoint {filename} does not exist: check the path (training writes '
            'iter_*.pth and last_checkpoint into its work_dir).'
        )
    if isinstance(error, URLError | ConnectionError | TimeoutError):
        return InputError(
            f'cannot download {filename} ({error}): put the file on this machine and '
            'pass --cfg-options model.pretrained=FILE, or start from random weights '
            'with model.pretrained=None.'
        )
    wanted = re.search(r'(?:file asks|GLOBAL) ([\w.]+)', str(error))
    if isinstance(error, pickle.UnpicklingError) and wanted:
        return InputError(
            f'{filename} is not safe to load, it asks for {wanted[1]}: give a '
            'checkpoint of MMEngine or a plain state dict.'
        )
    return not_a_checkpoint(filename)


def not_a_checkpoint(filename: str) -> InputError:
    """Write the sentence for a file that holds no weights."""
    return InputError(
        f'{filename} is not a checkpoint (truncated, or another kind of file): '
        'give a .pth file that training wrote.'
    )


@CheckpointLoader.register_scheme(prefixes=r'.*\.safetensors$')
def load_from_safetensors(filename: str, map_location: Any = None) -> dict[str, Any]:
    """Read a file of weights, and the JSON that ``pointrend publish`` adds as ``meta``.

    Args:
        filename: of a local file.
        map_location: not used: weights come to the CPU.

    Raises:
        InputError: the package safetensors is missing.
    """
    open_file = import_safetensors(filename).safe_open
    with open_file(Path(filename).expanduser(), 'pt') as file:
        weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        meta = dict(json.loads((file.metadata() or {}).get('meta', '{}')))
    return dict(state_dict=weights, meta=meta)


def import_safetensors(what: str) -> Any:
    """Import the package safetensors, which is an extra of this one.

    Raises:
        InputError: it is missing; ``what`` needs it.
    """
    try:
        import safetensors.torch
    except ImportError:
        raise InputError(
            f'{what} needs the package safetensors: pip install safetensors, or use a '
            '.pth file.'
        ) from None
    return safetensors


def use_safe_checkpoint_loaders() -> None:
    """Make MMEngine read every checkpoint, local or downloaded, in the safe way.

    MMEngine downloads with ``torch.hub``, which unpickles anything by default. The
    ``onedl-`` line unpickles anything when the safe way fails, and allows ``getattr``.
    """
    checkpoint_module.torch = SafeTorch()
    checkpoint_module.get_torch_safe_globals = list
    checkpoint_module.load_url = partial(checkpoint_module.load_url, weights_only=True)
    for prefix, loader in CheckpointLoader._schemes.items():
        CheckpointLoader.register_scheme(prefix, safe_loader(loader), force=True)


def refuse_configs_of_checkpoints() -> None:
    """Keep inferencers from running the config that a checkpoint holds.

    ``MMSegInferencer(weights=FILE)`` without a config takes it from the file, and a
    config is Python code.
    """
    build = BaseInferencer._init_model

    @wraps(build)
    def build_from_config(
        self: BaseInferencer, cfg: Any, weights: str | None, device: str = 'cpu'
    ) -> Any:
        if not cfg:
            raise InputError(
                f'{weights} comes without a config, and the one inside it is code that '
                'anyone may have written: give a config file of your own, '
                'MMSegInferencer(model=CONFIG, weights=CHECKPOINT).'
            )
        return build(self, cfg, weights, device)

    BaseInferencer._init_model = build_from_config


allow_mmengine_checkpoints()
use_safe_checkpoint_loaders()
refuse_configs_of_checkpoints()
