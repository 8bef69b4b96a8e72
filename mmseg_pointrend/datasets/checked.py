"""Datasets that say which file is wrong."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import mmengine.fileio as fileio
from mmseg.datasets import BaseSegDataset, CityscapesDataset
from mmseg.datasets.transforms import LoadAnnotations
from mmseg.registry import DATASETS

from mmseg_pointrend.datasets.loading import find_step
from mmseg_pointrend.errors import InputError, name_some


class CheckedFiles(BaseSegDataset):
    """Mixin for datasets on local disk: every fault of the data names its file.

    Folders and pairs of images and labels are checked when the dataset is built; what
    the files hold when the pipeline's ``LoadImageFromFile`` and ``LoadAnnotations``
    read them, which find ``num_classes`` and ``ignore_index`` in every sample.
    """

    def full_init(self) -> None:
        """List the samples and look for the label of each.

        Raises:
            InputError: a folder is missing or empty, or images have no label.
        """
        super().full_init()
        if find_step(self.pipeline, LoadAnnotations) is None:
            return
        wanted = [self.get_data_info(i)['seg_map_path'] for i in range(len(self))]
        missing = [path for path in wanted if not Path(path).is_file()]
        if missing:
            raise InputError(
                f'{len(missing)} of {len(wanted)} images have no label: '
                f'{name_some(missing)} do not exist; add them '
                '(tools/prepare_cityscapes.py and tools/prepare_camvid.py do), or '
                'list the images that have one in an ann_file.'
            )

    def load_data_list(self) -> list[dict[str, Any]]:
        """List the samples, whether they have labels or not.

        Raises:
            InputError: a folder or the list of images is missing or empty.
        """
        for key, folder in self.data_prefix.items():
            if folder and not fileio.isdir(folder, backend_args=self.backend_args):
                raise InputError(
                    f'the data folder {Path(folder).absolute()} ({key}) does not exist:'
                    ' link the data set there, or set data_root of '
                    'train_dataloader.dataset, val_dataloader.dataset and '
                    'test_dataloader.dataset.'
                )
        # MMSegmentation would take all images instead.
        if self.ann_file and not Path(self.ann_file).is_file():
            raise InputError(
                f'the list of images {self.ann_file} (ann_file) does not exist: correct'
                ' the path, or remove the key to read the whole folder.'
            )
        samples = super().load_data_list()
        if not samples:
            raise InputError(
                f'no *{self.img_suffix} in {self.data_prefix["img_path"]}: check '
                'data_prefix.img_path and img_suffix of the dataset.'
            )
        names = {os.path.basename(sample['img_path']) for sample in samples}
        if self.ann_file and self.img_suffix in names:
            raise InputError(
                f'the list of images {self.ann_file} (ann_file) has a blank line: '
                'remove it.'
            )
        ids = dict(
            num_classes=len(self.metainfo['classes']), ignore_index=self.ignore_index
        )
        return [{**sample, **ids} for sample in samples]


@DATASETS.register_module()
class CheckedCityscapesDataset(CheckedFiles, CityscapesDataset):
    """``CityscapesDataset`` with the checks of :class:`CheckedFiles`."""


@DATASETS.register_module()
class CheckedDataset(CheckedFiles):
    """``BaseSegDataset``, for data of your own, with the checks of ``CheckedFiles``."""
