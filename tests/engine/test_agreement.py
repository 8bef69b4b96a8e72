"""What a config says in several places is compared before it trains."""

from __future__ import annotations

import runpy
import sys
from copy import deepcopy

import numpy as np
import pytest
from mmengine.config import Config
from mmseg.registry import DATASETS, MODELS

from mmseg_pointrend.engine.agreement import check_data_and_model, disagreements
from mmseg_pointrend.errors import InputError
from tests.datasets.bad_files import dataset_config, png, write_pair
from tests.helpers import ROOT, tiny_model_config, train_here

CLASSES = ('road', 'car', 'sky')
STEPS = ('LoadImageFromFile', 'LoadAnnotations', 'PackSegInputs')
IDS = np.arange(24 * 36, dtype=np.uint8).reshape(24, 36) % 4
EVALUATOR = dict(type='IoUMetric')
LOSS = dict(type='CrossEntropyLoss')


def data(**options):
    return dict(
        dict(
            type='BaseSegDataset',
            metainfo=dict(classes=CLASSES),
            pipeline=[dict(type=step) for step in STEPS],
        ),
        **options,
    )


def padded(**step):
    steps = [dict(type=name) for name in STEPS[:2]]
    return data(pipeline=[*steps, step, dict(type=STEPS[2])])


def config(changes=(), train=None, val=None, plain=False, evaluator=EVALUATOR, **keys):
    """A tiny model of three classes with its data sets; ``changes`` are dotted keys."""
    model = tiny_model_config(num_classes=3)
    if plain:
        model.type = 'EncoderDecoder'
        del model.point_head
    loaders = {
        f'{split}_dataloader': dict(dataset=dataset or data())
        for split, dataset in (('train', train), ('val', val))
    }
    cfg = Config(dict(**loaders, model=model, val_evaluator=evaluator, **keys))
    cfg.merge_from_dict(dict(changes))
    return cfg


def said(cfg, splits=('train', 'val')):
    model = MODELS.build(deepcopy(cfg.model))
    datasets = {
        split: [
            DATASETS.build({**cfg[f'{split}_dataloader'].dataset, 'lazy_init': True})
        ]
        for split in splits
    }
    return [*disagreements(cfg, model, datasets)]


def heads(**keys):
    return {
        f'model.{head}.{key}': value
        for head in ('decode_head', 'auxiliary_head')
        for key, value in keys.items()
    }


PART = dict(in_channels=64, in_index=3, channels=8, norm_cfg=dict(type='BN'))
FIRST = dict(PART, type='FCNHead', num_convs=1, concat_input=False, num_classes=3)
LAST = dict(PART, type='OCRHead', ocr_channels=8, num_classes=3)


def cascade(**first):
    return {'model.decode_head': [{**FIRST, **first}, LAST]}


