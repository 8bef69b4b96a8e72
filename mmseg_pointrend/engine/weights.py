"""Do the weights of a file fit a model, and which of them does it take?"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from operator import sub

from mmengine.model import PretrainedInit
from mmengine.runner import CheckpointLoader
from torch import nn

from mmseg_pointrend.errors import InputError, name_some

Shapes = dict[str, tuple[int, ...]]
"""Of weights, by their names."""


def shapes_in(checkpoint: dict) -> Shapes:
    """Name the weights of a checkpoint, as MMEngine does when it loads them.

    It does not find those in a dictionary of their own, which come with its key.
    """
    shapes = {}
    for name, value in checkpoint.get('state_dict', checkpoint).items():
        inner = value if isinstance(value, dict) else {'': value}
        for end, one in inner.items():
            full = f'{name}.{end}'.removesuffix('.').removeprefix('module.')
            shapes[full] = tuple(getattr(one, 'shape', ()))
    return shapes


def shapes_of(model: nn.Module) -> Shapes:
    """Name the weights that a model needs."""
    return {
        name: tuple(value.shape)
        for name, value in model.state_dict().items()
        if not name.endswith('num_batches_tracked')
    }


def part_of(name: str) -> str:
    """Name the part of a model that has a weight, such as ``backbone``."""
    return name.partition('.')[0]


def kernels_of(shapes: Shapes) -> list[str]:
    """Name the weights whose shape tells one network from another.

    Biases, BatchNorm and classifiers have the shapes that they have elsewhere.
    """
    return [n for n, shape in shapes.items() if len(shape) > 1 and 'conv_seg' not in n]


def check_weights(
    model: nn.Module, checkpoint: dict, source: str, *, new: str | None = None
) -> None:
    """Refuse to test or resume a model with weights that are not its own.

    Args:
        model: what takes the weights.
        checkpoint: what has them.
        source: the file or URL of the checkpoint.
        new: a part of the model that needs none.

    Raises:
        InputError: weights are missing, except of the auxiliary head, or have another
            shape.
    """
    saved = shapes_in(checkpoint)
    wanted = {
        name: shape
        for name, shape in shapes_of(model).items()
        if part_of(name) not in ('auxiliary_head', new)
    }
    wrong = [name for name, shape in wanted.items() if saved.get(name) != shape]
    if not wrong:
        return
    if all(name not in saved and part_of(name) == 'point_head' for name in wrong):
        raise InputError(
            f'{source} has no weights of the point head: train with '
            f'load_from={source}, not resumed, or test it with the plain config.'
        )
    raise InputError(
        f'{source} is not a checkpoint of this model, {len(wrong)} of '
        f'{len(wanted)} weights are missing or have another shape, such as {wrong[0]}: '
        'give the config it was trained with.'
    )


def classes_in(checkpoint: dict) -> Sequence[str] | None:
    """Read which classes a checkpoint was trained on; None if it does not say."""
    meta = checkpoint.get('meta') or {}
    return (meta.get('dataset_meta') or {}).get('classes') or meta.get('CLASSES')


def check_classes(
    trained: Sequence[str] | None, found: Sequence[str] | None, source: str
) -> None:
    """Refuse labels of other classes than those that a checkpoint was trained on.

    Args:
        trained: names of the classes of the checkpoint, if they are known.
        found: those of the data set, if they are known.
        source: the file or URL of the checkpoint.

    Raises:
        InputError: they differ.
    """
    if trained and found and [*trained] != [*found]:
        pairs = zip(trained, found, strict=False)
        wrong = (f'; {one} is {other}' for one, other in pairs if one != other)
        raise InputError(
            f'{source} was trained on the {len(trained)} classes {name_some(trained)} '
            f'but the data set has {len(found)}, {name_some(found)}{next(wrong, "")}: '
            'give the data set of the checkpoint, or metainfo.classes.'
        )


def what_is_taken(model: nn.Module, checkpoint: dict, source: str) -> str:
    """Say which weights a training that starts from a checkpoint takes and lacks.

    Raises:
        InputError: the checkpoint has no part of the model, or has one by another name,
            or of a part that it has fewer than half of the kernels fit, be it for
            another number of classes: neither half of its own nor half of the model's.
    """
    saved, wanted = shapes_in(checkpoint), shapes_of(model)
    more_classes = {0} | {
        saved[name][0] - wanted[name][0]
        for name in wanted
        if 'conv_seg' in name and saved.get(name)
    }
    parts: dict[str, Shapes] = {}
    for name, shape in wanted.items():
        parts.setdefault(part_of(name), {})[name] = shape
    held = set(map(part_of, saved))
    if held.isdisjoint(parts):
        raise of_another_model(saved, wanted, source)
    spare = {name: saved[name] for name in saved if part_of(name) not in parts}
    for part in parts.keys() - held:
        if other_place(spare, parts[part]):
            raise of_another_model(spare, parts[part], source)
    taken = []
    for part in filter(held.__contains__, parts):
        own = parts[part]
        fitting = sum(
            len(saved.get(name, ())) == len(own[name])
            and more_classes.issuperset(map(sub, saved[name], own[name]))
            for name in kernels_of(own)
        )
        there = [name for name in kernels_of(saved) if part_of(name) == part]
        if 2 * fitting < min(len(there), len(kernels_of(own))):
            raise of_another_model(saved, own, source)
        wrong = [name for name, shape in own.items() if saved.get(name) != shape]
        found = f'{part} {len(own) - len(wrong)}/{len(own)}'
        found += listed(' (another shape: {})', [one for one in wrong if one in saved])
        found += listed(' (missing: {})', [one for one in wrong if one not in saved])
        taken.append(found)
    new = listed('; new: {}', [part for part in parts if part not in held])
    unused = listed('; not used: {}', sorted(held.difference(parts)))
    return f'load_from: took {", ".join(taken)}{new}{unused}'


def listed(frame: str, names: Iterable[str]) -> str:
    """Put parts, or the modules in them that have weights, into a frame, if any."""
    within = re.compile(r'^\w+\.(.+)\.\w+$')
    modules = list(dict.fromkeys(within.sub(r'\1', name) for name in names))
    return frame.format(name_some(modules)) if modules else ''


def of_another_model(saved: Shapes, wanted: Shapes, source: str) -> InputError:
    """Write the sentence for weights that do not fit.

    Args:
        saved: those of the checkpoint.
        wanted: those of the model, or of the part that lacks them.
        source: the file or URL of the checkpoint.
    """
    kernels = kernels_of(wanted)
    place = other_place(saved, wanted)
    if place:
        there, here = place
        fix = 'save it with the names of this model'
        if not there:
            fix = (
                'set load_from=None, model.pretrained=None and model.backbone.init_cfg='
                f"dict(type='Pretrained', checkpoint='{source}')"
            )
        return InputError(
            f"load_from={source} calls the weights of the {here[:-1]} '{there}*' and "
            f"not '{here}*', so that none is found: {fix}."
        )
    wrong = [name for name in kernels if saved.get(name) != wanted[name]]
    example, part = wrong[0], part_of(wrong[0])
    here = 'x'.join(map(str, wanted[example]))
    there = 'x'.join(map(str, saved.get(example, ()))) or 'missing'
    holds_part = any(part_of(name) == part for name in saved)
    other_fix = f', or save it without its {part} to train that part anew'
    return InputError(
        f'load_from={source} is a checkpoint of another model, {len(wrong)} of '
        f'{len(kernels)} kernels do not fit, such as {example}, {there} in the file '
        f'and {here} here: give one of this model{other_fix if holds_part else ""}.'
    )


def other_place(saved: Shapes, wanted: Shapes) -> tuple[str, str] | None:
    """Find what stands before most kernels of a part in a checkpoint and in the model.

    Args:
        saved: those of the checkpoint.
        wanted: those of the model.

    Returns:
        Such as ``('model.backbone.', 'backbone.')``; None if less than half are there.
    """
    kernels = kernels_of(wanted)
    places = Counter(
        (other.removesuffix(end), f'{part_of(name)}.')
        for name in kernels
        for end in [name.partition('.')[2]]
        for other, shape in saved.items()
        if shape == wanted[name] and f'.{other}'.endswith(f'.{end}')
    )
    there, here = max(places, key=places.__getitem__, default=('', ''))
    count = sum(name.startswith(here) for name in kernels)
    return (there, here) if 2 * places[there, here] > count else None


def what_is_pretrained(model: nn.Module) -> list[str]:
    """Say how much each module took of the file that its ``init_cfg`` names.

    Weights are compared, and not names, which backbones may change as they load.

    Raises:
        InputError: a module has taken nothing.
    """
    lines = []
    for name, module in model.named_modules():
        cfgs = getattr(module, 'init_cfg', None) or []
        for cfg in [cfgs] if isinstance(cfgs, dict) else cfgs:
            if cfg['type'] not in ('Pretrained', PretrainedInit):
                continue
            source = cfg['checkpoint']
            content = CheckpointLoader.load_checkpoint(source, map_location='cpu')
            there = content.get('state_dict', content).values()
            here = [one.cpu() for one in module.parameters() if one.dim() > 1]
            count = sum(
                any(
                    one.shape == other.shape and one.equal(other.to(one))
                    for other in there
                )
                for one in here
            )
            key = f'model.{name}.init_cfg'.replace('..', '.')
            if here and count == 0:
                raise InputError(
                    f'{key}: none of the weights in {source} fits '
                    f'{type(module).__name__}: give those of this network, or '
                    'model.pretrained=None to start from random weights.'
                )
            lines.append(f'{key}: took {count}/{len(here)} kernels of {source}')
    return lines
