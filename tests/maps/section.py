"""A made-up mIHC section with known cells: tumour sheet, T cells, B cells, stroma."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

MPP = 0.5
CHANNELS = ("DAPI", "Pan-CK", "CD3", "CD20")
RADIUS_UM = {"other": 4.5, "Pan-CK": 6.0, "CD3": 3.5, "CD20": 3.5}


def place(rng, size_um=260.0, gap_um=14.0):
    """Centres on a shaken lattice, and their types: a tumour sheet on the left."""
    x, y = (m.ravel() for m in np.meshgrid(*[np.arange(10, size_um - 10, gap_um)] * 2))
    x, y = x + rng.uniform(-1.5, 1.5, len(x)), y + rng.uniform(-1.5, 1.5, len(y))
    kind = rng.choice(["other", "CD3", "CD20"], len(x), p=[0.4, 0.4, 0.2]).astype("<U8")
    kind[x < size_um * 0.45] = "Pan-CK"
    return x, y, kind


def paint(rng, x, y, kind, *, size_um=260.0, spill=0.0, haze=0.0):
    """Counts (c, y, x) uint16: nuclei in DAPI, rings of 2.5 µm in the markers."""
    n = round(size_um / MPP)
    yy, xx = (np.mgrid[:n, :n] + 0.5) * MPP
    planes = {c: np.zeros((n, n)) for c in CHANNELS}
    for cx, cy, k in zip(x, y, kind, strict=True):
        radius = RADIUS_UM[k]
        rows = slice(max(int((cy - 12) / MPP), 0), int((cy + 12) / MPP))
        columns = slice(max(int((cx - 12) / MPP), 0), int((cx + 12) / MPP))
        away = np.hypot(xx[rows, columns] - cx, yy[rows, columns] - cy)
        planes["DAPI"][rows, columns][away <= radius] = rng.uniform(300, 900)
        if k in planes:
            ring = (away > radius - 1) & (away <= radius + 2.5)
            planes[k][rows, columns][ring] = rng.uniform(200, 800)
    planes["CD20"] = planes["CD20"] + spill * planes["CD3"]
    tissue = haze * (1 + ndimage.gaussian_filter(rng.normal(size=(n, n)), 20) * 20).clip(0)
    stray = 40 + 30 * xx / size_um
    stack = np.stack([ndimage.gaussian_filter(planes[c], 1.0) for c in CHANNELS])
    return rng.poisson(stack + stray + tissue).astype(np.uint16)
