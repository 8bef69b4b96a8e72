"""Boundary IoU and IoU in trimaps against their definitions."""

from __future__ import annotations

import re

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mmengine.config import Config
from mmseg.registry import METRICS

from mmseg_pointrend.engine.runner import build_runner
from mmseg_pointrend.errors import InputError

IGNORED = 255


def sample(truth, prediction, dtype=torch.int64):
    return {
        'gt_sem_seg': dict(data=torch.as_tensor(truth, dtype=dtype)[None]),
        'pred_sem_seg': dict(data=torch.as_tensor(prediction, dtype=dtype)[None]),
    }


def metric(num_classes, **options):
    built = METRICS.build(dict(type='BoundaryIoUMetric', **options))
    built.dataset_meta = dict(classes=[f'class {i}' for i in range(num_classes)])
    return built


def evaluate(pairs, num_classes, **options):
    built = metric(num_classes, **options)
    built.process({}, [sample(*pair) for pair in pairs])
    return built.evaluate(len(pairs))


def defined(pairs, num_classes, distances, widths, ignored=IGNORED):
    """Both figures from their definition, a class and a pixel at a time."""

    def window(i, j, reach):
        for y in range(i - reach, i + reach + 1):
            for x in range(j - reach, j + reach + 1):
                yield y, x

    def in_band(labels, truth, i, j, c, reach):
        height, width = truth.shape
        if labels[i, j] != c:
            return False
        for y, x in window(i, j, reach):
            if not (0 <= y < height and 0 <= x < width):
                return True
            if truth[y, x] != ignored and labels[y, x] != c:
                return True
        return False

    def in_trimap(truth, i, j, reach):
        height, width = truth.shape
        return any(
            0 <= y < height
            and 0 <= x < width
            and truth[y, x] not in (ignored, truth[i, j])
            for y, x in window(i, j, reach)
        )

    both = np.zeros((1 + len(widths), num_classes))
    either = np.zeros_like(both)
    for (truth, prediction), distance in zip(pairs, distances, strict=True):
        for i, j in np.argwhere(truth != ignored):
            zones = [in_trimap(truth, i, j, width) for width in widths]
            for c in range(num_classes):
                true = [in_band(truth, truth, i, j, c, distance)]
                predicted = [in_band(prediction, truth, i, j, c, distance)]
                true += [zone and truth[i, j] == c for zone in zones]
                predicted += [zone and prediction[i, j] == c for zone in zones]
                both[:, c] += np.logical_and(true, predicted)
                either[:, c] += np.logical_or(true, predicted)
    names = ['mBIoU', *(f'trimap_mIoU_{width}px' for width in widths)]
    return {
        name: 100 * np.mean(b[e > 0] / e[e > 0]) if e.any() else np.nan
        for name, b, e in zip(names, both, either, strict=True)
    }


def close(figures):
    return pytest.approx(figures, abs=0.0051, nan_ok=True)


