"""The segmentor end to end: losses, prediction, flips, padding, slide, TTA, dtypes."""

from __future__ import annotations

from copy import deepcopy

import pytest
import torch
from mmengine.analysis import get_model_complexity_info
from mmengine.optim import OptimWrapper
from mmseg.models.utils import resize
from mmseg.registry import MODELS

from mmseg_pointrend.models.view import Window
from mmseg_pointrend.rendering.uncertainty import logit
from tests.helpers import batch, tiny_model, tiny_model_config
from tests.models.host_tester import check_threads


def ocr_head():
    return dict(
        type='OCRHead',
        in_channels=64,
        in_index=3,
        channels=16,
        ocr_channels=8,
        num_classes=5,
        norm_cfg=dict(type='BN'),
    )


def with_logits(model, **test_cfg):
    model.test_cfg.update(return_logits=True, **test_cfg)
    return model


def test_losses_and_accuracies_of_every_head_are_reported():
    inputs, samples = batch()
    losses = tiny_model().loss(inputs, samples)
    assert set(losses) == {
        'decode.loss_ce',
        'decode.acc_seg',
        'point.loss_ce',
        'point.acc_point',
        'aux.loss_ce',
        'aux.acc_seg',
    }
    assert all(value.isfinite().all() for value in losses.values())


def test_a_training_step_runs_the_decode_head_once():
    model = tiny_model().train()
    inputs, samples = batch()
    model.train_step(
        dict(inputs=list(inputs), data_samples=samples),
        OptimWrapper(torch.optim.SGD(model.parameters(), lr=0.1)),
    )
    counts = {
        name: int(value)
        for name, value in model.state_dict().items()
        if name.endswith('num_batches_tracked')
    }
    assert counts
    assert set(counts.values()) == {1}


def test_every_parameter_gets_a_gradient_and_the_point_loss_falls():
    model = tiny_model().train()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.02, momentum=0.9)
    inputs, samples = batch()
    for sample in samples:
        sample.gt_sem_seg.data[..., :48] = 1
        sample.gt_sem_seg.data[..., 48:] = 3
    history = []
    for _ in range(25):
        losses = model.loss(inputs, samples)
        optimizer.zero_grad()
        model.parse_losses(losses)[0].backward()
        assert all(p.grad is not None for p in model.parameters())
        optimizer.step()
        history.append(losses['point.loss_ce'].item())
    assert history[-1] < 0.5 * history[0]


@pytest.mark.parametrize('several', [False, True])
def test_init_weights_touches_every_head(several):
    cfg = tiny_model_config()
    if several:
        cfg.decode_head = [cfg.auxiliary_head, ocr_head()]
        cfg.auxiliary_head = [cfg.auxiliary_head] * 2
    model = MODELS.build(cfg)
    for parameter in model.parameters():
        torch.nn.init.constant_(parameter, 7)
    model.init_weights()
    auxiliary = model.auxiliary_head
    heads = [
        head.conv_seg
        for head in (*model.decode_heads, *(auxiliary if several else [auxiliary]))
    ]
    assert len(heads) == (4 if several else 2)
    for module in (*heads, model.point_head.mlp):
        assert not any(parameter.eq(7).all() for parameter in module.parameters())
    for head in heads:
        assert head.weight.std().item() == pytest.approx(0.01, rel=0.5)
    mlp = model.point_head.mlp
    assert mlp.predictor.weight.std().item() == pytest.approx(0.001, rel=0.2)
    assert mlp.predictor.bias.eq(0).all()
    for layer in mlp.hidden:
        msra = (2 / layer.out_channels) ** 0.5
        assert layer.weight.std().item() == pytest.approx(msra, rel=0.2)
        assert layer.bias.eq(0).all()


