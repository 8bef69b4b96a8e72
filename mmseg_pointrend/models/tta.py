"""Test-time augmentation."""

from __future__ import annotations

from typing import Any

from mmengine.structures import PixelData
from mmseg.models.segmentors.seg_tta import SegTTAModel
from mmseg.registry import MODELS
from mmseg.utils import SampleList

from mmseg_pointrend.models.checks import check_images
from mmseg_pointrend.models.point_rend_encoder_decoder import PointRendEncoderDecoder


@MODELS.register_module()
class PointRendTTAModel(SegTTAModel):
    """Average the probabilities of augmented views, ``tools/test.py --tta``.

    This asks the model for logits, which whole-image prediction leaves out otherwise.
    Unlike ``SegTTAModel``, labels are int64 of shape (1, H, W), and the sigmoid of a
    binary model is taken once.
    """

    def test_step(self, data: dict[str, Any]) -> SampleList:
        """Predict all views of a batch of images and merge them.

        Args:
            data: ``inputs``, for each view N images (C, H, W), and ``data_samples``.

        Returns:
            One sample an image, as :meth:`merge_preds`.

        Raises:
            InputError: as in :func:`~mmseg_pointrend.models.checks.check_images`.
        """
        # MMSegmentation's own models always return logits.
        ours = isinstance(self.module, PointRendEncoderDecoder)
        options = dict(return_logits=True) if ours else {}
        preprocess = self.module.data_preprocessor
        views = []
        for inputs, samples in zip(data['inputs'], data['data_samples'], strict=True):
            check_images(inputs, samples, getattr(preprocess, 'mean', None))
            view = dict(inputs=inputs, data_samples=samples)
            views.append(self.module.predict(**preprocess(view, False), **options))
        return self.merge_preds(list(zip(*views, strict=True)))

    def merge_preds(self, data_samples_list: list[SampleList]) -> SampleList:
        """Merge the predictions of all views of each image.

        Returns:
            One sample an image, with ``pred_sem_seg`` (1, H, W) and ``seg_logits``
            (K, H, W), which holds mean probabilities.
        """
        binary = self.module.out_channels == 1
        for views in data_samples_list:
            maps = [view.seg_logits.data for view in views]
            mean = sum(m if binary else m.softmax(dim=0) for m in maps) / len(maps)
            if binary:
                label = (mean > self.module.decode_head.threshold).long()
            else:
                label = mean.argmax(dim=0, keepdim=True)
            views[0].seg_logits = PixelData(data=mean)
            views[0].pred_sem_seg = PixelData(data=label)
        return [views[0] for views in data_samples_list]
