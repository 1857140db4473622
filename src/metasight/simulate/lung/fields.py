"""Smooth random unevenness of lung and soft tissue on the coarse grid."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from metasight.simulate.lung.forms import COARSE_MM, COARSE_SHAPE, GRAIN_SHAPE

Image = npt.NDArray[np.float32]


def unevenness(rng: np.random.Generator, length_mm: float) -> Image:
    """Standard normal field on the coarse grid, under a Gaussian of ``length_mm``; periodic."""
    white = rng.standard_normal(COARSE_SHAPE, dtype=np.float32)
    smooth = ndimage.gaussian_filter(white, length_mm / COARSE_MM, mode="wrap", truncate=3.0)
    return np.asarray(smooth / smooth.std(), dtype=np.float32)


def grain(rng: np.random.Generator) -> Image:
    """What CT just cannot resolve: small vessels and septa, as a skewed field of mean 0.

    Standard deviation 1; a tile that repeats every `GRAIN_SHAPE` × `GRAIN_MM`.
    """
    white = rng.standard_normal(GRAIN_SHAPE, dtype=np.float32)
    smooth = ndimage.gaussian_filter(white, 0.55, mode="wrap")
    skewed = np.exp(0.8 * smooth / smooth.std())
    return np.asarray((skewed - skewed.mean()) / skewed.std(), dtype=np.float32)
