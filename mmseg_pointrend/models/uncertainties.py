"""The names that configs have for measures of uncertainty.

A project adds its own measure under a name that configs can use::

    from mmseg_pointrend.models.uncertainties import UNCERTAINTIES

    @UNCERTAINTIES.register_module()
    def least_confidence(logits):
        return 1 - logits.float().softmax(dim=1).amax(dim=1)
"""

from __future__ import annotations

from functools import partial

from mmengine.registry import Registry

from mmseg_pointrend.errors import InputError
from mmseg_pointrend.rendering.uncertainty import (
    Uncertainty,
    binary_margin,
    entropy,
    logit_margin,
    probability_margin,
)

UNCERTAINTIES = Registry('uncertainty', scope='mmseg')

MULTI_CLASS = logit_margin, probability_margin, entropy
for measure in MULTI_CLASS:
    UNCERTAINTIES.register_module(module=measure)


def get_uncertainty(
    name: str, out_channels: int, threshold: float | None
) -> Uncertainty:
    """Look an uncertainty function up by name.

    With one output channel the built-in measures mean nothing, so
    ``binary_margin`` takes their place; a function registered by the user stays.

    Args:
        name: a key of :data:`UNCERTAINTIES`.
        out_channels: channels of the logits it will see.
        threshold: decision probability of a binary model.

    Raises:
        InputError: ``name`` is not registered.
    """
    function = UNCERTAINTIES.get(name) if isinstance(name, str) else None
    if function is None:
        raise InputError(
            f'point_head.uncertainty={name!r} is unknown: use one of '
            f'{", ".join(sorted(UNCERTAINTIES.module_dict))}, or register your own '
            'in mmseg_pointrend.models.uncertainties.UNCERTAINTIES.'
        )
    if out_channels == 1 and function in MULTI_CLASS:
        assert threshold is not None
        return partial(binary_margin, threshold=threshold)
    return function
