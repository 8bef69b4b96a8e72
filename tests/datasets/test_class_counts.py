"""Labels that lack a class are told of, with a fix that needs no file rewritten."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.datasets.transforms import LoadAnnotations
from mmseg.registry import DATASETS, TRANSFORMS

from mmseg_pointrend.datasets.class_counts import count_some, doubt_about
from mmseg_pointrend.datasets.reports import as_json, summary
from mmseg_pointrend.datasets.validation import check_config
from mmseg_pointrend.errors import InputError
from tests.datasets.bad_files import dataset_config, png, write_pair

MASK = np.zeros((24, 36), np.uint8)
MASK[:6, :18] = 1
SHARE = '12.5 %'
STEPS = [dict(type='LoadImageFromFile'), dict(type='LoadAnnotations')]


@TRANSFORMS.register_module()
class Binarize:
    """A user's own transform, which makes other ids."""

    def __call__(self, results):
        results['gt_seg_map'] = (results['gt_seg_map'] > 0).astype(np.uint8)
        return results


def data(root, label, classes=('road', 'car'), labels=3, **options):
    """The config of a data set of its own, with some labels."""
    init_default_scope('mmseg')
    for i in range(labels):
        write_pair(root, f'{i}', label=png(label))
    options = dict(pipeline=STEPS, metainfo=dict(classes=classes)) | options
    return dict(dataset_config(root), type='BaseSegDataset', **options)


def with_map(label_map):
    return dict(pipeline=[STEPS[0], dict(STEPS[1], label_map=label_map)])


def doubts(dataset, ignored=255):
    """What a training would say at its start, and what the check warns of."""
    built = DATASETS.build(dataset)
    counts, read = count_some([built])
    cfg = Config(dict(train_dataloader=dict(dataset=dataset)))
    report = check_config(cfg, [], workers=1, ignore_index=ignored)['train']
    found = [one.sentence for one in report.findings if not one.is_error]
    return doubt_about(counts, [built], ignored) if read else None, found


@pytest.mark.parametrize(
    ('label', 'options', 'ignored', 'sentence'),
    [
        (
            MASK * 255,
            {},
            255,
            f'no label has car; 255, which is ignored, covers {SHARE}: masks of 0 and '
            '255? Set label_map={255: 1} in every LoadAnnotations; or correct '
            'metainfo.classes, or add labels that have it',
        ),
        (
            MASK,
            dict(reduce_zero_label=True),
            255,
            'no label has car; 255, which is ignored, covers 87.5 %: remove '
            'reduce_zero_label=True, which ignores 0, if 0 is a class; or correct '
            'metainfo.classes, or add labels that have it',
        ),
        (
            MASK,
            dict(metainfo=dict(classes=('road', 'car', 'sky', 'a', 'b', 'c'))),
            255,
            'no label has sky, a, b and 1 more: correct metainfo.classes, or add '
            'labels that have it',
        ),
        (
            np.where(MASK, 255, np.arange(36) % 2).astype(np.uint8),
            dict(metainfo=dict(classes=('road', 'car', 'sky'))),
            255,
            f'no label has sky; 255, which is ignored, covers {SHARE}: correct '
            'metainfo.classes, or add labels that have it',
        ),
        (
            MASK * 7,
            {},
            7,
            f'no label has car; 7, which is ignored, covers {SHARE}: masks of 0 and 7? '
            'Set label_map={7: 1} in every LoadAnnotations; or correct '
            'metainfo.classes, or add labels that have it',
        ),
        (MASK * 0, {}, 255, 'no label has car: correct metainfo.classes, or add '
            'labels that have it'),
    ],
)  # fmt: skip
def test_absent_classes_are_named_with_a_fix(
    tmp_path, label, options, ignored, sentence
):
    doubt, found = doubts(data(tmp_path, label, **options), ignored)
    assert doubt == sentence
    assert found == [f'{tmp_path}/ann: {sentence}.']


