"""A model with another number of classes than its data set is refused."""

from __future__ import annotations

import pytest

from mmseg_pointrend.engine.config import load_config
from mmseg_pointrend.engine.runner import build_runner
from mmseg_pointrend.errors import InputError
from tests.helpers import train_here

TWO = {'metainfo.classes': ('road', 'sky')}


def of(split, options):
    return {
        f'{split}_dataloader.dataset.{key}': value for key, value in options.items()
    }


@pytest.mark.parametrize(
    ('options', 'sentence'),
    [
        (
            {'model.auxiliary_head': None, 'model.decode_head.num_classes': 7},
            r'decode_head.num_classes=7 but the data set of train_dataloader has 19 '
            r'classes: set num_classes=19 in decode_head and',
        ),
        (of('val', TWO), r'num_classes=19 but the data set of val_dataloader has 2 '),
    ],
)
def test_training_refuses_another_number_of_classes(
    tiny_config, tmp_path, options, sentence
):
    with pytest.raises(InputError, match=sentence):
        train_here(tiny_config, tmp_path, **options)


def test_testing_refuses_another_number_of_classes(tiny_config, tmp_path):
    cfg = load_config(str(tiny_config), of('test', TWO), work_dir=str(tmp_path))
    with pytest.raises(InputError, match='the data set of test_dataloader has 2 class'):
        build_runner(cfg).test()


BINARY = {
    'model.decode_head.num_classes': 2,
    'model.decode_head.out_channels': 1,
    'model.decode_head.loss_decode': dict(type='CrossEntropyLoss', use_sigmoid=True),
}


def test_one_class_by_name_is_refused(tiny_config, tmp_path):
    one = {'metainfo.classes': ('road',)}
    options = {**BINARY, **of('train', one), **of('val', one)}
    options['model.auxiliary_head'] = None
    sentence = r'train_dataloader has one class by name, .*background first'
    with pytest.raises(InputError, match=sentence):
        train_here(tiny_config, tmp_path, **options)


def test_one_channel_serves_two_classes(tiny_config, tmp_path):
    options = {**BINARY, **of('train', TWO), **of('val', TWO)}
    options |= {'model.auxiliary_head': None, 'train_cfg.max_iters': 1}
    assert list(train_here(tiny_config, tmp_path, **options).losses) == [1]
