"""What a user's own data meet in other libraries is said in a sentence."""

from __future__ import annotations

import os
import re
import socket
from copy import deepcopy
from unittest.mock import patch

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.model import BaseModule
from mmseg.registry import MODELS, TRANSFORMS
from torch import nn

from mmseg_pointrend.engine.config import (
    keep_testing_only,
    load_config,
    save_predictions,
    use_tta,
)
from mmseg_pointrend.engine.hooks.unlabelled_hook import UnlabelledHook
from mmseg_pointrend.engine.runner import build_runner
from mmseg_pointrend.errors import InputError, exit_with_sentence
from mmseg_pointrend.failures import FAILURES, sentence_of

IMAGE = dict(type='LoadImageFromFile')
GRAY = dict(IMAGE, color_type='grayscale')
LABEL = dict(type='LoadAnnotations')
PACK = dict(type='PackSegInputs')
RESIZE = dict(type='Resize', scale=(48, 48))
LARGER = dict(type='RandomResize', scale=(192, 128), ratio_range=(1.0, 3.0))
CROP = dict(type='RandomCrop', crop_size=(32, 32), cat_max_ratio=0.75)
OF_DATA = (
    *('type', 'img_suffix', 'ann_file', 'metainfo', 'data_prefix', 'pipeline'),
    *('test_mode', 'suffix', 'datasets', 'split'),
)
FOCAL = dict(type='FocalLoss', _delete_=True)
CLASSES = [f'class {i}' for i in range(19)]


@TRANSFORMS.register_module()
class EndWorker:
    """What the operating system does where there is no memory."""

    def __call__(self, results):
        os.kill(os.getpid(), 9)


def steps(*middle, first=IMAGE, last=PACK):
    return dict(pipeline=[first, *middle, last])


def labels(folder):
    return dict(data_prefix=dict(img_path='img', seg_map_path=folder))


@pytest.fixture(scope='module')
def own_data(tmp_path_factory):
    """Four images in a folder, with labels that are right and three kinds of wrong."""
    root = tmp_path_factory.mktemp('own')
    rng = np.random.default_rng(0)
    for folder, shape, top in (
        ('img', (64, 96, 3), 255),
        ('ann', (64, 96), 19),
        ('rgb', (64, 96, 3), 19),
        ('ids', (64, 96), 99),
    ):
        (root / folder).mkdir()
        for i in range(4):
            values = rng.integers(0, top, shape, np.uint8)
            cv2.imwrite(str(root / folder / f'{i}.png'), values)
    (root / 'odd').mkdir()
    for i in range(4):
        cv2.imwrite(str(root / 'odd' / f'{i}.png'), np.zeros((64, 64 + i)))
    return root


def own_config(tiny_config, own_data, tmp_path, **options):
    """Train the tiny model on own data.

    Args:
        options: of the data set (of ``split``, or several ``datasets``), or others.
    """
    of_data = {key: options.pop(key) for key in [*options] if key in OF_DATA}
    split = of_data.pop('split', 'train')
    dataset = dict(
        type='BaseSegDataset',
        img_suffix='.png',
        data_root=str(own_data),
        metainfo=dict(classes=CLASSES),
        **labels('ann'),
        **steps(LABEL),
    )
    datasets = {key: deepcopy(dataset) for key in ('train', 'val', 'test')}
    others = of_data.pop('datasets', None)
    datasets[split].update(of_data)
    if others:
        parts = [dataset | other for other in others]
        datasets[split] = dict(type='ConcatDataset', datasets=parts)
    cfg = load_config(str(tiny_config), work_dir=str(tmp_path))
    for key, one in datasets.items():
        # Not merged with what the config has for Cityscapes.
        cfg[f'{key}_dataloader'].dataset = one
    cfg.experiment_name = str(tmp_path)  # a log of its own
    cfg.train_cfg.update(max_iters=1, val_interval=1)
    cfg.val_evaluator = cfg.test_evaluator = dict(type='IoUMetric')
    cfg.merge_from_dict(options)
    return cfg


