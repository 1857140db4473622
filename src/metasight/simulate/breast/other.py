"""Slides that a generator must not trust: another tissue, another stain."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.spatial import cKDTree

from metasight.simulate.breast.centres import Centre
from metasight.simulate.breast.fields import FieldSource, Image
from metasight.simulate.breast.settings import BreastSettings
from metasight.simulate.breast.tissue import GRID_UM, KINDS, Biology, Regions, tissue_at

_TUBULE_UM = 30.0
_APART_UM = 68.0
_EPITHELIUM_PER_MM2 = 5200.0


def other_tissue_at(
    settings: BreastSettings, biology: Biology, seed: tuple[int, ...], depth_um: float
) -> Regions:
    """Tubules side by side, as in kidney: epithelium round lumens, thin stroma, few lymphocytes.

    No tumour, no fat, no lymphoid structure. Its epithelium shows Pan-CK.
    """
    same = tissue_at(settings, biology, seed, depth_um)
    n = same.tissue.shape[0]
    source = FieldSource(seed=seed, shape=(n, n), spacing_um=GRID_UM)
    ring, lumen = _tubules(source, depth_um)
    epithelium = (ring * same.tissue).astype(np.float32)
    lumen = (lumen * same.tissue).astype(np.float32)
    stroma = np.clip(same.tissue - epithelium - lumen, 0, 1)
    none = np.zeros_like(stroma)
    kinds = {
        "tumour": _EPITHELIUM_PER_MM2 * epithelium,
        "t_cell": 90 * stroma,
        "b_cell": 6 * stroma,
        "plasma": 10 * stroma,
        "fibroblast": 1500 * stroma,
        "mimic": 60 * stroma,
    }
    return replace(
        same,
        nest=epithelium,
        fat=none,
        lymphoid=none,
        cleft=none,
        lumen=lumen,
        structures=(),
        intensity=np.asarray(np.stack([kinds[k] for k in KINDS]), np.float32),
    )


def _tubules(source: FieldSource, depth_um: float) -> tuple[Image, Image]:
    """Epithelium and lumens of tubules on a jittered hexagonal lattice."""
    rng = source.rng("tubules")
    rows, columns = source.shape
    y, x = np.mgrid[: rows * GRID_UM : _APART_UM * 0.87, : columns * GRID_UM : _APART_UM]
    x = x + (np.arange(len(x)) % 2)[:, None] * _APART_UM / 2
    centres = np.stack([x.ravel(), y.ravel()], axis=1)
    centres += rng.uniform(-9, 9, centres.shape) + rng.uniform(-0.2, 0.2, centres.shape) * depth_um
    radius = _TUBULE_UM * rng.uniform(0.75, 1.1, len(centres))
    py, px = np.mgrid[:rows, :columns]
    at = (np.stack([px.ravel(), py.ravel()], axis=1) + 0.5) * GRID_UM
    away, nearest = cKDTree(centres).query(at)
    inside = (radius[nearest] - away).reshape(rows, columns)
    tubule = np.clip(inside / 4 + 0.5, 0, 1)
    lumen = np.clip((inside - 15) / 4 + 0.5, 0, 1)
    return (tubule * (1 - lumen)).astype(np.float32), lumen.astype(np.float32)


def other_stain(centre: Centre) -> Centre:
    """The centre's scanner with a trichrome-like stain: collagen blue-green, nuclei brown-black."""
    nuclear, ground = np.array([0.42, 0.66, 0.62]), np.array([0.82, 0.52, 0.22])
    return replace(
        centre,
        haematoxylin=nuclear / np.linalg.norm(nuclear),
        eosin=ground / np.linalg.norm(ground),
    )