@torch.no_grad()
def test_a_plain_checkpoint_lacks_the_point_head_and_nothing_else():
    cfg = tiny_model_config()
    plain_cfg = deepcopy(cfg)
    plain_cfg.type = 'EncoderDecoder'
    plain_cfg.pop('point_head')
    plain = MODELS.build(plain_cfg)
    result = tiny_model().load_state_dict(plain.state_dict(), strict=False)
    assert result.unexpected_keys == []
    assert {key.split('.')[0] for key in result.missing_keys} == {'point_head'}


@torch.no_grad()
def test_without_points_it_is_the_plain_model_from_stride_2_up():
    model = with_logits(tiny_model())
    model.point_head.subdivision_num_points = 0
    inputs, samples = batch((64, 96))
    _, [coarse] = model.decode(*model.extract(inputs))
    for size in ((32, 48), (64, 96)):
        coarse = resize(coarse, size=size, mode='bilinear', align_corners=False)
    result = model.predict(inputs, samples)
    torch.testing.assert_close(result[1].seg_logits.data, coarse[1])


@torch.no_grad()
def test_tensor_mode_returns_refined_logits_at_image_size():
    model = with_logits(tiny_model())
    inputs, samples = batch((64, 96))
    logits = model(inputs)
    assert logits.shape == (2, 5, 64, 96)
    result = model.predict(inputs, samples)
    torch.testing.assert_close(logits[0], result[0].seg_logits.data)


def test_the_flop_counter_counts_the_points():
    def flops(points):
        model = tiny_model()
        model.point_head.subdivision_num_points = points
        inputs = torch.randn(1, 3, 64, 96)
        return get_model_complexity_info(
            model, inputs=inputs, show_table=False, show_arch=False
        )['flops']

    mlp = tiny_model().point_head.mlp
    one_point = sum(p.numel() for n, p in mlp.named_parameters() if 'weight' in n)
    interpolation = 4 * 8
    grown = flops(100) - flops(50)
    steps = 2
    assert steps * 50 * one_point <= grown
    assert grown <= steps * 50 * (one_point + 4 * interpolation)


@torch.no_grad()
def test_labels_are_int64_and_equal_the_argmax_of_the_rendered_logits():
    model = tiny_model()
    inputs, samples = batch((64, 96))
    labels = model.predict(inputs, deepcopy(samples))
    results = with_logits(model).predict(inputs, samples)
    for label, result in zip(labels, results, strict=True):
        assert 'seg_logits' not in label
        assert label.pred_sem_seg.data.dtype == torch.int64
        assert label.pred_sem_seg.data.shape == (1, 64, 96)
        top = result.seg_logits.data.argmax(dim=0, keepdim=True)
        assert label.pred_sem_seg.data.equal(top)


@torch.no_grad()
def test_odd_sizes_are_padded_to_a_divisor_and_cropped_back():
    model = with_logits(tiny_model())
    image = torch.randint(0, 255, (3, 61, 90), dtype=torch.uint8)
    _, samples = batch((61, 90), images=1)
    seen = {}
    render = model.point_head.render

    def spy(fine, coarse, steps):
        seen.update(size=steps[-1].grid.size, valid=steps[-1].valid)
        return render(fine, coarse, steps)

    model.point_head.render = spy
    result = model.test_step(dict(inputs=[image], data_samples=samples))[0]
    assert seen['size'] == (64, 96)
    assert seen['valid'].nonzero().amax(dim=0).tolist() == [0, 60, 89]
    assert seen['valid'].sum() == 61 * 90
    assert result.pred_sem_seg.data.shape == (1, 61, 90)
    assert result.seg_logits.data.shape == (5, 61, 90)


@torch.no_grad()
def test_resize_logits_keeps_the_order_of_mmsegmentation():
    model = with_logits(tiny_model())
    model.test_cfg['resize_logits'] = True
    inputs, samples = batch((64, 96), ori_shape=(100, 150))
    result = model.predict(inputs, samples)[0]
    assert result.pred_sem_seg.data.shape == (1, 100, 150)
    wanted = resize(model(inputs), size=(100, 150), mode='bilinear')[0]
    torch.testing.assert_close(result.seg_logits.data, wanted)