def sentence_about(cfg, capsys):
    """Train as ``tools/train.py`` does; give the sentence and what the log holds."""
    with (
        pytest.raises(SystemExit, match='1'),
        exit_with_sentence(),
        patch.object(Config, 'pretty_text', ''),
    ):
        build_runner(cfg).train()
    printed = capsys.readouterr().err.strip().splitlines()
    assert printed[-2].startswith('the traceback is in ')
    with open(printed[-2].removeprefix('the traceback is in ')) as file:
        return printed[-1].removeprefix('error: '), file.read()


TRAIN = 'train_dataloader'
ENDS = r'[^.]*: .+\.$'
CASES = {
    'a wrong suffix': (
        dict(img_suffix='.jpeg'),
        r'train_dataloader.dataset finds no image: .*img_suffix',
    ),
    'no list of images': (
        dict(ann_file='/nowhere/train.txt'),
        r'the list of images /nowhere/train.txt \(ann_file of train_dataloader',
    ),
    'classes of another type': (
        dict(type='CityscapesDataset', metainfo=dict(classes=('road', 'zebra'))),
        r"train_dataloader.dataset.metainfo.classes=\('road', 'zebra'\) has names",
    ),
    'a palette of another length': (
        dict(metainfo=dict(classes=CLASSES, palette=[[1, 2, 3]])),
        r'train_dataloader.dataset.metainfo.palette has not one colour for each',
    ),
    'no classes': (
        dict(split='val', metainfo=dict()),
        r'val_dataloader.dataset names no classes: add metainfo',
    ),
    'no classes to test': (
        dict(split='val', metainfo=dict(), test_mode=True),
        r'val_dataloader.dataset names no classes: add metainfo',
    ),
    'unequal classes': (
        dict(datasets=[{}, dict(metainfo=dict(classes=CLASSES[::-1]))]),
        r'number 2 of the datasets in train_dataloader.dataset has other classes',
    ),
    'classes in a list and a tuple': (
        dict(datasets=[{}, dict(metainfo=dict(classes=tuple(CLASSES)))]),
        r'number 2 of the datasets in train_dataloader.dataset has other classes',
    ),
    'no workers that persist': (
        {f'{TRAIN}.persistent_workers': True},
        r'train_dataloader has num_workers=0 and persistent_workers',
    ),
    'no workers that prefetch': (
        {f'{TRAIN}.prefetch_factor': 2},
        r'train_dataloader has num_workers=0 and prefetch_factor',
    ),
    'fewer than no workers': (
        {f'{TRAIN}.num_workers': -1},
        r'train_dataloader.num_workers must be non-negative',
    ),
    'an empty batch': (
        {f'{TRAIN}.batch_size': 0},
        r'train_dataloader.batch_size must be a positive integer value',
    ),
    'a worker that is killed': (
        {f'{TRAIN}.num_workers': 1, **steps(LABEL, dict(type='EndWorker'))},
        r'a worker process of a data loader failed, most often for want of memory',
    ),
    'no folder of labels': (
        dict(data_prefix=dict(img_path='img')),
        r'train_dataloader.dataset has no labels: add seg_map_path',
    ),
    'a crop before the label': (
        steps(CROP, LABEL),
        r'a step of train_dataloader.dataset.pipeline finds no label',
    ),
    'a crop before the label in a worker': (
        {f'{TRAIN}.num_workers': 1, **steps(CROP, LABEL)},
        r'a step of train_dataloader.dataset.pipeline finds no label',
    ),
    'no image': (
        steps(RESIZE, first=LABEL),
        r'train_dataloader.dataset gives no image',
    ),
    'nothing packed': (
        steps(last=LABEL),
        r'train_dataloader.dataset gives no image: .*PackSegInputs',
    ),
    'no label in training': (
        steps(),
        r'the samples have no label: put LoadAnnotations into train_dataloader',
    ),
    'no label in validation': (
        dict(split='val', **steps()),
        r'the samples have no label: put LoadAnnotations into val_dataloader.*--out',
    ),
    'a label that is resized in validation': (
        dict(split='val', **steps(LABEL, RESIZE)),
        r'a label has 48, 48 pixels and its prediction 64, 96: put LoadAnnot.* val_dat',
    ),
    'labels of several sizes': (
        {**labels('odd'), 'model.data_preprocessor.size': (64, 96)},
        r'the labels of a batch have .* put LoadAnnotations before the steps of train',
    ),
    'images larger than the batch': (
        steps(LABEL, LARGER),
        r'the images of a batch have .* larger than model.data_preprocessor.size',
    ),
    'two paddings': (
        {'model.data_preprocessor.size_divisor': 16},
        r'model.data_preprocessor pads to size or to size_divisor',
    ),
    'means of four channels': (
        {f'model.data_preprocessor.{key}': [1, 2, 3, 4] for key in ('mean', 'std')},
        r'an image has 3 channels and model.data_preprocessor.mean 4',
    ),
    'a backbone of four channels': (
        {'model.backbone.in_channels': 4},
        r'a convolution is built for 4 channels and given 3: correct in_channels of',
    ),
    'colours of a gray image': (
        steps(LABEL, dict(type='PhotoMetricDistortion'), first=GRAY),
        r'a step of train_dataloader.dataset.pipeline that changes colours',
    ),
    'labels in colours': (labels('rgb'), r'a label is a picture in colours'),
    'labels in colours in validation': (
        dict(split='val', **labels('rgb')),
        r'a label is a picture in colours',
    ),
    'ids out of range': (
        labels('ids'),
        r'a label holds the id \d\d, that is neither a class nor ignored: correct',
    ),
    'ids out of range with weights': (
        {
            **labels('ids'),
            'model.decode_head.loss_decode.class_weight': [1.0] * 19,
            'model.decode_head.loss_decode.avg_non_ignore': True,
        },
        r'a label holds the id \d\d, that is neither a class nor ignored: correct',
    ),
    'ids out of range of a focal loss': (
        {**labels('ids'), 'model.decode_head.loss_decode': FOCAL},
        r'a label holds an id that is neither a class nor ignored: correct',
    ),
    'an argument that is none': (
        dict(suffix='.png'),
        r'BaseSegDataset has no argument suffix: correct or remove',
    ),
    'an argument that no base has': (
        {'model.decode_head.chanels': 8},
        r'BaseDecodeHead has no argument chanels: correct or remove',
    ),
    'an argument that is missing': (
        steps(LABEL, dict(type='RandomCrop')),
        r"RandomCrop needs 'crop_size': add it",
    ),
    'an unknown data set': (
        dict(type='MyDataset'),
        r"type='MyDataset' is not registered: correct .*custom_imports",
    ),
    'an unknown sampler': (
        {f'{TRAIN}.sampler.type': 'MySampler'},
        r"type='MySampler' is not registered: correct",
    ),
    'an unknown head': (
        {'model.decode_head.type': 'PSPHeadd'},
        r"type='PSPHeadd' is not registered: correct",
    ),
    'an unknown optimizer': (
        {'optim_wrapper.optimizer.type': 'Adamm'},
        r'optim_wrapper.optimizer.type is not registered: correct',
    ),
    'a package that is missing': (
        steps(LABEL, dict(type='Albu', transforms=[])),
        r'albumentations is not installed',
    ),
    'one of three keys': (
        {'val_dataloader': None},
        r'the config has some of val_dataloader, val_cfg and val_evaluator',
    ),
    'weights by two names': (
        {
            'model.pretrained': 'a.pth',
            'model.backbone.init_cfg': dict(type='Pretrained', checkpoint='b.pth'),
        },
        r'model.pretrained and model.backbone.init_cfg both name weights',
    ),
    'a training that ends before its warm-up': (
        {
            'param_scheduler': [
                dict(type='PolyLR', begin=50, end=30, by_epoch=False),
            ]
        },
        r'a schedule in param_scheduler begins at 50 and ends at 30, as training',
    ),
    'one image': (
        {f'{TRAIN}.batch_size': 1},
        r'BatchNorm cannot learn from one value a channel, \[1, 8, 1, 1\]',
    ),
    'an unknown figure': (
        {'val_evaluator.iou_metrics': ['mIOU']},
        r"iou_metrics=\['mIOU'\] of an evaluator is unknown",
    ),
}


