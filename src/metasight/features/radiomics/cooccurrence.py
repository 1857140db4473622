"""GLCM (LFYI): which grey levels stand beside which."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from metasight.features.radiomics.aggregate import Averaged, padded, slices_of
from metasight.features.radiomics.definitions import names_of
from metasight.features.radiomics.kernels import DIRECTIONS, N_PLANAR, count_pairs

Floats = npt.NDArray[np.float64]
Levels = npt.NDArray[np.int32]


def glcm(
    levels: Levels, n_levels: int, distance: int, aggregations: tuple[str, ...]
) -> dict[str, dict[str, float]]:
    """Features of the co-occurrence matrix for each aggregation.

    A matrix without any pair (a slice of one voxel) has no features and is left out of averages.

    Parameters
    ----------
    levels
        (z, y, x), 0 outside, else 1 to ``n_levels``.
    n_levels
        N_g of the normalised inverse differences.
    distance
        Chebyshev distance, voxels.
    aggregations
        Of :data:`~metasight.features.radiomics.definitions.DIRECTIONAL`.

    Returns
    -------
    dict
        aggregation → name → value; NaN where undefined.
    """
    found: dict[str, dict[str, float]] = {}
    if any(a.startswith("3D") for a in aggregations):
        counts = count_pairs(padded(levels, distance), DIRECTIONS, distance, n_levels)
        if "3D:avg" in aggregations:
            found["3D:avg"] = _averaged([counts])
        if "3D:mrg" in aggregations:
            found["3D:mrg"] = _averaged([counts.sum(axis=0, keepdims=True)])
    flat = [a for a in aggregations if not a.startswith("3D")]
    if flat:
        found |= _by_slice(levels, n_levels, distance, flat)
    return found


def _by_slice(
    levels: Levels, n_levels: int, distance: int, aggregations: list[str]
) -> dict[str, dict[str, float]]:
    merged = np.zeros((N_PLANAR, n_levels, n_levels))
    average = {a: Averaged(names_of("GLCM")) for a in ("2D:avg", "2D:smrg") if a in aggregations}
    for one in slices_of(levels):
        counts = count_pairs(padded(one, distance), DIRECTIONS[:N_PLANAR], distance, n_levels)
        merged += counts
        if "2D:avg" in average:
            average["2D:avg"].add(features(counts))
        if "2D:smrg" in average:
            average["2D:smrg"].add(features(counts.sum(axis=0, keepdims=True)))
    found: dict[str, dict[str, float]] = {name: a.mean() for name, a in average.items()}
    if "2.5D:dmrg" in aggregations:
        found["2.5D:dmrg"] = _averaged([merged])
    if "2.5D:vmrg" in aggregations:
        found["2.5D:vmrg"] = _averaged([merged.sum(axis=0, keepdims=True)])
    return found


def _averaged(stacks: list[Floats]) -> dict[str, float]:
    average = Averaged(names_of("GLCM"))
    for stack in stacks:
        average.add(features(stack))
    return average.mean()


def features(counts: Floats) -> Floats:
    """The 25 features of each symmetric matrix of pairs that is not empty.

    Parameters
    ----------
    counts
        Shape (m, n, n).

    Returns
    -------
    ndarray
        Shape (matrices with a pair, 25), in the order of IBSI's table; NaN where undefined.
    """
    totals = counts.sum(axis=(1, 2))
    p = counts[totals > 0] / totals[totals > 0][:, None, None]
    m, n, _ = p.shape
    if m == 0:
        return np.empty((0, len(names_of("GLCM"))))
    level = np.arange(1, n + 1, dtype=np.float64)
    apart, together = np.arange(n), np.arange(2, 2 * n + 1)
    p_x = p.sum(axis=2)
    p_apart, p_together = _marginals(p)
    mean = p_x @ level
    variance = (p_x * (level - mean[:, None]) ** 2).sum(axis=1)
    auto = level @ p @ level
    entropy, entropy_x = _entropy(p.reshape(m, -1)), _entropy(p_x)
    mean_apart = p_apart @ apart
    centred = together - 2 * mean[:, None]
    ratio = apart / n
    beyond = p_apart[:, 1:] @ (1.0 / apart[1:].astype(np.float64) ** 2) if n > 1 else np.zeros(m)
    # the marginals are equal: both of Haralick's HXY1 and HXY2 are twice HX
    shared = np.maximum(2 * entropy_x - entropy, 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        correlation = np.where(variance > 0, (auto - mean**2) / variance, np.nan)
        information = np.where(entropy_x > 0, (entropy - 2 * entropy_x) / entropy_x, np.nan)
    columns = (
        p.max(axis=(1, 2)),
        mean,
        variance,
        entropy,
        mean_apart,
        (p_apart * (apart - mean_apart[:, None]) ** 2).sum(axis=1),
        _entropy(p_apart),
        p_together @ together,
        (p_together * (together - 2 * mean[:, None]) ** 2).sum(axis=1),
        _entropy(p_together),
        (p**2).sum(axis=(1, 2)),
        p_apart @ apart.astype(np.float64) ** 2,
        mean_apart,
        p_apart @ (1 / (1.0 + apart)),
        p_apart @ (1 / (1 + ratio)),
        p_apart @ (1 / (1.0 + apart.astype(np.float64) ** 2)),
        p_apart @ (1 / (1 + ratio**2)),
        beyond,
        correlation,
        auto,
        (p_together * centred**2).sum(axis=1),
        (p_together * centred**3).sum(axis=1),
        (p_together * centred**4).sum(axis=1),
        information,
        np.sqrt(1 - np.exp(-2 * shared)),
    )
    return np.stack(columns, axis=1)


def _marginals(p: Floats) -> tuple[Floats, Floats]:
    """Distribution of |i − j| (from 0) and of i + j (from 2), shape (m, n) and (m, 2 n − 1)."""
    m, n, _ = p.shape
    i, j = np.indices((n, n))
    row = np.arange(m)[:, None, None]
    weights = p.ravel()
    wide = 2 * n - 1
    apart = np.bincount((row * n + np.abs(i - j)).ravel(), weights, m * n)
    together = np.bincount((row * wide + i + j).ravel(), weights, m * wide)
    return (
        np.asarray(apart, dtype=np.float64).reshape(m, n),
        np.asarray(together, dtype=np.float64).reshape(m, wide),
    )


def _entropy(p: Floats) -> Floats:
    """−Σ p log₂ p of each row."""
    terms: Floats = p * np.log2(np.where(p > 0, p, 1.0))
    return -np.asarray(terms.sum(axis=1), dtype=np.float64)
