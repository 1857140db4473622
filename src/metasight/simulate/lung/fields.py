"""Smooth random unevenness of lung and soft tissue on the coarse grid."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from metasight.simulate.lung.forms import COARSE_MM, COARSE_SHAPE

Image = npt.NDArray[np.float32]


def unevenness(rng: np.random.Generator, length_mm: float) -> Image:
    """Standard normal field on the coarse grid, under a Gaussian of ``length_mm``; periodic."""
    white = rng.standard_normal(COARSE_SHAPE, dtype=np.float32)
    smooth = ndimage.gaussian_filter(white, length_mm / COARSE_MM, mode="wrap", truncate=3.0)
    return np.asarray(smooth / smooth.std(), dtype=np.float32)
