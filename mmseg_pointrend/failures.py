"""Failures of torch, MMEngine and MMSegmentation that a config or the data cause.

What a user's own data set meets is raised by those libraries, often far from its cause
and in a worker process. This table is the one place that knows such failures; an error
that is not in it is no fault of the input, or not known to be one.
"""

from __future__ import annotations

import re
import traceback

PIPELINE = '{loader}.dataset.pipeline'
SIZES = r'RuntimeError: stack expects .* got \[(.+)\] at .* and \[(.+)\] at'
IDS = (
    'that is neither a class nor ignored: correct num_classes and ignore_index of the '
    "heads, or the data set's metainfo.classes and reduce_zero_label, or convert the "
    'labels (tools/check_dataset.py names the files).'
)
NO_LABEL = f'put LoadAnnotations into {PIPELINE} and seg_map_path into data_prefix'
FAILURES = [
    # Each: a regular expression of the place, which is the last call of a traceback,
    # such as 'File ".../mmseg/utils/misc.py", line 9, in stack_batch' and its source;
    # one of what is said, from the type on; the sentence, with the groups of that.
    #
    # What a data set lists.
    (
        'in _serialize_data',
        'ValueError: need at least one array to concatenate',
        '{loader}.dataset finds no image: correct data_root, data_prefix.img_path, '
        'img_suffix or ann_file.',
    ),
    (
        'in load_data_list',
        'AssertionError: Failed to load `ann_file` (.+)',
        'the list of images {0} (ann_file of {loader}.dataset) does not exist: correct '
        'the path, or remove the key to read the whole folder.',
    ),
    (
        'in get_label_map',
        r'ValueError: new classes (.+) is not a subset of classes (.+) in META',
        '{loader}.dataset.metainfo.classes={0} has names that its type does not know, '
        "{1}: correct them, or set type='BaseSegDataset' for classes of your own.",
    ),
    (
        'in _update_palette',
        'ValueError: palette does not match classes',
        '{loader}.dataset.metainfo.palette has not one colour for each class: correct '
        'or remove it.',
    ),
    (
        'mmseg.datasets|evaluation',
        "AssertionError: dataset metainfo `classes` should be|KeyError: 'classes'",
        '{loader}.dataset names no classes: add metainfo=dict(classes=[...]).',
    ),
    (
        'mmengine.dataset.dataset_wrapper',
        r'\w+Error: .* (\d+)-th dataset',
        'number {0} of the datasets in {loader}.dataset has other classes, another '
        'palette or reduce_zero_label than the first: give all the same.',
    ),
    # How data are loaded.
    (
        'torch.utils.data',
        'ValueError: (persistent_workers|prefetch_factor) option (?:needs|could only)',
        '{loader} has num_workers=0 and {0}: set persistent_workers=False and no '
        'prefetch_factor, or num_workers=1.',
    ),
    (
        'torch.utils.data',
        r'ValueError: (\w+) (?:option )?should be (.+?)(?:[;,]|$)',
        '{loader}.{0} must be {1}: correct it.',
    ),
    (
        'torch.utils.data|multiprocessing',
        r'RuntimeError: DataLoader worker .* (?:killed by signal: (?:Kill|Bus)|exited)'
        '|(?:OSError|RuntimeError): .*(?:Too many open files|received 0 items of ancd|'
        'unable to .* shared memory)',
        'a worker process of a data loader failed, most often for want of memory, '
        'shared memory or open files: lower num_workers, or allow more (docker run '
        '--shm-size=8g, ulimit -n 65535).',
    ),
    # The order of a pipeline.
    (
        r'in _load_seg_map|datasets.checked\.py',
        "KeyError: 'seg_map_path'",
        '{loader}.dataset has no labels: add seg_map_path to its data_prefix, or, '
        'to predict with tools/test.py --out DIR, take LoadAnnotations out of its '
        'pipeline.',
    ),
    (
        'mm(?:cv|seg).+transforms',
        "KeyError: 'gt_seg_map'",
        f'a step of {PIPELINE} finds no label: put LoadAnnotations after '
        'LoadImageFromFile.',
    ),
    (
        'mmseg.models.data_preprocessor|mm(?:cv|seg).+transforms',
        "KeyError: '(?:inputs|img)'",
        "{loader}.dataset gives no image: begin its pipeline with dict(type='LoadImage"
        "FromFile') and end it with dict(type='PackSegInputs'); several data sets go "
        "into dict(type='ConcatDataset', datasets=[...]).",
    ),
    (
        'mmseg.structures',
        "AttributeError: 'SegDataSample' object has no attribute '_?gt_sem_seg'",
        f'the samples have no label: {NO_LABEL}.',
    ),
    (
        'evaluation',
        "KeyError: 'gt_sem_seg'",
        f'the samples have no label: {NO_LABEL}, or write predictions alone by '
        'tools/test.py --out DIR.',
    ),
    (
        'in intersect_and_union',
        r'IndexError: The shape of the mask \[(.+)\] .* indexed tensor \[(.+)\] at',
        f'a label has {{0}} pixels and its prediction {{1}}: put LoadAnnotations after '
        f'the steps of {PIPELINE} that change the size, and give each image a label of '
        'its size.',
    ),
    (
        'in _stack_batch_gt',
        SIZES,
        'the labels of a batch have {0} and {1} pixels: put LoadAnnotations before the '
        f'steps of {PIPELINE} that change the size, and give each image a label of its '
        'size.',
    ),
    (
        'in stack_batch',
        SIZES,
        'the images of a batch have different sizes, {0} and {1}, one of which is '
        'larger than model.data_preprocessor.size: put RandomCrop of that size into '
        f'{PIPELINE}, or raise it.',
    ),
    (
        'data_preprocessor',
        'AssertionError: The image size in a batch should be the same',
        'the images of a batch have different sizes: set {loader}.batch_size=1.',
    ),
    (
        'in stack_batch',
        'AssertionError: only one of size and size_divisor should be valid',
        'model.data_preprocessor pads to size or to size_divisor: set one of them and '
        'the other to None, in its test_cfg, too.',
    ),
    (
        'data_preprocessor',
        r'RuntimeError: The size of tensor a \((\d+)\) .* b \((\d+)\) .* dimension 0',
        'an image has {0} channels and model.data_preprocessor.mean {1}: give mean and '
        f'std that many values, or set color_type in LoadImageFromFile of {PIPELINE}.',
    ),
    (
        'in _conv_forward',
        r'RuntimeError: .* to have (\d+) channels, but got (\d+) channels instead',
        'a convolution is built for {0} channels and given {1}: correct in_channels of '
        'model.backbone, which is given the image, or of the head.',
    ),
    (
        'mmcv.image',
        r"cv2\.error: [\s\S]*(?:'scn' is \d+|Unsupported depth)",
        f'a step of {PIPELINE} that changes colours, such as PhotoMetricDistortion, '
        "wants 8-bit images of three channels: remove it, or set color_type='color' in "
        'LoadImageFromFile.',
    ),
    # Labels and classes.
    (
        'in _stack_batch_gt|in cross_entropy|in intersect_and_union',
        'RuntimeError: only batches of spatial targets supported|IndexError: too many '
        'indices for tensor of dimension 2',
        'a label is a picture in colours: convert it to one 8-bit id a pixel.',
    ),
    (
        'in cross_entropy|losses|sampler|in accuracy',
        r'(?:IndexError|RuntimeError): (?:Target|index) (-?\d+) is out of bounds',
        f'a label holds the id {{0}}, {IDS}',
    ),
    (
        'losses',
        'RuntimeError: Class values must be|AssertionError: For pred with shape .* its '
        'label must have at most',
        f'a label holds an id {IDS}',
    ),
    (
        '',
        r'\w+Error: CUDA error: device-side assert triggered',
        f'the GPU met an index out of range, most often a label id {IDS}',
    ),
    # How a config is built.
    (
        r'obj_cls\(\*\*args\)|super\(.*__init__\(',
        r"TypeError: (\w+)\.__init__\(\) got an unexpected keyword argument '(\w+)'",
        '{0} has no argument {1}: correct or remove the key in the config.',
    ),
    (
        r'obj_cls\(\*\*args\)|super\(.*__init__\(',
        r'TypeError: (\w+)\.__init__\(\) missing \d+ required .*: (.+)',
        '{0} needs {1}: add it to the config.',
    ),
    (
        'in build_from_cfg',
        r"KeyError: '(.+?) is not in the \S+::[\w ]+ registry",
        "type='{0}' is not registered: correct the name, or name the module that has "
        'it in custom_imports.',
    ),
    (
        'inspect',
        'TypeError: None is not a callable object',
        'optim_wrapper.optimizer.type is not registered: correct the name, or name the '
        'module that has it in custom_imports.',
    ),
    (
        'param_scheduler',
        r'ValueError: end should be larger than begin.*begin=(\d+), end=(\d+)',
        'a schedule in param_scheduler begins at {0} and ends at {1}, as training is '
        'too short for it: correct its begin and end.',
    ),
    (
        'in _init_env',
        'ImportError: .*torch.utils.tensorboard',
        'TensorboardVisBackend of the visualizer needs tensorboard: pip install '
        'tensorboard.',
    ),
    (
        r'mm(?:engine|cv|seg)[\\/]',
        r'ImportError: (.+ install.*?)\.?$',
        '{0}.',
    ),
    (
        'mmengine.runner',
        r'ValueError: (\w+), (\w+), and (\w+) should be either all None or not None',
        'the config has some of {0}, {1} and {2}: give all, or set all to None.',
    ),
    (
        '',
        'AssertionError: init_cfg and pretrained cannot be',
        'model.pretrained and model.backbone.init_cfg both name weights: set '
        'model.pretrained=None.',
    ),
    (
        'in _load_checkpoint_with_prefix',
        'AssertionError: (.+) is not in the pretrained model',
        "init_cfg.prefix='{0}' stands before no weight of init_cfg.checkpoint: correct "
        'or remove it.',
    ),
    # How a model is trained and evaluated.
    (
        'torch.nn',
        r'ValueError: Expected more than 1 value per channel .* torch\.Size\((.+)\)',
        'BatchNorm cannot learn from one value a channel, {0}, such as the image '
        'pooling of one image: set train_dataloader.batch_size=2 and drop_last=True '
        '(for each GPU).',
    ),
    (
        '',
        r"\w+Error: (?:CUDA out of memory|.*DefaultCPUAllocator: can't allocate)",
        'there is not enough memory: lower {loader}.batch_size or the size of the '
        "crops, train with --amp, or predict by windows (model.test_cfg.mode='slide').",
    ),
    (
        '',
        'RuntimeError: Expected to have finished reduction in the prior iteration',
        'a part of the model has no share in the loss: set find_unused_parameters=True '
        'in the config.',
    ),
    (
        'in load_state_dict',
        'ValueError: loaded state dict (?:contains a|has a diff)',
        'the checkpoint that is resumed has another optimizer or model: give its '
        'config, or start from its weights with load_from and without resume.',
    ),
    (
        'in total_area_to_metrics',
        r"""KeyError: ["']metrics (.+) is not supported""",
        'iou_metrics={0} of an evaluator is unknown: give some of mIoU, mDice and '
        'mFscore.',
    ),
    (
        '',
        r'\w+Error: .*EADDRINUSE',
        'the port MASTER_PORT is in use by another process: set another, such as '
        'torchrun --master_port=29501 or PORT=29501 tools/dist_train.sh.',
    ),
]


def sentence_of(error: BaseException) -> str | None:
    """Say what a user can do about a known failure; None if it is another error.

    An error from a worker process carries that process's traceback in its message.
    """
    whole = ''.join(traceback.format_exception(error, chain=False))
    text = whole.rpartition('Traceback (most recent call last):')[2]
    call = text.rfind('  File "')
    for place, said, sentence in FAILURES:
        match = re.search(rf'^[\w.]*(?:{said})', text, re.MULTILINE)
        if match and re.search(place, text[call : match.start()]):
            steps = re.findall(r'(?:in |[._])(train|val|test)(?:_loop|_step|\n)', whole)
            loader = f'{steps[-1] if steps else "*"}_dataloader'
            return sentence.format(*match.groups(), loader=loader)
    return None
