"""Any segmentor, whose label maps another network refines."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import torch
from mmengine.runner import CheckpointLoader
from mmengine.structures import PixelData
from mmseg.models import BaseSegmentor
from mmseg.registry import MODELS
from mmseg.utils import OptSampleList, SampleList
from torch import Tensor

from mmseg_pointrend.errors import InputError
from mmseg_pointrend.models.cascade_psp import CascadePSP, resized
from mmseg_pointrend.models.mask_refinement import MaskRefinement
from mmseg_pointrend.models.view import View
from mmseg_pointrend.rendering.grids import map_size


@MODELS.register_module()
class RefinedSegmentor(BaseSegmentor):
    """A segmentor for prediction, whose labels :class:`CascadePSP` refines.

    It sees images as the test pipeline resized them, at the size of their files. Its
    checkpoints are those of the segmentor. Attributes that it lacks are those of
    the segmentor, too. Neither network learns here.

    Args:
        segmentor: config of any segmentor of MMSegmentation.
        refiner: config of a :class:`CascadePSP`.
        refiner_checkpoint: file or URL of the refiner's weights; the authors' are read
            as they are.
        refinement: arguments of :class:`MaskRefinement`.
        data_preprocessor: not used, MMEngine's Runner gives one; the segmentor's is.
        kwargs: None: ``test_cfg`` and so on are the segmentor's.

    Raises:
        InputError: the checkpoint is missing or of another network, or an argument
            belongs to the segmentor.
    """

    def __init__(
        self,
        segmentor: dict[str, Any],
        refiner: dict[str, Any],
        refiner_checkpoint: str | None = None,
        refinement: dict[str, Any] | None = None,
        data_preprocessor: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        for key in [key for key, value in kwargs.items() if value is not None]:
            raise InputError(f'model.{key}: put it into model.segmentor.{key}.')
        if refiner_checkpoint is None:
            raise InputError(
                'model.refiner_checkpoint=None: give the weights of a trained refiner, '
                'such as --cfg-options model.refiner_checkpoint=FILE.'
            )
        host = MODELS.build(segmentor)
        super().__init__(host.data_preprocessor)
        self.segmentor = host
        self.refiner = load_refiner(refiner, refiner_checkpoint)
        self.refinement = as_refinement(refinement or {})
        self.register_load_state_dict_pre_hook(add_parts)
        self.register_state_dict_post_hook(drop_parts)

    def __getattr__(self, name: str) -> Any:
        """Look an attribute up in the segmentor if there is none here."""
        try:
            return super().__getattr__(name)
        except AttributeError:
            if name == 'segmentor':
                raise
            return getattr(self.segmentor, name)

    def predict(self, inputs: Tensor, data_samples: OptSampleList = None) -> SampleList:
        """Predict labels at the size of the original images, and refine them.

        Args:
            inputs: images, (N, 3, H, W), resized, normalised and padded.
            data_samples: N samples whose meta information says how they were made.

        Returns:
            The samples with ``pred_sem_seg`` (1, H, W), int64; without ``seg_logits``,
            which do not know of the refinement.
        """
        samples = self.segmentor.predict(inputs, data_samples)
        refined = self.refine(inputs, samples)
        for sample, labels in zip(samples, refined, strict=True):
            sample.pred_sem_seg = PixelData(data=labels[None])
            if 'seg_logits' in sample:
                del sample.seg_logits
        return samples

    def refine(self, inputs: Tensor, samples: SampleList) -> list[Tensor]:
        """Refine predicted labels.

        Args:
            inputs: images, as in :meth:`predict`.
            samples: N samples with ``pred_sem_seg``.

        Returns:
            Labels of each image, (H, W), at the size of its file.
        """
        results = []
        for image, sample in zip(self.refiner_images(inputs), samples, strict=True):
            view = View.of(sample.metainfo, map_size(inputs))
            # A view of the same size takes off the padding.
            image = replace(view, original=view.image_size).restore(image[None])
            image = resized(image, view.original)
            labels = sample.pred_sem_seg.data[0]
            refined = self.refinement.refine_labels(
                self.refiner, image, labels.cpu().numpy(), ignore=-1
            )
            results.append(torch.from_numpy(refined).to(labels))
        return results

    def refiner_images(self, inputs: Tensor) -> Tensor:
        """Normalise images of the segmentor as the refiner wants them: RGB."""
        own, other = self.data_preprocessor, self.refiner.data_preprocessor
        if own._enable_normalize:
            inputs = inputs * own.std + own.mean
        if not own.channel_conversion:
            inputs = inputs.flip(1)
        return (inputs - other.mean) / other.std

    def loss(self, inputs: Tensor, data_samples: SampleList) -> dict[str, Tensor]:
        """Refuse to train.

        Raises:
            InputError: says how to.
        """
        raise InputError(
            'RefinedSegmentor does not train: train model.segmentor by its own config, '
            'and the refiner by one of configs/cascadepsp_*.py.'
        )

    def extract_feat(self, inputs: Tensor) -> Any:
        """As the segmentor."""
        return self.segmentor.extract_feat(inputs)

    def encode_decode(self, inputs: Tensor, batch_data_samples: list[dict]) -> Tensor:
        """As the segmentor: logits, which are not refined."""
        return self.segmentor.encode_decode(inputs, batch_data_samples)

    def _forward(self, inputs: Tensor, data_samples: OptSampleList = None) -> Any:
        return self.segmentor._forward(inputs, data_samples)


def as_refinement(keys: dict[str, Any]) -> MaskRefinement:
    """Make a :class:`MaskRefinement` of ``model.refinement``.

    Raises:
        InputError: names a key that it does not have.
    """
    names = [field.name for field in fields(MaskRefinement)]
    for key in keys.keys() - {*names}:
        raise InputError(f'model.refinement.{key}: give some of {", ".join(names)}.')
    return MaskRefinement(**keys)


def load_refiner(cfg: dict[str, Any], checkpoint: str) -> CascadePSP:
    """Build a refiner and load its weights, for prediction.

    Args:
        cfg: config of a :class:`CascadePSP`.
        checkpoint: file or URL.

    Raises:
        InputError: the weights are of another network.
    """
    refiner = MODELS.build(cfg)
    content = CheckpointLoader.load_checkpoint(checkpoint, map_location='cpu')
    weights = {
        name.removeprefix('module.'): value
        for name, value in content.get('state_dict', content).items()
    }
    own = refiner.state_dict()
    wrong = [
        name
        for name, value in own.items()
        if getattr(weights.get(name), 'shape', None) != value.shape
    ]
    if wrong:
        raise InputError(
            f'{checkpoint} is not a checkpoint of this refiner, {len(wrong)} of '
            f'{len(own)} weights are missing or have another shape, such as {wrong[0]}:'
            ' give the config it was trained with.'
        )
    refiner.load_state_dict({name: weights[name] for name in own})
    return refiner.eval().requires_grad_(False)


def add_parts(module: Any, state_dict: dict[str, Any], prefix: str, *_: Any) -> None:
    """Give weights of a segmentor the place that they have here; keep the refiner's."""
    for name in [name for name in state_dict if name.startswith(prefix)]:
        value = state_dict.pop(name)
        state_dict[f'{prefix}segmentor.{name.removeprefix(prefix)}'] = value
    for name, value in module.refiner.state_dict().items():
        state_dict[f'{prefix}refiner.{name}'] = value


def drop_parts(module: Any, state_dict: dict[str, Any], prefix: str, *_: Any) -> None:
    """Undo :func:`add_parts`."""
    for name in [name for name in state_dict if name.startswith(prefix)]:
        value = state_dict.pop(name)
        own = f'{prefix}segmentor.'
        if name.startswith(own):
            state_dict[prefix + name.removeprefix(own)] = value