@pytest.mark.parametrize(('direction', 'dim'), [('horizontal', 3), ('vertical', 2)])
@torch.no_grad()
def test_flipped_images_are_flipped_back(direction, dim):
    model = with_logits(tiny_model())
    inputs, samples = batch(images=1, flip=True, flip_direction=direction)
    logits = model(inputs).flip(dims=(dim,))[0]
    result = model.predict(inputs, samples)[0]
    torch.testing.assert_close(result.seg_logits.data, logits)


@torch.no_grad()
def test_a_single_window_is_the_whole_image_and_windows_average():
    model = with_logits(tiny_model())
    inputs, _ = batch((64, 96), images=1)
    metas = [dict(ori_shape=(64, 96), img_shape=(64, 96))]
    whole = model.inference(inputs, metas)
    model.test_cfg.update(mode='slide', crop_size=(64, 96), stride=(40, 40))
    torch.testing.assert_close(model.inference(inputs, metas), whole)
    model.test_cfg.update(crop_size=(64, 64), stride=(32, 32))
    left, right = model(inputs[..., :64]), model(inputs[..., 32:])
    slid = model.inference(inputs, metas)
    torch.testing.assert_close(slid[..., :32], left[..., :32])
    torch.testing.assert_close(slid[..., 64:], right[..., 32:])
    middle = (left[..., 32:] + right[..., :32]) / 2
    torch.testing.assert_close(slid[..., 32:64], middle)
    assert metas == [dict(ori_shape=(64, 96), img_shape=(64, 96))]


@pytest.mark.parametrize(
    ('width', 'starts'), [(96, [0, 32]), (100, [0, 32, 36]), (50, [0])]
)
def test_windows_cover_the_map_and_end_flush(width, starts):
    windows = list(Window.cover((40, width), (40, 64), (7, 32)))
    assert [window.columns.start for window in windows] == starts
    assert windows[-1].columns.stop == width
    assert {(window.rows.start, window.rows.stop) for window in windows} == {(0, 40)}


@torch.no_grad()
def test_windows_know_their_share_of_the_padding():
    model = tiny_model()
    seen = []
    render = model.render
    model.render = lambda inputs, paddings: (
        seen.append(paddings[0]) or render(inputs, paddings)
    )
    model.test_cfg.update(mode='slide', crop_size=(64, 64), stride=(32, 32))
    inputs, _ = batch((64, 96), images=1)
    metas = [dict(ori_shape=(61, 90), img_padding_size=(0, 6, 0, 3))]
    model.inference(inputs, metas)
    assert seen == [(0, 0, 0, 3), (0, 6, 0, 3)]


@pytest.mark.parametrize('channels', [None, 1])
@torch.no_grad()
def test_tta_averages_probabilities_and_returns_int64_labels(channels):
    kwargs = dict(num_classes=2, out_channels=1) if channels else {}
    model = tiny_model(**kwargs)
    tta = MODELS.build(dict(type='PointRendTTAModel', module=model))
    image, _ = batch((64, 96), images=1)
    views = [image, image.flip(dims=(3,))]
    flips = [dict(), dict(flip=True, flip_direction='horizontal')]
    data = dict(
        inputs=[[view[0]] for view in views],
        data_samples=[batch(images=1, img_path='a.png', **flip)[1] for flip in flips],
    )
    model.data_preprocessor._enable_normalize = False
    for name in ('channel_conversion', '_channel_conversion'):  # MMSegmentation, onedl-
        setattr(model.data_preprocessor, name, False)
    merged = tta.test_step(data)
    assert len(merged) == 1
    assert merged[0].pred_sem_seg.data.dtype == torch.int64
    assert merged[0].pred_sem_seg.data.shape == (1, 64, 96)

    def activate(logits):
        return logits.sigmoid() if channels else logits.softmax(dim=1)

    mean = (activate(model(views[0])) + activate(model(views[1])).flip(dims=(3,))) / 2
    label = mean[0] > 0.3 if channels else mean[0].argmax(dim=0, keepdim=True)
    assert merged[0].pred_sem_seg.data.equal(label.long())
    torch.testing.assert_close(merged[0].seg_logits.data, mean[0])


