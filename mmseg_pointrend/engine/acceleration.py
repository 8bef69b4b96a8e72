"""Faster inference: convolutions that swallow their BatchNorm, and compilation.

Both change the model in place, after its weights are loaded::

    model = init_model(config, checkpoint)
    compile_model(fuse_conv_bn(model))
    result = inference_model(model, image)
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, TypeVar

import mmcv.cnn
import torch

from mmseg_pointrend.engine.wrappers import unwrapped
from mmseg_pointrend.errors import InputError, one_line
from mmseg_pointrend.models import PointRendEncoderDecoder

Model = TypeVar('Model', bound=torch.nn.Module)

MOST_CLASSES = 32
"""More make a compiled renderer slower than the eager one, and take minutes."""


def fuse_conv_bn(model: Model) -> Model:
    """Merge BatchNorm into the convolutions before it, in place, for inference.

    Load the checkpoint first. Labels stay the same, but for rounding.
    """
    mmcv.cnn.fuse_conv_bn(model.eval())
    return model


def compile_model(model: Model, **options: Any) -> Model:
    """Compile the network and the renderer of labels, for inference.

    The first image of each size takes minutes on a CPU, later ones of that size are
    fast. Without a compiler the model stays as it is, with one warning. What renders
    logits (``return_logits``, test-time augmentation, sliding windows) gains from the
    network alone. Copies of a compiled model share its weights.

    Args:
        model: a :class:`PointRendEncoderDecoder`, also wrapped, changed in place.
        options: of :func:`torch.compile`, such as ``mode='max-autotune'``.

    Raises:
        InputError: the model is another one.
    """
    network = unwrapped(model)
    if not isinstance(network, PointRendEncoderDecoder):
        raise InputError(
            f'{type(network).__name__} cannot be compiled by mmseg_pointrend: use a '
            "config with model.type='PointRendEncoderDecoder'."
        )
    compiler = Compiler(**options)
    for method in ('extract', 'decode'):
        network.__dict__[method] = compiler.compile(getattr(network, method))
    if network.out_channels <= MOST_CLASSES:
        head = network.point_head
        head.__dict__['render_labels'] = compiler.compile(
            head.render_labels, fullgraph=True
        )
    return model


class Compiler:
    """Compile functions when they are first called, as long as that works."""

    def __init__(self, **options: Any) -> None:
        self.options = options
        self.works = True

    def compile(
        self, function: Callable[..., Any], **options: Any
    ) -> Callable[..., Any]:
        """Make a compiled function, which is the plain one once compilation failed."""
        compiled = torch.compile(function, **self.options, **options)

        def call(*args: Any, **kwargs: Any) -> Any:
            if not self.works:
                return function(*args, **kwargs)
            try:
                return compiled(*args, **kwargs)
            except torch.OutOfMemoryError:
                raise
            except Exception as error:
                result = function(*args, **kwargs)
                self.works = False
                warnings.warn(
                    f'torch.compile failed ({one_line(error)[:200]}), going on without '
                    'it: if no compiler was found, install g++ (on a GPU, Triton).',
                    stacklevel=2,
                )
                return result

        return call
