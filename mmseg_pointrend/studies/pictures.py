"""Drawing with matplotlib where there is no screen."""

from __future__ import annotations

from pathlib import Path

import matplotlib

matplotlib.use('Agg')

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mmseg_pointrend.files import atomic_write


def show(axes: Axes, picture: np.ndarray, title: str) -> None:
    """Draw a picture without interpolation or ticks."""
    axes.imshow(picture, interpolation='nearest')
    axes.set_title(title)
    axes.set_axis_off()


def save(figure: Figure, path: Path, dpi: int) -> None:
    """Write a figure to a PNG file and forget it."""
    with atomic_write(path) as temporary:
        figure.savefig(temporary, dpi=dpi)
    plt.close(figure)