@torch.no_grad()
def test_a_binary_model_with_one_channel_trains_and_predicts():
    model = with_logits(tiny_model(num_classes=2, out_channels=1))
    assert model.point_head.threshold == 0.3
    for predictor in (model.decode_head.conv_seg, model.point_head.mlp.predictor):
        predictor.bias.fill_(logit(0.3))
    inputs, samples = batch(num_classes=2)
    samples[0].gt_sem_seg.data[:, :10] = 255
    losses = model.loss(inputs, samples)
    assert losses['point.loss_ce'].isfinite()
    result = model.predict(inputs, samples)[0]
    assert result.pred_sem_seg.data.dtype == torch.int64
    foreground = result.seg_logits.data > 0.3
    assert result.pred_sem_seg.data.equal(foreground.long())
    assert foreground.any()
    assert not foreground.all()


@torch.no_grad()
def test_binary_accuracy_is_that_of_the_threshold():
    head = tiny_model(num_classes=2, out_channels=1).point_head
    logits = torch.tensor([[[-5.0, 5.0, -0.5, -5.0]]])
    labels = torch.tensor([[[[0, 1, 1, 1]]]])
    points = torch.tensor([[[0.1, 0.5], [0.3, 0.5], [0.6, 0.5], [0.9, 0.5]]])
    assert head.loss_by_feat(logits, points, labels)['acc_point'].item() == 75


@pytest.mark.parametrize('uncertainty', ['probability_margin', 'entropy'])
@torch.no_grad()
def test_other_uncertainties_render(uncertainty):
    model = tiny_model(uncertainty=uncertainty)
    assert model(torch.randn(1, 3, 64, 96)).isfinite().all()


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
def test_autocast_trains_predicts_and_agrees_with_fp32(dtype):
    model = with_logits(tiny_model(subdivision_num_points=64 * 96))
    inputs, samples = batch((64, 96))
    torch.manual_seed(1)
    exact = model.loss(inputs, samples)['point.loss_ce'].item()
    torch.manual_seed(1)
    with torch.autocast('cpu', dtype):
        losses = model.loss(inputs, samples)
    assert losses['point.loss_ce'].item() == pytest.approx(exact, rel=0.1)
    model.parse_losses(losses)[0].backward()
    assert all(p.grad.isfinite().all() for p in model.point_head.parameters())
    with torch.no_grad():
        exact = model.predict(inputs, deepcopy(samples))
        with torch.autocast('cpu', dtype):
            rough = model.predict(inputs, deepcopy(samples))
    for a, b in zip(exact, rough, strict=True):
        assert b.seg_logits.data.dtype == torch.float32
        assert_close_in_half_precision(b.seg_logits.data, a.seg_logits.data)


def assert_close_in_half_precision(rough, exact):
    assert (exact - rough).abs().max() < 0.05 * exact.abs().max()


@torch.no_grad()
def test_a_pure_bf16_model_predicts():
    model = with_logits(tiny_model(subdivision_num_points=64 * 96))
    inputs, samples = batch((64, 96))
    exact = model.predict(inputs, deepcopy(samples))[0].seg_logits.data
    rough = model.bfloat16().predict(inputs.bfloat16(), samples)[0].seg_logits.data
    assert_close_in_half_precision(rough, exact)
    assert model.loss(inputs.bfloat16(), samples)['point.loss_ce'].isfinite()


@torch.no_grad()
def test_align_corners_renders_and_trains():
    model = tiny_model(align_corners=True)
    assert model.point_head.align_corners
    inputs, samples = batch((65, 97))
    assert model.loss(inputs, samples)['point.loss_ce'].isfinite()
    assert model(inputs).shape == (2, 5, 65, 97)