CHECKED = dict(type='CheckedCityscapesDataset')
SUBSET = dict(type='CityscapesDataset', metainfo=dict(classes=('road', 'car')))
IGNORE_11 = heads(ignore_index=11)
WRONG = {
    'auxiliary label': (
        {'model.auxiliary_head.ignore_index': 11},
        {},
        'auxiliary_head.ignore_index=11 but decode_head.ignore_index=255: what does',
    ),
    'decode label': (
        {'model.decode_head.ignore_index': 11},
        {},
        'auxiliary_head.ignore_index=255 but decode_head.ignore_index=11: ',
    ),
    'label in a cascade': (
        cascade(ignore_index=11),
        {},
        'decode_head[0].ignore_index=11 but decode_head[1].ignore_index=255: ',
    ),
    'classes in a cascade': (
        cascade(num_classes=7),
        {},
        'decode_head[0].num_classes=7 but the data set of train_dataloader has 3 class',
    ),
    'label of the data': (
        {},
        dict(train=data(ignore_index=11)),
        'train_dataloader.dataset.ignore_index=11 but decode_head.ignore_index=255',
    ),
    'label of our data': (
        IGNORE_11 | heads(num_classes=19),
        dict(train=CHECKED, val=CHECKED),
        'train_dataloader.dataset.ignore_index=255 but decode_head.ignore_index=11',
    ),
    'a subset': (
        IGNORE_11 | heads(num_classes=2),
        dict(train=SUBSET, val=SUBSET),
        'train_dataloader.dataset makes 255 of what is none of its classes but decode_',
    ),
    'reduce_zero_label': (
        IGNORE_11,
        dict(train=data(reduce_zero_label=True), val=data(reduce_zero_label=True)),
        'train_dataloader.dataset.reduce_zero_label=True makes 255 of 0 but decode_he',
    ),
    'reduce_zero_label of a split': (
        {},
        dict(train=data(reduce_zero_label=True)),
        'val_dataloader.dataset and train_dataloader.dataset differ in reduce_zero_la',
    ),
    'reduce_zero_label of a transform': (
        {},
        dict(val=padded(type='LoadAnnotations', reduce_zero_label=True)
             | dict(pipeline=[dict(type=STEPS[1], reduce_zero_label=True)])),
        'val_dataloader: reduce_zero_label is False in the data set but True in LoadA',
    ),
    'padding with a class': (
        {'model.data_preprocessor.seg_pad_val': 0},
        {},
        'data_preprocessor: seg_pad_val=0 but decode_head.ignore_index=255',
    ),
    'padding of a plain model': (
        IGNORE_11,
        dict(plain=True),
        'data_preprocessor: seg_pad_val=255 but decode_head.ignore_index=11',
    ),
    'padding of a transform': (
        {},
        dict(train=padded(type='Pad', size=(64, 64), pad_val=dict(img=0, seg=0))),
        'Pad in train_dataloader.dataset: seg_pad_val=0 but decode_head.ignore_index=2',
    ),
    'padding by a default': (
        IGNORE_11,
        dict(train=padded(type='RandomRotate', prob=0.5, degree=10)),
        'RandomRotate in train_dataloader.dataset: seg_pad_val=255 but decode_head.ig',
    ),
    'auxiliary classes': (
        {'model.auxiliary_head.num_classes': 7},
        {},
        'auxiliary_head.num_classes=7 but the data set of train_dataloader has 3 class',
    ),
    'classes of a split': (
        {},
        dict(val=data(metainfo=dict(classes=CLASSES[:2]))),
        'decode_head.num_classes=3 but the data set of val_dataloader has 2 classes: ',
    ),
    'order of classes': (
        {},
        dict(val=data(metainfo=dict(classes=CLASSES[::-1]))),
        'val_dataloader.dataset and train_dataloader.dataset have the same classes in ',
    ),
}  # fmt: skip


@pytest.mark.parametrize('name', WRONG)
def test_a_config_that_disagrees_is_refused(name):
    changes, keys, sentence = WRONG[name]
    found = said(config(changes, **keys))
    errors = [text for is_error, text in found if is_error]
    assert [text[: len(sentence)] for text in errors[:1]] == [sentence], errors


RIGHT = {
    'defaults': ({}, {}),
    'plain': ({}, dict(plain=True)),
    'another label': (IGNORE_11, dict(evaluator=dict(EVALUATOR, ignore_index=11))),
    'a class that is ignored': (heads(ignore_index=0), {}),
    'reduce_zero_label': (
        {},
        dict(train=data(reduce_zero_label=True), val=data(reduce_zero_label=True)),
    ),
    'other data to validate': (
        {},
        dict(train=data(reduce_zero_label=True), val=data(data_root='other')),
    ),
    'a subset': (heads(num_classes=2), dict(train=SUBSET, val=SUBSET)),
    'one channel': (
        heads(num_classes=2, out_channels=1, loss_decode=dict(LOSS, use_sigmoid=True)),
        dict.fromkeys(('train', 'val'), data(metainfo=dict(classes=CLASSES[:2]))),
    ),
    'a cascade': (cascade(channels=4), {}),
    'boundaries': (
        {
            'model.auxiliary_head.type': 'STDCHead',
            'model.auxiliary_head.num_classes': 2,
            'model.auxiliary_head.boundary_threshold': 0.1,
        },
        {},
    ),
    'padding': (
        {},
        dict(train=padded(type='RandomRotate', prob=0.5, degree=10)),
    ),
    'other metrics': ({}, dict(test_evaluator=[dict(type='CityscapesMetric')])),
}


