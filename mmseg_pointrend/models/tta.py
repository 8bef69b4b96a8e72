"""Test-time augmentation."""

from __future__ import annotations

from typing import Any

from mmengine.structures import PixelData
from mmseg.models.segmentors.seg_tta import SegTTAModel
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from mmseg.utils import SampleList


@MODELS.register_module()
class PointRendTTAModel(SegTTAModel):
    """Averages the probabilities of augmented views, ``tools/test.py --tta``.

    Asks the model for logits, which whole-image prediction leaves out otherwise.
    Unlike ``SegTTAModel``, labels are int64 of shape (1, H, W), and the sigmoid of a
    binary model is taken once.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.module.test_cfg['return_logits'] = True

    def merge_preds(self, data_samples_list: list[SampleList]) -> SampleList:
        """Merge the views of each image.

        Args:
            data_samples_list: for each image the predictions of all its views.

        Returns:
            One sample an image, with ``pred_sem_seg`` (1, H, W) and ``seg_logits``
            (K, H, W), which holds mean probabilities.
        """
        return [self.merge_views(views) for views in data_samples_list]

    def merge_views(self, views: SampleList) -> SegDataSample:
        """Average the views of one image."""
        binary = self.module.out_channels == 1
        maps = [view.seg_logits.data for view in views]
        mean = sum(m if binary else m.softmax(dim=0) for m in maps) / len(maps)
        if binary:
            label = (mean > self.module.decode_head.threshold).long()
        else:
            label = mean.argmax(dim=0, keepdim=True)
        merged = views[0]
        merged.seg_logits = PixelData(data=mean)
        merged.pred_sem_seg = PixelData(data=label)
        return merged