@torch.no_grad()
def test_a_list_of_decode_heads_runs_as_a_cascade_each_once():
    cfg = tiny_model_config()
    fcn = dict(cfg.auxiliary_head, in_channels=64, in_index=3)
    cfg.decode_head = [fcn, ocr_head()]
    model = MODELS.build(cfg).train()
    inputs, samples = batch((64, 64))
    losses = model.loss(inputs, samples)
    assert {'decode_0.loss_ce', 'decode_1.loss_ce', 'point.loss_ce'} <= set(losses)
    tracked = [
        int(v)
        for k, v in model.state_dict().items()
        if k.endswith('num_batches_tracked')
    ]
    assert set(tracked) == {1}
    model.eval()
    assert model.predict(inputs, samples)[0].pred_sem_seg.data.shape == (1, 64, 64)


def test_the_point_head_reads_what_the_decode_head_classifies():
    """A linear classifier and interpolation commute, so its logits come back."""
    model = tiny_model(
        in_index=['decode_head'],
        in_channels=[8],
        coarse_from='initial',
        subdivision_num_points=10**6,
    )
    classifier = model.decode_head.conv_seg

    class Classify(torch.nn.Module):
        def forward(self, fine, coarse):
            weight = classifier.weight.flatten(1)
            return torch.einsum('kc,ncp->nkp', weight, fine) + classifier.bias[:, None]

    model.point_head.mlp = Classify()
    inputs, _ = batch()
    with torch.no_grad():
        fine, [coarse] = model.decode(*model.extract(inputs))
        steps = model.point_head.steps(coarse, (64, 96))
        rendered = model.point_head.render(fine, coarse, steps)
    wanted = resize(coarse, inputs.shape[-2:], mode='bilinear', align_corners=False)
    torch.testing.assert_close(rendered, wanted, rtol=1e-5, atol=1e-5)


def test_decoder_features_join_backbone_features_in_training_and_prediction():
    model = tiny_model(in_index=[0, 'decode_head'], in_channels=[8, 8]).train()
    inputs, samples = batch()
    model.loss(inputs, samples)['point.loss_ce'].backward()
    first = model.point_head.mlp.hidden[0].weight.grad
    assert first.shape[1] == 8 + 8 + 5
    assert all(part.abs().sum() > 0 for part in first.split([8, 8, 5], dim=1))
    results = model.eval().predict(inputs, samples)
    assert results[0].pred_sem_seg.data.shape == (1, 64, 96)
    assert deepcopy(model)(inputs).shape == (2, 5, 64, 96)


@pytest.mark.parametrize('detach', [False, True])
def test_a_detached_point_head_leaves_the_network_to_its_own_losses(detach):
    features = dict(in_index=[0, 'decode_head'], in_channels=[8, 8])
    model = tiny_model(**features, detach=detach).train()
    model.loss(*batch())['point.loss_ce'].backward()
    changed = {
        name.partition('.')[0]
        for name, value in model.named_parameters()
        if value.grad is not None and value.grad.abs().sum() > 0
    }
    network = set() if detach else {'backbone', 'decode_head'}
    assert changed == {'point_head', *network}


@pytest.mark.parametrize(
    'options',
    [
        dict(in_index=[0, 'decode_head'], in_channels=[8, 8]),
        dict(coarse_window=3, coarse_from='initial'),
        dict(uncertainty='entropy', padding_mode='zeros', align_corners=True),
        dict(num_classes=2, out_channels=1),
        dict(mlp=dict(type='PointMLP', residual=True, coarse_pred_each_layer=True)),
    ],
)
def test_threads_get_what_one_thread_gets(options):
    images = [batch(size, images=1)[0] for size in [(64, 96), (96, 64)] * 6]
    check_threads(tiny_model(**options), images)
