"""Datasets in MMSegmentation's registry."""

from mmseg_pointrend.datasets.camvid import CamVidDataset
from mmseg_pointrend.datasets.checked import (
    CheckedCityscapesDataset,
    CheckedDataset,
    CheckedFiles,
)
from mmseg_pointrend.datasets.mask_transforms import (
    PackMaskInputs,
    PerturbMask,
    RandomRegion,
)

__all__ = [
    'CamVidDataset',
    'CheckedCityscapesDataset',
    'CheckedDataset',
    'CheckedFiles',
    'PackMaskInputs',
    'PerturbMask',
    'RandomRegion',
]