@pytest.mark.parametrize(
    ('label', 'options'),
    [
        (MASK, {}),
        (MASK * 255, with_map({255: 1})),
        (MASK + 1, dict(reduce_zero_label=True)),
        (MASK * 254 + 1, dict(with_map({255: 2}), reduce_zero_label=True)),
        (MASK * 255, dict(pipeline=[*STEPS, dict(type='Binarize')])),
        (MASK, dict(pipeline=[*STEPS, dict(type='RandomFlip', prob=0.5)])),
        (MASK + 10, dict(type='CamVidDataset', metainfo={}, **with_map({10: 0}))),
    ],
)
def test_right_labels_are_not_doubted(tmp_path, label, options):
    options.setdefault('metainfo', dict(classes=('road', 'car')))
    if options.get('type'):  # of 11 classes, most of which a tiny label lacks
        loaded = DATASETS.build({**data(tmp_path, label), **options})[0]['gt_seg_map']
        assert np.array_equal(loaded, MASK * 255)
        return
    assert doubts(data(tmp_path, label, **options)) == (None, [])


@pytest.mark.parametrize(
    ('label', 'sentence'),
    [
        (MASK * 11, 'labels have the ids 11, but the 2 classes are 0 to 1 and 255 is '
            'ignored: set label_map={11: 1} in every LoadAnnotations, or correct '
            'metainfo.classes'),
        (np.where(MASK, 1, 11 * (np.arange(36) % 2)).astype(np.uint8),
            'labels have the ids 11, but the 2 classes are 0 to 1 and 255 is '
            'ignored: set label_map={11: 255} in every LoadAnnotations, or correct '
            'metainfo.classes'),
        (MASK + 1, 'labels have the ids 2, but the 2 classes are 0 to 1 and 255 is '
            'ignored: set reduce_zero_label=True in the data set if ids begin with 1, '
            'or correct metainfo.classes'),
    ],
)  # fmt: skip
def test_ids_that_are_no_class_are_named(tmp_path, label, sentence):
    assert doubts(data(tmp_path, label))[0] == sentence


def test_pixels_are_counted_for_each_class_and_split(tmp_path):
    val = tmp_path / 'val'
    val.mkdir()
    splits = dict(train=data(tmp_path, MASK), val=data(val, MASK * 255, labels=1))
    loaders = {f'{key}_dataloader': dict(dataset=one) for key, one in splits.items()}
    found = check_config(Config(loaders), [], workers=1)
    pixels = {split: one['pixels'] for split, one in as_json(found).items()}
    of_val = {'road': 756, 'car': 0, '255 (no class)': 108}
    assert pixels == dict(train={'road': 2268, 'car': 324}, val=of_val)
    text = '\n'.join(summary(found))
    assert '|   car |    324 | 12.50 |\n' in text
    assert '|            car |      0 |  0.00 |\n' in text
    assert 'train: images 3, errors 0, warnings 0' in text
    assert 'warning: doubtful classes (1)' in text


def test_counting_changes_no_random_state_and_reads_few_labels(tmp_path):
    built = DATASETS.build(data(tmp_path, MASK * 0, labels=250))
    states = random.getstate(), np.random.get_state()[1].tolist()
    torch_state = torch.get_rng_state()
    counts, read = count_some([built, built])
    assert (read, counts[0]) == (100, 100 * MASK.size)
    assert states == (random.getstate(), np.random.get_state()[1].tolist())
    assert torch.equal(torch_state, torch.get_rng_state())


@pytest.mark.parametrize('wrong', [{255: 256}, {'255': 1}, {-1: 0}, [1], {0: 1.5}])
def test_a_wrong_label_map_is_refused(wrong):
    with pytest.raises(InputError, match=r'^LoadAnnotations.label_map=.*\{255: 1\}\.$'):
        TRANSFORMS.build(dict(type='LoadAnnotations', label_map=wrong))


def test_labels_that_cannot_be_read_are_left_to_the_training(tmp_path):
    built = DATASETS.build(data(tmp_path, MASK, classes=('road', 'car', 'sky')))
    (tmp_path / 'ann/1.png').write_bytes(b'')
    (tmp_path / 'img/2.jpg').write_bytes(b'')
    assert count_some([built])[1] == 2
    built.load_data_list = built.get_data_info = lambda *_: {}
    assert count_some([built])[1] == 0


def test_labels_of_another_loader_are_left_alone(tmp_path):
    dataset = data(tmp_path, MASK * 255)
    dataset['pipeline'] = [STEPS[0], dict(type=LoadAnnotations)]
    assert count_some([DATASETS.build(dataset)])[1] == 0