@pytest.mark.parametrize('case', CASES)
def test_known_failures_of_a_training_are_sentences(
    case, tiny_config, own_data, tmp_path, capsys
):
    options, sentence = CASES[case]
    cfg = own_config(tiny_config, own_data, tmp_path, **options)
    said, log = sentence_about(cfg, capsys)
    assert re.match(sentence, said), said
    assert 'Traceback (most recent call last)' in log


def test_labels_that_are_not_resized_are_refused_where_both_are_padded(
    tiny_config, own_data, tmp_path
):
    cfg = own_config(tiny_config, own_data, tmp_path, **steps(RESIZE, LABEL))
    sentence = (
        r'/ann/\d.png has 64x96 pixels and its image \d\dx\d\d: put LoadAnnotations'
    )
    with (
        pytest.raises(InputError, match=sentence),
        patch.object(Config, 'pretty_text', ''),
    ):
        build_runner(cfg).train()


def resume_another_optimizer():
    layer = nn.Linear(2, 2)
    state = torch.optim.SGD(layer.parameters(), lr=1).state_dict()
    torch.optim.SGD([layer.weight], lr=1).load_state_dict(state)


def start_at_a_port_in_use():
    with socket.socket() as taken:
        taken.bind(('127.0.0.1', 0))
        taken.listen()
        torch.distributed.TCPStore('127.0.0.1', taken.getsockname()[1], is_master=True)