@pytest.mark.parametrize('name', RIGHT)
def test_a_config_that_agrees_passes(name):
    changes, keys = RIGHT[name]
    assert not [text for is_error, text in said(config(changes, **keys)) if is_error]


@pytest.mark.parametrize(
    ('changes', 'dataset'),
    [
        ({'model.auxiliary_head.num_classes': 7}, data()),
        ({'model.auxiliary_head.ignore_index': 11}, data(ignore_index=7)),
    ],
)
def test_testing_reads_only_the_classes_of_the_last_head(changes, dataset):
    assert said(config(changes, val=dataset), ['val']) == []


def test_what_a_metric_ignores_is_warned_of():
    evaluator = [dict(type='BoundaryIoUMetric', ignore_index=0), EVALUATOR]
    ((is_error, text),) = said(config(evaluator=evaluator))
    assert not is_error
    assert text.startswith('val_evaluator: BoundaryIoUMetric.ignore_index=0 but decode')


def test_labels_are_padded_with_what_is_ignored():
    model = MODELS.build(config(IGNORE_11).model)
    assert model.data_preprocessor.seg_pad_val == 11


def of_files(root, changes=(), **options):
    """The config of a data set with classes 0 to 2 and 11, in folders ``img, ann``."""
    label = np.where(IDS == 3, 11, IDS).astype(np.uint8)
    root = write_pair(root, 'a', label=png(label))
    dataset = {**dataset_config(root), **data(**options)}
    return config(changes, train=dataset, val=dataset)


@pytest.mark.parametrize(
    ('changes', 'options', 'kinds'),
    [
        (IGNORE_11, {}, []),
        (IGNORE_11, dict(ignore_index=11), []),
        ({}, {}, ['label ids out of range']),
        ({}, dict(ignore_index=11), ['config']),
        ({'model.auxiliary_head.ignore_index': 11}, {}, ['config', 'label ids out of']),
        ({'model.decode_head.in_channels': 'many'}, {}, ['config', 'label ids out of']),
    ],
)
def test_the_check_reads_the_label_that_the_model_ignores(
    tmp_path, changes, options, kinds
):
    found = check_data_and_model(of_files(tmp_path, changes, **options), [], workers=1)
    errors = [one.kind for one in found['train'].findings if one.is_error]
    assert [kind[:16] for kind in errors] == [kind[:16] for kind in kinds]


def test_the_tool_ends_with_what_disagrees(tmp_path, monkeypatch, capsys):
    path = tmp_path / 'config.py'
    of_files(tmp_path, ignore_index=11).dump(path)
    monkeypatch.setattr(sys, 'argv', ['check_dataset.py', str(path), '--workers', '1'])
    with pytest.raises(SystemExit):
        runpy.run_path(str(ROOT / 'tools/check_dataset.py'), run_name='__main__')
    out = capsys.readouterr().out
    assert 'error: config (1)\n  train_dataloader.dataset.ignore_index=11 but' in out


def test_training_refuses_before_the_first_iteration(tiny_config, tmp_path):
    with pytest.raises(InputError, match=r'^auxiliary_head.ignore_index=11 but decode'):
        train_here(tiny_config, tmp_path, **{'model.auxiliary_head.ignore_index': 11})


def test_training_warns_of_absent_classes_and_goes_on(tiny_config, tmp_path):
    dataset = Config.fromfile(tiny_config).train_dataloader.dataset.to_dict()
    dataset['pipeline'][1]['label_map'] = {2: 0}
    repeated = dict(type='RepeatDataset', dataset=dataset, times=1)
    wrapped = dict(_delete_=True, type='ConcatDataset', datasets=[repeated, dataset])
    options = {'train_dataloader.dataset': wrapped, 'train_cfg.max_iters': 1}
    recorder = train_here(tiny_config, tmp_path, **options)
    assert list(recorder.losses) == [1]
    (log,) = tmp_path.rglob('*.log')
    assert 'Of 12 labels of train_dataloader: no label has building' in log.read_text()
