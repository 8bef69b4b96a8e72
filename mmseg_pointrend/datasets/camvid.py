"""CamVid in its 11-class form."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from mmseg.registry import DATASETS

from mmseg_pointrend.datasets.checked import CheckedFiles

VOID = 11


@DATASETS.register_module()
class CamVidDataset(CheckedFiles):
    """CamVid, 480x360 pixels, 11 classes; id 11 is void and ignored.

    Brostow et al., "Semantic object classes in video: a high-definition ground truth
    database", 2009; the 11 classes are those of SegNet.

    Args:
        img_suffix: ending of image files.
        kwargs: as in MMSegmentation's ``BaseSegDataset``.
    """

    METAINFO: ClassVar[dict] = dict(
        classes=(
            'sky',
            'building',
            'pole',
            'road',
            'pavement',
            'tree',
            'sign',
            'fence',
            'car',
            'pedestrian',
            'bicyclist',
        ),
        palette=[
            [128, 128, 128],
            [128, 0, 0],
            [192, 192, 128],
            [128, 64, 128],
            [60, 40, 222],
            [128, 128, 0],
            [192, 128, 128],
            [64, 64, 128],
            [64, 0, 128],
            [64, 64, 0],
            [0, 128, 192],
        ],
    )

    def __init__(self, img_suffix: str = '.jpg', **kwargs: Any) -> None:
        super().__init__(img_suffix=img_suffix, **kwargs)

    @classmethod
    def get_label_map(cls, new_classes: Sequence[str] | None = None) -> dict[int, int]:
        """Ids in the files to ids of ``new_classes``; void becomes 255."""
        return {**(super().get_label_map(new_classes) or {}), VOID: 255}
