"""Fused and compiled models answer as the plain one."""

from __future__ import annotations

import warnings
from copy import deepcopy

import pytest
import torch
from mmengine.optim import OptimWrapper
from torch import nn
from torch._dynamo.utils import counters
from torch.fx.experimental.proxy_tensor import make_fx

from mmseg_pointrend.engine.acceleration import Compiler, compile_model, fuse_conv_bn
from mmseg_pointrend.errors import InputError
from mmseg_pointrend.models import point_loss
from mmseg_pointrend.rendering.grids import valid_regions
from tests.helpers import batch, make_head, tiny_model


@pytest.fixture(autouse=True)
def _fresh_compiler():
    torch.compiler.reset()
    counters.clear()
    yield
    torch.compiler.reset()


def labels_of(model, inputs, samples):
    with torch.no_grad():
        results = model.predict(inputs, deepcopy(samples))
    return torch.stack([result.pred_sem_seg.data for result in results])


def with_statistics(model):
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean, -0.5, 0.5)
            nn.init.uniform_(module.running_var, 0.5, 2)
            nn.init.uniform_(module.weight, 0.5, 2)
            nn.init.uniform_(module.bias, -0.5, 0.5)
    return model


def test_a_fused_model_has_no_batch_norm_and_the_same_logits():
    model = with_statistics(tiny_model())
    inputs, samples = batch((64, 96))
    with torch.no_grad():
        logits = model(inputs)
        labels = labels_of(model, inputs, samples)
        assert fuse_conv_bn(model) is model
        torch.testing.assert_close(model(inputs), logits, atol=1e-3, rtol=1e-3)
    assert not any(isinstance(m, nn.BatchNorm2d) for m in model.modules())
    agreement = (labels_of(model, inputs, samples) == labels).float().mean()
    assert agreement >= 0.999


@pytest.mark.parametrize('align_corners', [False, True])
@pytest.mark.parametrize(
    ('coarse_from', 'coarse_window'), [('current', 1), ('initial', 3)]
)
@pytest.mark.parametrize('uncertainty', ['logit_margin', 'entropy'])
def test_rendering_is_one_graph_and_is_not_compiled_again(
    align_corners, coarse_from, coarse_window, uncertainty
):
    head = make_head(
        align_corners=align_corners,
        coarse_from=coarse_from,
        coarse_window=coarse_window,
        uncertainty=uncertainty,
        subdivision_num_points=40,
    )
    coarse, fine = torch.randn(2, 4, 16, 24), torch.randn(2, 6, 16, 24)
    regions = valid_regions([(0, 3, 0, 5)] * 2, (64, 96), align_corners=False)
    plain = [
        head.render_labels([fine], coarse, head.steps(coarse, (64, 96), where))
        for where in (None, regions)
    ]
    head.render_labels = torch.compile(
        head.render_labels, fullgraph=True, backend='eager'
    )
    for where, labels in zip((None, regions), plain, strict=True):
        for _ in range(3):
            again = head.render_labels(
                [fine], coarse, head.steps(coarse, (64, 96), where)
            )
            assert (again == labels).float().mean() > 0.999
    assert counters['stats']['unique_graphs'] == 2
    assert not counters['graph_break']


def test_a_compiled_model_predicts_the_same_at_every_size():
    model = tiny_model()
    cases = [
        batch((64, 96)),
        batch((64, 96), ori_shape=(50, 70)),
        batch((32, 64), images=1),
        batch((64, 96)),
    ]
    plain = [labels_of(model, *case) for case in cases]
    assert compile_model(model, backend='aot_eager') is model
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        for case, labels in zip(cases, plain, strict=True):
            assert (labels_of(model, *case) == labels).float().mean() > 0.999
    assert counters['stats']['unique_graphs'] > 2


