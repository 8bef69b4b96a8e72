"""Drawing with matplotlib where there is no screen."""

from __future__ import annotations

from pathlib import Path

import matplotlib

matplotlib.use('Agg')

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure


def show(axes: Axes, picture: np.ndarray, title: str) -> None:
    """Draw a picture without interpolation or ticks."""
    axes.imshow(picture, interpolation='nearest')
    axes.set_title(title)
    axes.set_axis_off()


def save(figure: Figure, path: Path, dpi: int) -> None:
    """Write a figure to a PNG file under a temporary name, then rename it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix('.tmp.png')
    figure.savefig(temporary, dpi=dpi)
    plt.close(figure)
    temporary.replace(path)