def ask_for_more_memory_than_there_is():
    torch.empty(2**60, dtype=torch.uint8)


def load_weights_with_another_prefix():
    class Part(BaseModule):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.conv = nn.Conv2d(1, 1, 1)

    with patch(
        'mmengine.runner.checkpoint.CheckpointLoader.load_checkpoint',
        return_value={'conv.weight': torch.ones(1)},
    ):
        Part(
            init_cfg=dict(type='Pretrained', checkpoint='a.pth', prefix='backbone.')
        ).init_weights()


def predict_two_sizes_with_a_plain_model():
    images = [torch.ones(3, 4, 4), torch.ones(3, 4, 5)]
    MODELS.build(dict(type='SegDataPreProcessor'))(dict(inputs=images))


def two_classes_with_a_third_id():
    loss = MODELS.build(dict(type='CrossEntropyLoss', use_sigmoid=True))
    loss(torch.ones(1, 1, 4, 4), torch.full((1, 4, 4), 7))


def raising(kind, text):
    def raises():
        raise kind(text)

    return raises


@pytest.mark.parametrize(
    ('fail', 'sentence'),
    [
        (resume_another_optimizer, r'the checkpoint that is resumed has another opt'),
        (start_at_a_port_in_use, r'the port MASTER_PORT is in use by another process'),
        (ask_for_more_memory_than_there_is, r'there is not enough memory: lower \*_da'),
        (predict_two_sizes_with_a_plain_model, r'.* different sizes: set \*_dataload'),
        (two_classes_with_a_third_id, r'a label holds an id that is neither a class'),
        (
            load_weights_with_another_prefix,
            r"init_cfg.prefix='backbone.' stands before",
        ),
        (
            raising(
                torch.OutOfMemoryError,
                'CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total ...',
            ),
            r'there is not enough memory: lower \*_dataloader.batch_size or the size',
        ),
        (
            raising(
                torch.AcceleratorError,
                'CUDA error: device-side assert triggered\nCUDA kernel errors might be '
                'asynchronously reported at some other API call',
            ),
            r'the GPU met an index out of range, most often a label id that is neither',
        ),
        (
            raising(
                RuntimeError,
                'Expected to have finished reduction in the prior iteration before '
                'starting a new one.',
            ),
            r'a part of the model has no share in the loss: set find_unused_parame',
        ),
    ],
)
def test_known_failures_of_torch_are_sentences(fail, sentence):
    with pytest.raises(Exception) as caught:  # noqa: PT011  (several)
        fail()
    assert re.match(sentence, sentence_of(caught.value) or 'unknown')


