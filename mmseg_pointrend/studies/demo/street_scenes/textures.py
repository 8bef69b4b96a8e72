"""Textures shared by all scenes of a process: noise, paving, leaves."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np

TILE = 512


@lru_cache(maxsize=16)
def noise(seed: int, roughness: float) -> np.ndarray:
    """Seamless noise of zero mean and unit variance, (512, 512) float32.

    Args:
        seed: variant.
        roughness: 0 for white noise; the larger, the softer.
    """
    white = np.random.default_rng(seed).standard_normal((TILE, TILE))
    row = np.fft.fftfreq(TILE)[:, None]
    column = np.fft.rfftfreq(TILE)[None]
    frequency = np.maximum(np.hypot(row, column), 1 / TILE)
    spectrum = np.fft.rfft2(white) * frequency**-roughness
    spectrum[0, 0] = 0
    field = np.fft.irfft2(spectrum, s=(TILE, TILE))
    return (field / field.std()).astype(np.float32)


def _as_gain(field: np.ndarray) -> np.ndarray:
    return np.clip(128 * (1 + field), 0, 255).astype(np.uint8)


@lru_cache(maxsize=1)
def asphalt() -> np.ndarray:
    """Asphalt over 8 m, gain with 128 for 1, (512, 512) uint8."""
    field = 0.07 * noise(1, 0.15) + 0.05 * noise(2, 1.2)
    crack = np.abs(noise(3, 1.6)) < 0.006
    return _as_gain(field - 0.18 * crack)


@lru_cache(maxsize=1)
def paving() -> np.ndarray:
    """Paving slabs of 0.5 m over 8 m, gain with 128 for 1, (512, 512) uint8."""
    slab = TILE // 16
    tones = np.random.default_rng(4).normal(0, 0.055, (16, 16)).astype(np.float32)
    field = np.kron(tones, np.ones((slab, slab), np.float32))
    for row in range(16):
        shift = slab // 2 * (row % 2)
        band = slice(row * slab, (row + 1) * slab)
        field[band] = np.roll(field[band], shift, axis=1)
        field[band, shift::slab] -= 0.16
        field[band, shift + 1 :: slab] -= 0.1
        field[row * slab] -= 0.16
        field[row * slab + 1] -= 0.1
    return _as_gain(field + 0.04 * noise(5, 0.4))


@lru_cache(maxsize=1)
def grass() -> np.ndarray:
    """Grass over 8 m, gain with 128 for 1, (512, 512) uint8."""
    return _as_gain(0.14 * noise(6, 0.5) + 0.1 * noise(7, 1.3))


@lru_cache(maxsize=1)
def bricks() -> np.ndarray:
    """Brickwork over 2 m, gain with 128 for 1, (512, 512) uint8."""
    rng = np.random.default_rng(8)
    height, width = TILE // 16, TILE // 8
    tones = rng.normal(0, 0.1, (16, 8)).astype(np.float32)
    field = np.kron(tones, np.ones((height, width), np.float32))
    for row in range(16):
        shift = width // 2 * (row % 2)
        band = slice(row * height, (row + 1) * height)
        field[band] = np.roll(field[band], shift, axis=1)
        for offset in range(4):
            field[band, shift + offset :: width] = 0.28
        field[row * height : row * height + 4] = 0.28
    return _as_gain(field + 0.04 * noise(9, 0.5))


@lru_cache(maxsize=1)
def plaster() -> np.ndarray:
    """Plaster over 2 m, gain with 128 for 1, (512, 512) uint8."""
    return _as_gain(0.035 * noise(10, 1.0) + 0.02 * noise(11, 0.0))


def _leaf_cluster(seed: int, wide: float, dense: float) -> np.ndarray:
    rng = np.random.default_rng(seed)
    side = 256
    shade = np.zeros((side, side), np.uint8)
    alpha = np.zeros((side, side), np.uint8)
    count = int(400 * dense)
    radius = np.where(
        rng.random(count) < 0.7,
        0.72 * np.sqrt(rng.random(count)),
        rng.uniform(0.5, 0.94, count),
    )
    angle = rng.uniform(0, 2 * np.pi, count)
    lumps = rng.uniform(0.66, 1.0, 12)
    radius *= np.interp(angle, np.linspace(0, 2 * np.pi, 13), [*lumps, lumps[0]])
    x, y = radius * np.cos(angle), radius * np.sin(angle) * wide
    lit = 0.5 - 0.34 * y + 0.2 * x + rng.normal(0, 0.13, count)
    for leaf in np.argsort(lit + rng.normal(0, 0.12, count)):
        centre = (int((x[leaf] + 1) * side * 8), int((y[leaf] + 1) * side * 8))
        length, breadth = rng.uniform(5.5, 12), rng.uniform(3, 5.5)
        axes = (int(length * 16), int(breadth * 16))
        turn = float(rng.uniform(0, 180))
        value = float(np.clip(lit[leaf] * 255, 1, 255))
        for target, colour in ((shade, value), (alpha, 255.0)):
            cv2.ellipse(target, centre, axes, turn, 0, 360, (colour,), -1, shift=4)
    empty = alpha == 0
    shade[empty] = 70
    return np.stack([shade, alpha], axis=2)


@lru_cache(maxsize=1)
def leaf_clusters() -> list[list[np.ndarray]]:
    """Bunches of leaves as pyramids; light comes from the top right.

    Returns:
        Variants; each holds (n, n, 2) uint8, shade and coverage, with n = 256, 128,
        64, 32. The last four variants have more gaps.
    """
    variants = []
    for seed in range(10):
        wide, dense = (0.85, 1.0) if seed < 6 else (0.7, 0.62)
        finest = _leaf_cluster(100 + seed, wide, dense)
        coarser = [
            cv2.resize(finest, (side, side), interpolation=cv2.INTER_AREA)
            for side in (128, 64, 32)
        ]
        variants.append([finest, *coarser])
    return variants


def tiled(
    gain: np.ndarray, size: tuple[int, int], metres: tuple[float, float]
) -> np.ndarray:
    """Repeats a 2 m gain tile over an area.

    Args:
        gain: (512, 512) uint8.
        size: rows and columns of the result.
        metres: height and width of the area.

    Returns:
        (rows, columns) uint8.
    """
    per_metre = size[0] / metres[0]
    side = max(round(2 * per_metre), 8)
    tile = cv2.resize(gain, (side, side), interpolation=cv2.INTER_AREA)
    repeats = (-(-size[0] // side), -(-size[1] // side))
    return np.tile(tile, repeats)[: size[0], : size[1]]
