"""What a person wants to know of a model that is given away."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mmseg.models import BaseSegmentor

from mmseg_pointrend.engine.weights import part_of
from mmseg_pointrend.models.checks import listed


def card_of(
    model: BaseSegmentor, meta: dict[str, Any], file: Path, dtype: str, digest: str
) -> str:
    """Write a model card, in Markdown.

    Args:
        model: what the weights are of.
        meta: what their file says beside them.
        file: their file, ``{name}-{hash}.{suffix}``; the config is ``{name}.py``.
        dtype: of the weights.
        digest: their SHA-256.
    """
    name = file.stem.rpartition('-')[0]
    parts = model, model.backbone, listed(model.decode_head)[-1]
    kinds = ', '.join(type(part).__name__ for part in parts)
    parameters = sum(
        value.numel()
        for key, value in model.named_parameters()
        if part_of(key) != 'auxiliary_head'
    )
    classes = meta['dataset_meta']['classes']
    version, metrics = meta['mmseg_pointrend_version'], meta['metrics']
    figures = '\n'.join(f'| {key} | {metrics[key]:.4g} |' for key in metrics)
    return f"""\
# {name}

Semantic segmentation into {len(classes)} classes: {kinds}; {parameters / 1e6:.2f} M
parameters, {dtype}. Made with PointRend for MMSegmentation {version}.

| metric | |
| --- | --- |
{figures or '| not measured | |'}

**Classes**: {', '.join(classes)}

**Input**: {pixels_of(model)}; the config says how images are resized.

**Licence**: state the licence of your data.

**Weights**: `{file.name}`, SHA-256 of the weights `{digest}`

With this package installed (in Python, `import mmseg_pointrend` before `mmseg`):

```bash
pointrend predict {name}.py {file.name} IMAGES --out predictions
pointrend test {name}.py {file.name}
pointrend export {name}.py {file.name} --out {name}.onnx
```
"""


def pixels_of(model: BaseSegmentor) -> str:
    """Say what a model makes of pixels before its network sees them."""
    preprocessor = model.data_preprocessor
    order = 'RGB' if preprocessor.channel_conversion else 'BGR'
    if not preprocessor._enable_normalize:
        return f'{order} from 0 to 255'
    mean, std = (
        [round(one, 3) for one in values.flatten().tolist()]
        for values in (preprocessor.mean, preprocessor.std)
    )
    if len(mean) != 3:
        order = f'{len(mean)} channels'
    return f'{order} from 0 to 255, minus {mean}, divided by {std}'
