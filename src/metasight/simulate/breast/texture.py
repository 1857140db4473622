"""Periodic patterns that tissue is painted with: fibres, chromatin, fat, and the camera's noise."""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from metasight.simulate.breast.fields import smoothed

Image = npt.NDArray[np.float32]

TILE_PX = 1024
DIRECTIONS = 8
_FAT_TILE_UM = 512.0
_FAT_CELLS = 85


@cache
def fibres(mpp: float) -> Image:
    """Standard normal streaks, shape ``(direction, TILE_PX, TILE_PX)``: collagen bundles.

    Direction ``k`` runs at an angle of k/8 of a half turn.
    """
    out = np.empty((DIRECTIONS, TILE_PX, TILE_PX), np.float32)
    rng = np.random.default_rng(11)
    white = rng.standard_normal((3, TILE_PX, TILE_PX), dtype=np.float32)
    spectra = [np.fft.rfft2(w) for w in white]
    fy = np.fft.fftfreq(TILE_PX)[:, None]
    fx = np.fft.rfftfreq(TILE_PX)[None, :]
    for k in range(DIRECTIONS):
        angle = np.pi * k / DIRECTIONS
        along, across = (
            np.cos(angle) * fx + np.sin(angle) * fy,
            -np.sin(angle) * fx + np.cos(angle) * fy,
        )
        total = np.zeros((TILE_PX, TILE_PX), np.float32)
        for spectrum, long, wide in zip(spectra, (9.0, 16.0, 30.0), (0.7, 1.8, 4.5), strict=True):
            response = np.exp(
                -2 * (np.pi / mpp) ** 2 * ((long * along) ** 2 + (wide * across) ** 2)
            )
            one = np.fft.irfft2(spectrum * response, s=total.shape)
            total += (one / one.std()).astype(np.float32)
        out[k] = total / total.std()
    return out


@cache
def grain(mpp: float) -> Image:
    """Standard normal texture of chromatin and cytoplasm: clumps of about 1 and 2.5 µm."""
    rng = np.random.default_rng(12)
    white = rng.standard_normal((2, TILE_PX, TILE_PX), dtype=np.float32)
    fine = smoothed(white[0], 0.45 / mpp, 0.45 / mpp)
    coarse = smoothed(white[1], 1.1 / mpp, 1.1 / mpp)
    return np.asarray((fine + 0.8 * coarse) / np.sqrt(1.64), dtype=np.float32)


@cache
def fat_walls(mpp: float) -> Image:
    """1 on the walls of fat cells of about 55 µm, 0 inside; period 512 µm."""
    side = round(_FAT_TILE_UM / 1.0)
    rng = np.random.default_rng(13)
    centres = rng.random((1, 2)) * side
    while len(centres) < _FAT_CELLS:  # best of ten: cells of even size
        drawn = rng.random((10, 2)) * side
        away = cKDTree(centres, boxsize=side).query(drawn)[0]
        centres = np.vstack([centres, drawn[int(np.argmax(away))]])
    y, x = np.mgrid[:side, :side] + 0.5
    near = cKDTree(centres, boxsize=side).query(np.stack([x.ravel(), y.ravel()], axis=1), k=2)[0]
    gap = (near[:, 1] - near[:, 0]).reshape(side, side).astype(np.float32)
    fine = cv2.resize(gap, (round(side / mpp),) * 2, interpolation=cv2.INTER_LINEAR)
    return np.asarray(np.clip(1.6 - fine / 1.3, 0, 1), dtype=np.float32)


@cache
def camera_noise() -> Image:
    """White standard normal noise, rows flattened for reading at any offset."""
    rng = np.random.default_rng(14)
    return rng.standard_normal(1 << 21, dtype=np.float32)