class Own:
    """A module of a user's own, with a fault that no config mends."""

    def __init__(self):
        nn.Conv2d(1, 1, 1, biases=False)


def key_error_handled():
    try:
        raise KeyError('gt_sem_seg')
    except KeyError:
        raise RuntimeError('something else') from None


@pytest.mark.parametrize(
    'fail',
    [
        lambda: {}['img'],
        lambda: {}['inputs'],
        lambda: {}['classes'],
        lambda: np.concatenate([]),
        lambda: torch.stack([torch.ones(1), torch.ones(2)]),
        lambda: torch.ones(3) + torch.ones(4),
        lambda: torch.ones(3)[torch.tensor(5)],
        lambda: nn.Linear(2, 2, biases=False),
        lambda: MODELS.build(dict(type=Own)),
        key_error_handled,
    ],
)
def test_other_errors_pass_with_their_traceback(fail, capsys):
    with pytest.raises(Exception) as caught, exit_with_sentence():  # noqa: PT011
        fail()
    assert not isinstance(caught.value, SystemExit)
    assert caught.traceback[-1].path is not None
    assert capsys.readouterr().err == ''


def test_every_sentence_has_a_fix():
    for place, said, sentence in FAILURES:
        re.compile(place)
        groups = ['one'] * re.compile(said).groups
        text = sentence.format(*groups, loader='train_dataloader')
        assert text.endswith('.')
        assert ': ' in text or text == 'one.'


def test_without_a_log_the_traceback_is_printed(capsys):
    with (
        patch.object(MMLogger, 'get_current_instance', return_value=MMLogger('none')),
        pytest.raises(SystemExit, match='1'),
        exit_with_sentence(),
    ):
        ask_for_more_memory_than_there_is()
    printed = capsys.readouterr().err
    assert printed.startswith('Traceback (most recent call last)')
    assert printed.splitlines()[-1].startswith('error: there is not enough memory: ')


def predict(cfg, *hooks):
    with patch.object(Config, 'pretty_text', ''):
        runner = build_runner(cfg)
        for hook in hooks:
            runner.register_hook(hook)
        return runner.test()


@pytest.mark.parametrize('labelled', [True, False])
@pytest.mark.parametrize('augmented', [False, True])
def test_images_without_labels_are_predicted(
    labelled, augmented, tiny_config, own_data, tmp_path
):
    options = {} if labelled else dict(data_prefix=dict(img_path='img'), **steps())
    cfg = own_config(tiny_config, own_data, tmp_path, split='test', **options)
    cfg.test_evaluator = [dict(type='IoUMetric'), dict(type='BoundaryIoUMetric')]
    keep_testing_only(cfg)
    cfg.val_dataloader = cfg.val_cfg = cfg.val_evaluator = None
    if augmented:
        read = [[LABEL]] if labelled else []
        views = [dict(type='RandomFlip', prob=p) for p in (0.0, 1.0)]
        ways = dict(type='TestTimeAug', transforms=[views, *read, [PACK]])
        cfg.tta_pipeline = [IMAGE, ways]
        cfg.tta_model = dict(type='SegTTAModel')
        use_tta(cfg)
    save_predictions(cfg, str(tmp_path / 'out'))
    figures = predict(cfg, UnlabelledHook())
    assert ('mIoU' in figures, 'mBIoU' in figures) == (labelled, labelled)
    written = [cv2.imread(str(i), -1) for i in (tmp_path / 'out').glob('*.png')]
    assert [i.shape for i in written] == [(64, 96)] * 4
