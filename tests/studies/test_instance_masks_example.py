"""The example of instance masks, and the snippet that documents them."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from mmseg_pointrend.errors import InputError
from mmseg_pointrend.rendering.instance_masks.boxes import paste_masks
from mmseg_pointrend.studies.instance_masks.example import (
    ShapeMasks,
    mean_iou,
    run_example,
)
from mmseg_pointrend.studies.instance_masks.shapes import draw_shapes
from tests.helpers import ROOT, run_tool


def test_training_lowers_the_loss_and_rendering_sharpens_the_masks():
    shapes = draw_shapes(np.random.default_rng(0), 2, (64, 64))
    model = ShapeMasks(class_agnostic=False)

    def scores():
        return [
            mean_iou(paste_masks(logits, shapes.boxes, (64, 64)), shapes.masks, False)
            for logits in model.predict(shapes, 'initial').values()
        ]

    _, before = scores()
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    losses = []
    for _ in range(60):
        loss = model.loss(shapes)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    upsampled, rendered = scores()
    assert losses[-1] < 0.5 * losses[0]
    assert rendered > before + 10
    assert rendered > upsampled


def test_mean_iou_compares_whole_masks_or_bands_along_their_boundaries():
    truth = torch.zeros(1, 100, 100, dtype=torch.bool)
    truth[:, 20:80, 20:80] = True
    found = torch.zeros_like(truth)
    found[:, 20:80, 20:77] = True
    assert mean_iou(truth, truth, False) == mean_iou(truth, truth, True) == 100
    assert mean_iou(found, truth, False) == pytest.approx(95)
    ring = torch.zeros(2, 100, 100, dtype=torch.bool)  # 3 pixels: 2 % of 141
    ring[0], ring[1] = truth[0], found[0]
    ring[0, 23:77, 23:77] = ring[1, 23:77, 23:74] = False
    expected = 100 * (ring[0] & ring[1]).sum() / (ring[0] | ring[1]).sum()
    assert mean_iou(found, truth, True) == pytest.approx(expected.item())


def test_the_documented_snippet_runs():
    text = (ROOT / 'docs/instance_masks.md').read_text()
    (snippet,) = re.findall(r'```python\n(.*?)```', text, re.DOTALL)
    names: dict = {}
    exec(snippet, names)
    assert names['loss'].requires_grad
    assert names['logits'].shape == (len(names['boxes']), 224, 224)
    assert names['pasted'].shape == names['truth'].shape


def example(*args):
    return run_tool(sys.executable, 'tools/instance_masks.py', *args)


def test_the_example_draws_and_scores_class_agnostic_masks(tmp_path):
    picture = tmp_path / 'new' / 'masks.png'
    result = example(
        *('--iterations', 2, '--class-agnostic', '--coarse-from', 'current'),
        *('--out', picture),
    )
    assert result.returncode == 0, result.stderr
    assert '2/2 loss' in result.stdout
    assert len(figures(result.stdout)) == 2
    assert cv2.imread(str(picture)).std() > 20
    assert [path.name for path in picture.parent.iterdir()] == ['masks.png']


def test_the_example_refuses_in_a_sentence():
    for out, iterations, sentence in (
        ('masks.png', 0, '--iterations 0: give at least 1'),
        ('masks.jpg', 9, '--out masks.jpg: give the name of a .png file'),
    ):
        with pytest.raises(InputError, match=sentence):
            run_example(
                Path(out),
                iterations=iterations,
                class_agnostic=False,
                coarse_from='initial',
                seed=0,
            )


@pytest.mark.slow
def test_the_example_renders_better_masks(tmp_path):
    result = example('--out', tmp_path / 'masks.png')
    assert result.returncode == 0, result.stderr
    upsampled, rendered = figures(result.stdout)
    assert upsampled[0] > 75
    assert rendered[0] > upsampled[0] + 3
    assert rendered[1] > upsampled[1] + 10


def figures(output):
    """(mask IoU, Boundary IoU) of each way to predict."""
    lines = re.findall(r'^  \w.*?\s([\d.]+)\s+([\d.]+)$', output, re.MULTILINE)
    return [tuple(map(float, line)) for line in lines]