@st.composite
def label_pairs(draw):
    """Blocks of labels, some ignored; predictions may hold ids that are no class."""
    size = draw(st.tuples(st.integers(1, 12), st.integers(1, 12)))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    block = draw(st.integers(1, 4))

    def blocks(ids):
        shape = [-(-side // block) for side in size]
        coarse = rng.choice(ids, shape)
        return coarse.repeat(block, 0).repeat(block, 1)[: size[0], : size[1]]

    truth = blocks(draw(st.sampled_from([[2, IGNORED], [0, 0, 1, 2, 3, IGNORED]])))
    strange = [0, 1, 2, 3, 4, 7, IGNORED, 256, -1, -253]
    noise = blocks(draw(st.sampled_from([[0], [2], [3], strange])))
    keep = rng.random(size) < draw(st.sampled_from([0, 0.5, 0.9]))
    return truth, np.where(keep, truth, noise)


@settings(max_examples=60, deadline=None)
@given(
    pairs=st.lists(label_pairs(), min_size=1, max_size=3),
    distance=st.sampled_from([1, 2, 3, 13]),
    widths=st.lists(st.sampled_from([1, 2, 3, 13]), unique=True, max_size=3),
)
def test_figures_equal_their_definition(pairs, distance, widths):
    ours = evaluate(pairs, 4, dilation=distance, trimap_widths=widths)
    assert ours == close(defined(pairs, 4, [distance] * len(pairs), widths))


def blobs(rng, size, num_classes):
    maps = rng.random((num_classes, *size), dtype=np.float32)
    return np.stack([cv2.GaussianBlur(i, (0, 0), 3) for i in maps]).argmax(0)


def band_of_the_paper(mask, distance):
    """Cheng et al.'s code: pad by zeros, erode, subtract."""
    padded = np.pad(mask.astype(np.uint8), 1)
    inside = cv2.erode(padded, np.ones((3, 3), np.uint8), iterations=distance)
    return mask.astype(bool) & (inside[1:-1, 1:-1] == 0)


@pytest.mark.parametrize('num_classes', [2, 300])
@pytest.mark.parametrize('ratio', [0.005, 0.02, 0.1])
def test_boundary_iou_equals_the_recipe_of_the_paper(num_classes, ratio):
    rng = np.random.default_rng(0)
    pairs, both, either = [], np.zeros(num_classes), np.zeros(num_classes)
    for height, width in ((60, 80), (33, 47)):
        truth, prediction = (blobs(rng, (height, width), num_classes) for _ in 'ab')
        prediction[: height // 2] = truth[: height // 2]
        distance = max(1, round(ratio * (height**2 + width**2) ** 0.5))
        for c in range(num_classes):
            true = band_of_the_paper(truth == c, distance)
            predicted = band_of_the_paper(prediction == c, distance)
            both[c] += (true & predicted).sum()
            either[c] += (true | predicted).sum()
        pairs.append((truth, prediction))
    ours = evaluate(pairs, num_classes, dilation=ratio, ignore_index=-1)
    present = either > 0
    assert ours['mBIoU'] == close(100 * (both[present] / either[present]).mean())


def test_ignored_pixels_neither_count_nor_make_boundaries():
    truth = np.zeros((30, 40), int)
    truth[:, 20:] = 1
    prediction = truth.copy()
    prediction[10, 19] = 1
    hidden = truth.copy()
    hidden[10:16, 3:12] = IGNORED
    plain = evaluate([(truth, prediction)], 2, dilation=2)
    for inside in (0, 1, IGNORED):
        guess = prediction.copy()
        guess[10:16, 3:12] = inside
        # The hidden pixels are far from every band, so the figures stay.
        assert evaluate([(hidden, guess)], 2, dilation=2) == plain


def test_another_index_may_be_ignored():
    truth, prediction = np.array([[0, 0, 1, 1, 2, 2]] * 6), np.zeros((6, 6), int)
    ours = evaluate([(truth, prediction)], 3, dilation=1, ignore_index=2)
    theirs = evaluate(
        [(np.where(truth == 2, IGNORED, truth), prediction)], 3, dilation=1
    )
    assert ours == theirs
    assert ours['mBIoU'] < 100


@pytest.mark.parametrize('size', [(1, 1), (1, 9), (40, 30)])
@pytest.mark.parametrize('dilation', [0.005, 100])
def test_a_perfect_prediction_has_100_percent(size, dilation):
    truth = blobs(np.random.default_rng(0), size, 3)
    truth[0, 5:] = IGNORED
    ours = evaluate([(truth, truth)], 3, dilation=dilation, trimap_widths=[5])
    assert ours['mBIoU'] == 100
    several = len(np.unique(truth[truth != IGNORED])) > 1
    assert ours['trimap_mIoU_5px'] == pytest.approx(
        100 if several else np.nan, nan_ok=True
    )


@pytest.mark.filterwarnings('error')
def test_nothing_is_known_of_an_ignored_image():
    nothing = np.full((5, 6), IGNORED)
    truth = blobs(np.random.default_rng(0), (30, 40), 3)
    pair = truth, np.roll(truth, 1, axis=1)
    only = evaluate([(nothing, np.zeros((5, 6)))], 3)
    assert all(map(np.isnan, only.values()))
    assert evaluate([(nothing, nothing), pair], 3) == evaluate([pair], 3)


def test_the_kind_of_integer_does_not_matter():
    rng = np.random.default_rng(0)
    pair = [rng.integers(0, 4, (20, 30)) for _ in 'ab']
    wide = metric(4)
    wide.process({}, [sample(*pair)])
    narrow = metric(4)
    narrow.process({}, [sample(*pair, dtype=torch.uint8)])
    assert np.array_equal(wide.results, narrow.results)
    assert wide.evaluate(1)['mBIoU'] > 0


def test_processes_together_equal_one():
    rng = np.random.default_rng(0)
    pairs = [[blobs(rng, (20 + i, 30), 4) for _ in 'ab'] for i in range(5)]
    whole = evaluate(pairs, 4)
    first, second = metric(4), metric(4)
    for pair in pairs[0::2]:
        first.process({}, [sample(*pair)])
    # MMEngine's sampler fills the shorter half up with the first image.
    for pair in (*pairs[1::2], pairs[0]):
        second.process({}, [sample(*pair)])
    assert len(first.results) == len(second.results) == 3
    gathered = metric(4)
    for halves in zip(first.results, second.results, strict=True):
        gathered.results += halves
    assert gathered.evaluate(len(pairs)) == whole


@pytest.mark.parametrize('dilation', [0, -1, 0.0, 1.0, 2.5, True, float('nan'), '3'])
def test_a_wrong_dilation_is_named(dilation):
    with pytest.raises(InputError, match=rf'dilation={dilation!r} is no width: give'):
        metric(2, dilation=dilation)


@pytest.mark.parametrize('widths', [3, [0], [1.5], ['1'], [2, 2], [True], '12'])
def test_wrong_trimap_widths_are_named(widths):
    with pytest.raises(InputError, match=r'trimap_widths=.* is no list of .*: give'):
        metric(2, trimap_widths=widths)


def test_samples_that_do_not_fit_are_named():
    with pytest.raises(InputError, match=r'has 3x4 pixels but the label 5x4: put'):
        evaluate([(np.zeros((5, 4)), np.zeros((3, 4)))], 2)
    unlabelled = sample(np.zeros((5, 4)), np.zeros((5, 4)))
    del unlabelled['gt_sem_seg']
    with pytest.raises(InputError, match=r'no gt_sem_seg: add LoadAnnotations'):
        metric(2).process({}, [unlabelled])


def test_one_class_by_name_is_refused():
    with pytest.raises(InputError, match=r'one class by name, .* background first'):
        evaluate([(np.zeros((5, 4)), np.zeros((5, 4)))], 1)


def test_the_runner_prints_a_curve_for_each_class(trained, tiny_config, tmp_path):
    cfg = Config.fromfile(tiny_config)
    cfg.merge_from_dict({'test_evaluator.1.trimap_widths': [2, 7]})
    cfg.update(
        work_dir=str(tmp_path),
        load_from=str(trained / 'iter_4.pth'),
        launcher='none',
        experiment_name=tmp_path.name,
    )
    figures = build_runner(cfg).test()
    names = ('mIoU', 'mBIoU', 'trimap_mIoU_2px', 'trimap_mIoU_7px')
    assert all(0 <= figures[name] <= 100 for name in names)
    assert 'trimap_mIoU_1px' not in figures
    (log,) = tmp_path.rglob('*.log')
    heads = r'Class +\| +BIoU +\| +Trimap 2px +\| +Trimap 7px +\|'
    assert re.search(
        heads + r'\n[+-]+\n\| +road +\|( +[\d.]+ +\|){3}\n', log.read_text()
    )
