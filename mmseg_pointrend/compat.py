"""Version checks, and workarounds for the versions this project runs on.

Importing this module must come before the first ``import mmseg``.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NoReturn

import mmcv
import mmengine
import numpy as np
import torch
from mmcv.utils import ext_loader
from mmengine._strategy import FSDPStrategy
from mmengine.config import Config, config
from mmengine.config.utils import MODULE2PACKAGE
from mmengine.utils import digit_version
from torch.distributed.fsdp import FullyShardedDataParallel

TORCH_MIN = '2.10.0'
NUMPY_BELOW = '2.4.0'
CONFIGS = Path(__file__).parent / '.mim/configs'
"""What ``mmseg_pointrend::`` stands for in ``_base_``; MMEngine's place for it."""


def check_torch_version(version: str = torch.__version__) -> None:
    """Refuse a torch whose ``weights_only`` does not protect.

    Raises:
        ImportError: ``version`` is below 2.10.0.
    """
    if digit_version(version.partition('+')[0]) < digit_version(TORCH_MIN):
        raise ImportError(
            f'torch {version} is too old: before {TORCH_MIN} a checkpoint can run code '
            f"as it is loaded (CVE-2026-24747): pip install 'torch>={TORCH_MIN}'."
        )


def check_numpy_version(version: str = np.__version__) -> None:
    """Refuse a numpy without what cityscapesScripts 2.3.0 calls (``np.in1d``).

    Raises:
        ImportError: ``version`` is 2.4.0 or newer.
    """
    if digit_version(version) >= digit_version(NUMPY_BELOW):
        raise ImportError(
            f'numpy {version} is too new for cityscapesScripts: '
            f"pip install 'numpy<{NUMPY_BELOW}'."
        )


def check_mmcv_version() -> None:
    """Ask MMSegmentation whether it accepts the installed MMCV and MMEngine.

    Raises:
        ImportError: it refuses one of them.
    """
    try:
        import mmseg  # noqa: F401
    except AssertionError as error:
        raise ImportError(
            f'mmcv {mmcv.__version__} with mmengine {mmengine.__version__} does not '
            'work with the installed mmsegmentation: pip install mmcv-lite==2.1.0 '
            'mmengine==0.10.7 mmsegmentation==1.2.2.'
        ) from error


class MissingOps:
    """A stand-in for ``mmcv._ext``: every op exists and says why it cannot run."""

    def __getattr__(self, name: str) -> Callable[..., NoReturn]:
        def missing(*args: Any, **kwargs: Any) -> NoReturn:
            raise RuntimeError(
                f'the op {name!r} needs the compiled mmcv: '
                'pip uninstall mmcv-lite, then pip install mmcv==2.1.0.'
            )

        return missing


def allow_mmcv_lite() -> None:
    """Let ``import mmseg.models`` pass with mmcv-lite.

    mmseg imports ``mmcv.ops``, whose modules load the compiled ``mmcv._ext`` at
    import time although mmseg's models need none of it here. ``sys.modules`` stays
    untouched: MMEngine probes it to tell mmcv from mmcv-lite.
    """
    if find_spec('mmcv._ext') is None:
        ext_loader.load_ext = lambda name, funcs: MissingOps()


def load_sharded_optimizer(strategy: FSDPStrategy, state: dict[str, Any]) -> None:
    """Do what ``FSDPStrategy.load_optim_state_dict`` does, with torch 2.1 and newer.

    MMEngine gives the arguments in the order that torch 2.0 had.
    """
    wrapper = strategy.optim_wrapper
    load = FullyShardedDataParallel.optim_state_dict_to_load
    wrapper.load_state_dict(load(strategy.model, wrapper.optimizer, state))


def installed_path(package: str) -> str | None:
    """Find the folder of a package, as MMEngine's ``get_installed_path``.

    That one needs ``pkg_resources``, which setuptools has no more since version 82.
    """
    modules = {package: module for module, package in MODULE2PACKAGE.items()}
    spec = find_spec(modules.get(package, package))
    return str(Path(spec.origin).parent) if spec and spec.origin else None


find_base = Config._get_cfg_path


def find_base_or_ours(path: str, filename: str) -> tuple[str, str | None]:
    """Do what ``Config._get_cfg_path`` does, and know ``mmseg_pointrend::``.

    It has no scope: its modules are in MMSegmentation's registries.
    """
    package, _, name = path.partition('::')
    if package == 'mmseg_pointrend' and name:
        return str(CONFIGS / name), None
    return find_base(path, filename)


@contextmanager
def init_dist_without_cuda() -> Iterator[None]:
    """Let MMEngine start processes on CPUs: its set-up chooses a CUDA device always."""
    set_device = torch.cuda.set_device
    torch.cuda.set_device = lambda device: None
    try:
        yield
    finally:
        torch.cuda.set_device = set_device


def keep_compilers_off_samples() -> None:
    """Keep ``torch.compile`` out of the preprocessor, so that MMEngine's works.

    It copies the meta information of samples, and a compiler that looks on compiles
    again for every file name.
    """
    from mmseg.models import SegDataPreProcessor

    SegDataPreProcessor.forward = torch.compiler.disable(SegDataPreProcessor.forward)


if sys.version_info < (3, 10):  # noqa: UP036  (an import without pip)
    raise ImportError(
        f'Python {sys.version.split()[0]} is too old: make an environment with '
        'Python 3.10 or newer.'
    )
check_torch_version()
check_numpy_version()
check_mmcv_version()
allow_mmcv_lite()
keep_compilers_off_samples()
FSDPStrategy.load_optim_state_dict = load_sharded_optimizer
Config._get_cfg_path = staticmethod(find_base_or_ours)
if find_spec('pkg_resources') is None:
    config.get_installed_path = config.is_installed = installed_path
