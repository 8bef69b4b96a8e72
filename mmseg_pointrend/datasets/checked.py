"""Datasets that say which file is wrong."""

from __future__ import annotations

import os
from collections.abc import Sequence
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
                '(tools/prepare_cityscapes.py and tools/prepare_camvid.py do).'
            )

    def load_data_list(self) -> list[dict[str, Any]]:
        """List the samples, whether they have labels or not.

        Raises:
            InputError: a folder is missing or empty.
        """
        check_folders(self)
        samples = super().load_data_list()
        check_samples(self, samples)
        return [{**sample, **ids_of(self)} for sample in samples]


def ids_of(dataset: BaseSegDataset) -> dict[str, int]:
    """What a sample must carry to have its image and label checked on loading."""
    return dict(
        num_classes=len(dataset.metainfo['classes']), ignore_index=dataset.ignore_index
    )


def check_folders(dataset: BaseSegDataset) -> None:
    """Raise an :class:`InputError` if a data set's folder or list is missing."""
    for key, folder in dataset.data_prefix.items():
        if folder and not fileio.isdir(folder, backend_args=dataset.backend_args):
            raise InputError(
                f'the data folder {Path(folder).absolute()} ({key}) does not exist:'
                ' link the data set there, or set data_root of '
                'train_dataloader.dataset, val_dataloader.dataset and '
                'test_dataloader.dataset.'
            )
    # MMSegmentation would take all images instead.
    if dataset.ann_file and not Path(dataset.ann_file).is_file():
        raise InputError(
            f'the list of images {dataset.ann_file} (ann_file) does not exist: correct '
            'the path, or remove the key to read the whole folder.'
        )


def check_samples(dataset: BaseSegDataset, samples: Sequence[dict[str, Any]]) -> None:
    """Raise an :class:`InputError` if a data set lists no samples, or an empty name."""
    if not samples:
        raise InputError(
            f'no *{dataset.img_suffix} in {dataset.data_prefix["img_path"]}: check '
            'data_prefix.img_path and img_suffix of the dataset.'
        )
    names = {os.path.basename(sample['img_path']) for sample in samples}
    if dataset.ann_file and dataset.img_suffix in names:
        raise InputError(
            f'the list of images {dataset.ann_file} (ann_file) has a blank line: '
            'remove it.'
        )


@DATASETS.register_module()
class CheckedCityscapesDataset(CheckedFiles, CityscapesDataset):
    """``CityscapesDataset`` with the checks of :class:`CheckedFiles`."""
