"""CamVid in its 11-class form."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from mmseg.registry import DATASETS

from mmseg_pointrend.datasets.checked import CheckedFiles
from mmseg_pointrend.errors import InputError

PALETTE = {
    'sky': [128, 128, 128],
    'building': [128, 0, 0],
    'pole': [192, 192, 128],
    'road': [128, 64, 128],
    'pavement': [60, 40, 222],
    'tree': [128, 128, 0],
    'sign': [192, 128, 128],
    'fence': [64, 64, 128],
    'car': [64, 0, 128],
    'pedestrian': [64, 64, 0],
    'bicyclist': [0, 128, 192],
}
VOID = len(PALETTE)
IMAGE_SUFFIXES = ('.png', '.jpg')


@DATASETS.register_module()
class CamVidDataset(CheckedFiles):
    """CamVid, 480x360 pixels, 11 classes; id 11 is void and ignored.

    Brostow et al., "Semantic object classes in video: a high-definition ground truth
    database", 2009; the 11 classes are those of SegNet.

    Args:
        img_suffix: ending of image files; None takes ``.png`` or ``.jpg``, whichever
            the folder holds.
        kwargs: as in MMSegmentation's ``BaseSegDataset``.
    """

    METAINFO: ClassVar[dict] = dict(
        classes=tuple(PALETTE), palette=list(PALETTE.values())
    )

    img_suffix: str | None

    def __init__(self, img_suffix: str | None = None, **kwargs: Any) -> None:
        super().__init__(img_suffix=img_suffix, **kwargs)

    def load_data_list(self) -> list[dict[str, Any]]:
        """List the samples.

        Raises:
            InputError: as in :class:`CheckedFiles`, or the images are of two kinds.
        """
        if self.img_suffix is None:
            folder = Path(self.data_prefix['img_path'])
            # Without images the error is that of CheckedFiles.
            self.img_suffix = find_image_suffix(folder) or '{.png,.jpg}'
        return super().load_data_list()

    @classmethod
    def get_label_map(cls, new_classes: Sequence[str] | None = None) -> dict[int, int]:
        """Ids in the files to ids of ``new_classes``; void becomes 255."""
        return {**(super().get_label_map(new_classes) or {}), VOID: 255}


def find_image_suffix(folder: Path) -> str | None:
    """Find the one of ``IMAGE_SUFFIXES`` that files below ``folder`` have, if any.

    Raises:
        InputError: files have both.
    """
    found = [suffix for suffix in IMAGE_SUFFIXES if any(folder.rglob(f'[!.]*{suffix}'))]
    if len(found) > 1:
        raise InputError(
            f'{folder} holds both *.png and *.jpg: remove one kind, or set img_suffix '
            'of the dataset.'
        )
    return found[0] if found else None
