"""NGTDM (IPET) and NGLDM (REK0): a voxel's grey level against those around it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from metasight.features.radiomics.aggregate import Averaged, padded, slices_of
from metasight.features.radiomics.definitions import names_of
from metasight.features.radiomics.kernels import count_neighbours
from metasight.features.radiomics.size_matrices import SizeMatrix

Floats = npt.NDArray[np.float64]
Levels = npt.NDArray[np.int32]
Counts = tuple[Floats, Levels]


def neighbourhoods(
    levels: Levels,
    n_levels: int,
    coarseness: int,
    dimensions: tuple[str, ...],
    families: tuple[str, ...],
) -> dict[str, dict[str, dict[str, float]]]:
    """Features of both matrices: family → dimension → name → value; NaN where undefined.

    Parameters
    ----------
    levels
        (z, y, x), 0 outside, else 1 to ``n_levels``.
    n_levels
        Of the discretisation.
    coarseness
        NGLDM's largest difference that counts as dependent.
    dimensions
        ``2D``, ``2.5D``, ``3D``.
    families
        Of which ``NGTDM`` and ``NGLDM`` are heeded.
    """
    sets: dict[str, list[Counts]] = {}
    if "3D" in dimensions:
        sets["3D"] = [count_neighbours(padded(levels), n_levels, coarseness)]
    if any(d != "3D" for d in dimensions):
        each = [count_neighbours(padded(s), n_levels, coarseness) for s in slices_of(levels)]
        sets["2D"] = each
        tones = np.sum([t for t, _ in each], axis=0)
        sets["2.5D"] = [(tones, np.sum([d for _, d in each], axis=0))]
    found: dict[str, dict[str, dict[str, float]]] = {}
    for family, features in (("NGTDM", _tone_features), ("NGLDM", _dependence_features)):
        if family in families:
            found[family] = {}
            for dimension in dimensions:
                average = Averaged(names_of(family))
                for counts in sets[dimension]:
                    average.add(features(counts))
                found[family][dimension] = average.mean()
    return found


def _dependence_features(counts: Counts) -> Floats:
    dense = counts[1]
    matrix = SizeMatrix.of_dense(dense, int(dense.sum()))
    return np.concatenate([matrix.features(), [[matrix.energy()]]], axis=1)


def _tone_features(counts: Counts) -> Floats:
    """Coarseness, contrast, busyness, complexity, strength, shape (1, 5).

    With one level, contrast, busyness and strength are 0 as IBSI sets them; coarseness has no
    value where no voxel differs from its neighbours (IBSI allows an arbitrary one; we do not).
    """
    there = counts[0][:, 0] > 0
    n, s = counts[0][there].T
    if len(n) == 0:
        return np.full((1, 5), np.nan)
    i = np.flatnonzero(there) + 1.0
    total = n.sum()
    p = n / total
    n_there = len(i)
    apart = i[:, None] - i[None, :]
    sum_s = float(s.sum())
    ps = p * s
    coarse = float(ps.sum())
    contrast = 0.0
    if n_there > 1:
        pairs = float((p[:, None] * p[None, :] * apart**2).sum())
        contrast = pairs / (n_there * (n_there - 1)) * sum_s / total
    weighted = np.abs((i * p)[:, None] - (i * p)[None, :]).sum()
    busyness = coarse / weighted if weighted > 0 else 0.0
    mixed = (ps[:, None] + ps[None, :]) / (p[:, None] + p[None, :])
    complexity = float((np.abs(apart) * mixed).sum()) / total
    strength = 0.0
    if sum_s > 0:
        strength = float(((p[:, None] + p[None, :]) * apart**2).sum()) / sum_s
    return np.array(
        [[1 / coarse if coarse > 0 else np.nan, contrast, busyness, complexity, strength]]
    )
