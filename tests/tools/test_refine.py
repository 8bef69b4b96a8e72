"""tools/refine.py, on label maps of no model in particular."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mmengine.config import Config
from PIL import Image

from mmseg_pointrend.engine.refining import refine_files
from mmseg_pointrend.errors import InputError
from mmseg_pointrend.models.mask_refinement import MaskRefinement
from mmseg_pointrend.models.refined_segmentor import load_refiner
from tests.helpers import run_tool
from tests.models.test_cascade_psp import refiner, refiner_config

HOW = MaskRefinement(size=128, enlarge=False, min_area=16)


@pytest.fixture
def files(tmp_path) -> Path:
    """Two images of different sizes in subfolders, label maps, and a refiner."""
    rng = np.random.default_rng(0)
    for name, size in (('a/x', (60, 90)), ('b/x', (40, 50))):
        for folder in ('labels', 'images'):
            (tmp_path / folder / name).parent.mkdir(parents=True, exist_ok=True)
        labels = np.zeros(size, np.uint8)
        labels[10:30, 10:30] = 3
        labels[:5] = 255
        picture = Image.fromarray(labels)
        picture.putpalette([*range(256)] * 3)
        picture.save(tmp_path / f'labels/{name}.png')
        image = rng.integers(0, 256, (*size, 3), dtype=np.uint8)
        Image.fromarray(image).save(tmp_path / f'images/{name}.jpg')
    Config(dict(model=refiner_config())).dump(tmp_path / 'refiner.py')
    model = refiner()
    model.init_weights()
    torch.nn.init.normal_(model.final_21.weight)
    torch.save(model.state_dict(), tmp_path / 'refiner.pth')
    return tmp_path


def refine(files: Path, **keys: Any) -> int:
    cfg = Config.fromfile(files / 'refiner.py')
    checkpoint = str(files / 'refiner.pth')
    folders = files / 'labels', files / 'images', keys.pop('out', files / 'out')
    return refine_files(cfg, checkpoint, *folders, HOW, device='cpu', **keys)


def test_the_command_writes_what_the_refiner_says(files):
    result = run_tool(
        *(sys.executable, 'tools/refine.py', files / 'labels', files / 'images'),
        *('--config', files / 'refiner.py', '--checkpoint', files / 'refiner.pth'),
        *('--out', files / 'out', '--size', 128, '--no-enlarge', '--min-area', 16),
        *('--num-classes', 4, '--stuff', 0),
    )
    assert result.returncode == 0, result.stderr
    cfg = Config.fromfile(files / 'refiner.py')
    network = load_refiner(cfg.model, str(files / 'refiner.pth'))
    how = MaskRefinement(size=128, enlarge=False, min_area=16, stuff=[0])
    changed = 0
    for name in ('a/x', 'b/x'):
        old = np.array(Image.open(files / f'labels/{name}.png'))
        image = np.array(Image.open(files / f'images/{name}.jpg'))
        inputs = torch.from_numpy(image).permute(2, 0, 1).float()
        own = network.data_preprocessor
        with torch.no_grad():
            inputs = ((inputs - own.mean) / own.std)[None]
            wanted = how.refine_labels(network, inputs, old)
        file = Image.open(files / f'out/{name}.png')
        assert (
            file.getpalette() == Image.open(files / f'labels/{name}.png').getpalette()
        )
        assert (np.array(file) == wanted).all()
        changed += (wanted != old).sum()
    assert changed > 0
    assert f'{changed} pixels have changed; written to {files / "out"}' in result.stdout


def test_two_runs_into_one_folder(files):
    assert refine(files) > 0
    with pytest.raises(InputError, match='out is not empty: give another folder, or'):
        refine(files)
    assert refine(files, overwrite=True) > 0
    (files / 'out').rename(files / 'labels/out')
    with pytest.raises(InputError, match=r'is in .*labels, where a second run would'):
        refine(files, overwrite=True, out=files / 'labels/out')


def test_label_maps_of_16_bits_and_without_a_region(files):
    large = np.full((60, 90), 700, np.uint16)
    Image.fromarray(large).save(files / 'labels/a/x.png')
    Image.fromarray(np.full((40, 50), 255, np.uint8)).save(files / 'labels/b/x.png')
    refine(files)
    assert (np.array(Image.open(files / 'out/a/x.png')) == 700).all()
    assert (np.array(Image.open(files / 'out/b/x.png')) == 255).all()


def spoil(files: Path, what: str) -> None:
    label, image = files / 'labels/a/x.png', files / 'images/a/x.jpg'
    if what == 'rgb':
        Image.new('RGB', (90, 60)).save(label)
    elif what == 'cut off':
        label.write_bytes(label.read_bytes()[:40])
    elif what == 'other size':
        Image.new('L', (90, 61)).save(label)
    elif what == 'negative':
        Image.fromarray(np.full((60, 90), -1, np.int32)).save(label, format='TIFF')
    elif what == 'no image':
        image.unlink()
    elif what == 'broken image':
        image.write_bytes(b'no image')
    elif what == 'too large':
        Image.new('L', (8200, 8)).save(label)
        Image.new('RGB', (8200, 8)).save(image)
    elif what == 'a segmentor':
        (files / 'refiner.py').write_text("model = dict(type='EncoderDecoder')")
    elif what == 'other weights':
        torch.save({'a': torch.ones(1)}, files / 'refiner.pth')


@pytest.mark.parametrize(
    ('what', 'sentence'),
    [
        ('rgb', r'a/x\.png is no label map but an image of mode RGB: give one channel'),
        ('negative', r'a/x\.png has labels outside of 0 to 65535: give ids'),
        ('cut off', r'a/x\.png cannot be read .*: write it again'),
        ('other size', r'a/x\.jpg has 60x90 pixels but .*a/x\.png 61x90: give label'),
        (
            'no image',
            r'1 of 2 label maps have no image of their name, .*a/x\.png: call',
        ),
        ('broken image', r'a/x\.jpg cannot be read as an image: write it again'),
        ('too large', r'has 8x8200 pixels, more than 8192 on a side: cut it'),
        ('a segmentor', r"has model\.type='EncoderDecoder': give the config of a refi"),
        ('other weights', r'is not a checkpoint of this refiner, (\d+) of \1 weights'),
        ('nothing', r'a/x\.png has the label 3 but --num-classes 3 end at 2: give'),
    ],
)
def test_what_cannot_be_refined_is_named(files, what, sentence):
    spoil(files, what)
    with pytest.raises(InputError, match=sentence):
        refine(files, num_classes=3 if what == 'nothing' else None)
    assert not (files / 'out/a/x.png').exists()
