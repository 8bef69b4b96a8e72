"""What ``train_cfg`` and ``test_cfg`` of the model may hold."""

from __future__ import annotations

from difflib import get_close_matches
from typing import Any

from mmseg_pointrend.errors import InputError, check_arguments

TEST_KEYS = 'mode', 'crop_size', 'stride', 'return_logits', 'resize_logits'
"""What ``test_cfg`` may hold."""

POINT_KEYS = (
    *('num_points', 'oversample_ratio', 'importance_sample_ratio'),
    *('subdivision_num_points', 'scale_factor'),
)
"""What is in ``train_cfg`` and ``test_cfg`` of MMSegmentation's ``PointHead``."""


def check_settings(train_cfg: dict[str, Any], test_cfg: dict[str, Any]) -> None:
    """Refuse keys that nothing reads, and what :func:`check_mode` refuses.

    What is None asks for nothing.

    Raises:
        InputError: names the first that is wrong, and where it belongs.
    """
    for name, cfg, known in (('train', train_cfg, ()), ('test', test_cfg, TEST_KEYS)):
        for key, value in cfg.items():
            if value is None or key in known:
                continue
            near = get_close_matches(key, known, n=1)
            if key in POINT_KEYS:
                fix = f'set model.point_head.{key} instead, and remove it'
            elif key == 'subdivision_steps':
                fix = 'the size of the image gives the number of steps, remove it'
            elif near:
                fix = f'nothing reads it, write {near[0]}'
            else:
                fix = 'nothing reads it, remove it'
            raise InputError(f'model.{name}_cfg.{key}: {fix}.')
    check_mode(test_cfg)


def check_mode(test_cfg: dict[str, Any]) -> None:
    """Refuse a mode that is not known, and sliding windows that leave gaps.

    Raises:
        InputError: the mode is wrong, the size of the windows or their distance is no
            pair of positive whole numbers, or the distance is larger.
    """
    mode = test_cfg['mode']
    right = mode in ('whole', 'slide')
    check_arguments([(right, f'{mode=}', "'whole' or 'slide'")], 'model.test_cfg.')
    if mode == 'whole':
        return
    pairs = [test_cfg.get(key) for key in ('crop_size', 'stride')]
    if not all(isinstance(pair, list | tuple) and len(pair) == 2 for pair in pairs):
        raise InputError(
            "test_cfg.mode='slide' needs the size of the windows and their distance, "
            '(height, width) each: add crop_size=(512, 1024), stride=(384, 768).'
        )
    for size, distance in zip(*pairs, strict=True):
        if (
            type(size) is not int
            or type(distance) is not int
            or not (0 < distance <= size)
        ):
            raise InputError(
                'model.test_cfg.crop_size={}, stride={}: give whole numbers with 0 < '
                'stride <= crop_size, or windows leave gaps.'.format(*pairs)
            )
