"""Datasets in MMSegmentation's registry."""

from mmseg_pointrend.datasets.camvid import CamVidDataset
from mmseg_pointrend.datasets.checked import (
    CheckedCityscapesDataset,
    CheckedDataset,
    CheckedFiles,
)

__all__ = [
    'CamVidDataset',
    'CheckedCityscapesDataset',
    'CheckedDataset',
    'CheckedFiles',
]
