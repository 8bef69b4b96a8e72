"""Datasets that say which file is wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from mmcv.transforms import LoadImageFromFile
from mmseg.datasets import BaseSegDataset, CityscapesDataset
from mmseg.datasets.transforms import LoadAnnotations
from mmseg.registry import DATASETS

from mmseg_pointrend.errors import InputError, name_some


class CheckedFiles(BaseSegDataset):
    """Mixin for datasets on local disk: every fault of the data names its file.

    Folders and pairs of images and labels are checked when the dataset is built;
    readability, sizes and label ids when a sample is loaded.
    """

    def load_data_list(self) -> list[dict[str, Any]]:
        """List the samples.

        Raises:
            InputError: a folder is missing or empty, or images have no label.
        """
        self.check_folders()
        samples = super().load_data_list()
        if not samples:
            raise InputError(
                f'no *{self.img_suffix} in {self.data_prefix["img_path"]}: check '
                'data_prefix.img_path and img_suffix of the dataset.'
            )
        if any(map(find_label_loader, self.pipeline.transforms)):
            wanted = [sample['seg_map_path'] for sample in samples]
            missing = [path for path in wanted if not Path(path).is_file()]
            if missing:
                raise InputError(
                    f'{len(missing)} of {len(samples)} images have no label: '
                    f'{name_some(missing)} do not exist; add them '
                    '(tools/prepare_cityscapes.py and tools/prepare_camvid.py do).'
                )
        return samples

    def check_folders(self) -> None:
        """Raise an :class:`InputError` if a folder of ``data_prefix`` is missing."""
        for key, folder in self.data_prefix.items():
            if folder and not Path(folder).is_dir():
                raise InputError(
                    f'the data folder {Path(folder).absolute()} ({key}) does not exist:'
                    ' link the data set there, or set data_root of '
                    'train_dataloader.dataset, val_dataloader.dataset and '
                    'test_dataloader.dataset.'
                )

    def prepare_data(self, idx: int) -> Any:
        """Run the pipeline on a sample.

        Raises:
            InputError: an image or label cannot be read, their sizes differ, or the
                label holds ids that are no class.
        """
        results = self.get_data_info(idx)
        for step in self.pipeline.transforms:
            loader = find_label_loader(step)
            if isinstance(step, LoadImageFromFile):
                results = load_file(step, results, 'img_path')
            elif loader is None:
                results = step(results)
            else:
                labelled = {**results, 'seg_fields': []}
                labelled = load_file(loader, labelled, 'seg_map_path')
                self.check_label(labelled)
                results = labelled if loader is step else step(results)
            if results is None:
                return None
        return results

    def check_label(self, results: dict[str, Any]) -> None:
        """Raise an :class:`InputError` if a label does not fit its image or classes."""
        label, path = results['gt_seg_map'], results['seg_map_path']
        if label.shape != tuple(results['ori_shape']):
            height, width = results['ori_shape']
            raise InputError(
                f'{path} has shape {"x".join(map(str, label.shape))} but its image '
                f'{results["img_path"]} has {height}x{width}: every pixel needs one '
                'label.'
            )
        num_classes = len(self.metainfo['classes'])
        present = np.flatnonzero(np.bincount(label.ravel(), minlength=256))
        wrong = [int(i) for i in present if i >= num_classes and i != self.ignore_index]
        if wrong:
            raise InputError(
                f'{path} holds the label ids {wrong}, but the {num_classes} classes '
                f'are 0 to {num_classes - 1} and {self.ignore_index} is ignored: '
                'convert the labels or set metainfo.classes.'
            )


def find_label_loader(step: Any) -> LoadAnnotations | None:
    """A transform itself, or the one inside ``TestTimeAug``, if it loads labels."""
    if isinstance(step, LoadAnnotations):
        return step
    for branch in getattr(step, 'subroutines', []):
        for inner in branch.transforms:
            if isinstance(inner, LoadAnnotations):
                return inner
    return None


def load_file(step: Any, results: dict[str, Any], key: str) -> dict[str, Any]:
    """Run a loading transform; say which file it could not read."""
    try:
        return step(results)
    except Exception as error:
        raise InputError(
            f'cannot read {results[key]} ({type(error).__name__}): it is missing, '
            'truncated or no image; replace it.'
        ) from error


@DATASETS.register_module()
class CheckedCityscapesDataset(CheckedFiles, CityscapesDataset):
    """``CityscapesDataset`` with the checks of :class:`CheckedFiles`."""