class LabelsOfTensors(nn.Module):
    """What people trace and export: from images to labels, without data samples."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, inputs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        fine, [*_, coarse] = self.model.decode(*self.model.extract(inputs))
        head = self.model.point_head
        labels = head.render_labels(fine, coarse, head.steps(coarse, (40, 50)))
        return self.model(inputs), labels


RECORDERS = {
    'jit.trace': lambda model, x: torch.jit.trace(model, x, check_trace=False),
    'export': lambda model, x: torch.export.export(model, (x,)).module(),
    'export, strict': lambda model, x: torch.export.export(
        model, (x,), strict=True
    ).module(),
    'make_fx': lambda model, x: make_fx(model)(x),
}


@pytest.mark.filterwarnings('ignore')
@pytest.mark.parametrize(
    ('record', 'grad'),
    [
        ('jit.trace', False),
        ('jit.trace', True),
        ('export', False),
        ('make_fx', False),
        pytest.param('make_fx', True, marks=pytest.mark.slow),
        pytest.param('export, strict', False, marks=pytest.mark.slow),
    ],
)
def test_what_recorded_one_image_is_right_for_another(record, grad):
    model = LabelsOfTensors(tiny_model()).eval()
    first, second = torch.randn(2, 1, 3, 32, 48).unbind()
    with torch.set_grad_enabled(grad):
        wanted_logits, wanted_labels = model(second)
        recorded = RECORDERS[record](model, first)
        recorded(first)
        logits, labels = recorded(second)
    torch.testing.assert_close(logits, wanted_logits, atol=1e-4, rtol=1e-4)
    assert (labels == wanted_labels).float().mean() > 0.999


@pytest.mark.slow
def test_the_default_compiler_gives_the_same_labels():
    model = fuse_conv_bn(with_statistics(tiny_model()))
    inputs, samples = batch((64, 96))
    plain = labels_of(model, inputs, samples)
    compile_model(model)
    with warnings.catch_warnings():
        warnings.simplefilter('error', UserWarning)
        assert (labels_of(model, inputs, samples) == plain).float().mean() > 0.999


def test_a_binary_renderer_is_one_graph():
    head = make_head(num_classes=2, out_channels=1, threshold=0.3)
    coarse, fine = torch.randn(1, 1, 16, 24), torch.randn(1, 6, 16, 24)
    plain = head.render_labels([fine], coarse, head.steps(coarse, (64, 96)))
    head.render_labels = torch.compile(
        head.render_labels, fullgraph=True, backend='eager'
    )
    assert torch.equal(
        head.render_labels([fine], coarse, head.steps(coarse, (64, 96))), plain
    )


def test_many_classes_are_rendered_without_compiling_the_renderer():
    model = compile_model(tiny_model(num_classes=40), backend='aot_eager')
    assert 'extract' in vars(model)
    assert 'render_labels' not in vars(model.point_head)


def test_without_a_compiler_there_is_one_warning_and_the_same_result():
    def broken(graph, inputs):
        raise RuntimeError('no C++ compiler')

    model = tiny_model()
    inputs, samples = batch((64, 96))
    plain = labels_of(model, inputs, samples)
    compile_model(model, backend=broken)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter('always')
        for _ in range(3):
            assert torch.equal(labels_of(model, inputs, samples), plain)
    messages = [str(w.message) for w in caught if 'torch.compile' in str(w.message)]
    assert len(messages) == 1
    assert 'no C++ compiler' in messages[0]
    assert 'going on without it: if no compiler was found' in messages[0]


def test_an_error_of_the_function_itself_is_raised():
    def wrong():
        raise KeyError('mine')

    with pytest.raises(KeyError, match='mine'):
        Compiler(backend='eager').compile(wrong)()


def test_other_models_are_refused():
    with pytest.raises(InputError, match=r"config with model\.type='PointRendEnc"):
        compile_model(nn.Linear(2, 2))


@pytest.mark.slow
def test_training_under_mmengine_compile_does_not_compile_for_every_sample():
    model = tiny_model().train()
    wrapper = OptimWrapper(torch.optim.SGD(model.parameters(), lr=0.01))
    step = torch.compile(model.train_step, backend='eager')
    graphs = []
    for i in range(4):
        inputs, samples = batch((64, 96))
        for sample in samples:
            sample.set_metainfo(dict(img_path=f'{i}.png', scale_factor=1 + i / 10))
        images = [image.mul(50).clamp(0, 255).byte() for image in inputs]
        losses = step(dict(inputs=images, data_samples=samples), wrapper)
        graphs.append(counters['stats']['unique_graphs'])
        assert losses['loss'].isfinite()
    assert graphs[1:] == graphs[:1] * 3


@pytest.mark.skipif(not torch.cuda.is_available(), reason='needs CUDA')
@pytest.mark.parametrize('padding', [(0, 0, 0, 0), (0, 3, 0, 5)])
def test_the_loss_of_points_does_not_synchronise_with_the_gpu(monkeypatch, padding):
    # MMSegmentation's accuracy does.
    monkeypatch.setattr(
        point_loss, 'accuracy', lambda logits, labels, **_: logits.detach().mean()
    )
    head = make_head().cuda().train()
    fine = torch.randn(2, 6, 16, 24, device='cuda', requires_grad=True)
    coarse = torch.randn(2, 4, 16, 24, device='cuda')
    _, samples = batch((64, 96), num_classes=4, padding_size=padding)
    samples = [sample.cuda() for sample in samples]
    head.loss([fine], coarse, samples)
    torch.cuda.set_sync_debug_mode('error')
    try:
        losses = head.loss([fine], coarse, samples)
        losses['loss_ce'].backward()
    finally:
        torch.cuda.set_sync_debug_mode('default')
