"""Makes MMEngine read every checkpoint without running what is in it."""

from __future__ import annotations

import pickle
import re
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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


@contextmanager
def one_sentence(filename: str) -> Iterator[None]:
    """Turn what can go wrong while a checkpoint is read into an :class:`InputError`."""
    try:
        yield
    except InputError:
        raise
    except (URLError, ConnectionError, TimeoutError) as error:
        raise InputError(
            f'cannot download {filename} ({error}): put the file on this machine and '
            'pass --cfg-options model.pretrained=FILE, '
            'or start from random weights with model.pretrained=None.'
        ) from error
    except pickle.UnpicklingError as error:
        wanted = re.search(r'(?:file asks|GLOBAL) ([\w.]+)', str(error))
        if wanted is None:
            raise not_a_checkpoint(filename) from error
        raise InputError(
            f'{filename} is not safe to load, it asks for {wanted[1]}: '
            'give a checkpoint of MMEngine or a plain state dict.'
        ) from error
    except Exception as error:  # a damaged or crafted file can cause any
        raise not_a_checkpoint(filename) from error


def not_a_checkpoint(filename: str) -> InputError:
    """The sentence for a file that holds no weights."""
    return InputError(
        f'{filename} is not a checkpoint (truncated, or another kind of file): '
        'give a .pth file that training wrote.'
    )


class StateDict(OrderedDict):
    """A checkpoint of weights alone; ``init_model`` asks it for ``meta``."""

    def __missing__(self, key: str) -> dict[str, Any]:
        if key != 'meta':
            raise KeyError(key)
        return {}


def safe_loader(
    loader: Callable[..., Any],
) -> Callable[..., dict[str, Any]]:
    """Wrap a checkpoint loader of MMEngine so that errors are one sentence.

    Args:
        loader: from a file name or URL and ``map_location`` to the file's content.

    Returns:
        The same, which raises :class:`InputError` for a file that cannot be
        downloaded, is no checkpoint, or holds objects that are neither tensors nor
        what MMEngine stores. ``meta['config']``, which MMEngine would run as Python
        when it resumes (it writes ``meta['cfg']`` itself), is left out.
    """

    @wraps(loader)
    def load(filename: str, map_location: Any = None) -> dict[str, Any]:
        with one_sentence(filename):
            checkpoint = checked(loader(filename, map_location=map_location))
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


class SafeTorch:
    """What MMEngine's module for checkpoints sees as ``torch``: loads only weights."""

    def __getattr__(self, name: str) -> Any:
        return getattr(torch, name)

    @staticmethod
    def load(file: Any, map_location: Any = None, **kwargs: Any) -> Any:
        """``torch.load(weights_only=True)``, whatever the caller or the shell asks."""
        return torch.load(file, map_location=map_location, weights_only=True)


def load_from_local(filename: str, map_location: Any = None) -> Any:
    """Read a file without unpickling arbitrary objects, on every version of torch.

    Args:
        filename: path of a ``.pth`` file.
        map_location: as in :func:`torch.load`.

    Raises:
        InputError: the file does not exist.
    """
    path = Path(filename).expanduser()
    if not path.is_file():
        raise InputError(
            f'checkpoint {filename} does not exist: check the path '
            '(training writes iter_*.pth and last_checkpoint into its work_dir).'
        )
    return torch.load(path, map_location=map_location, weights_only=True)


def use_safe_checkpoint_loaders() -> None:
    """Make MMEngine read every checkpoint, local or downloaded, in the safe way.

    MMEngine downloads with ``torch.hub``, which unpickles anything by default. The
    ``onedl-`` line unpickles anything when the safe way fails, and allows ``getattr``.
    """
    checkpoint_module.torch = SafeTorch()
    checkpoint_module.get_torch_safe_globals = list
    checkpoint_module.load_url = partial(checkpoint_module.load_url, weights_only=True)
    loaders = {**CheckpointLoader._schemes, '': load_from_local}
    for prefix, loader in loaders.items():
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
