"""Point patterns with known answers."""

from __future__ import annotations

import numpy as np


def poisson(window, per_mm2, rng):
    """Complete spatial randomness in a window."""
    ny, nx = window.mask.shape
    w, h = nx * window.spacing_um, ny * window.spacing_um
    n = rng.poisson(per_mm2 * w * h / 1e6)
    x, y = rng.uniform(0, w, n), rng.uniform(0, h, n)
    inside = window.contains(x, y)
    return x[inside], y[inside]


def thomas(window, parents_per_mm2, mean_offspring, sigma_um, rng):
    """Thomas process: K(r) = πr² + (1 − exp(−r²/4σ²))/κ."""
    ny, nx = window.mask.shape
    w, h = nx * window.spacing_um, ny * window.spacing_um
    pad = 5 * sigma_um
    n = rng.poisson(parents_per_mm2 * (w + 2 * pad) * (h + 2 * pad) / 1e6)
    px, py = rng.uniform(-pad, w + pad, n), rng.uniform(-pad, h + pad, n)
    k = rng.poisson(mean_offspring, n)
    x = np.repeat(px, k) + rng.normal(0, sigma_um, k.sum())
    y = np.repeat(py, k) + rng.normal(0, sigma_um, k.sum())
    inside = window.contains(x, y)
    return x[inside], y[inside]
