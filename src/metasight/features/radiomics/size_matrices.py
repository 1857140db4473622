"""GLRLM (TP0I), GLSZM (9SAK), GLDZM (VMDZ), NGLDM (REK0): grey level against a size.

Four matrices that count level i with run length, zone size, zone distance or dependence count j;
IBSI gives them the same sixteen formulas.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from metasight.features.radiomics.aggregate import Averaged, padded, slices_of
from metasight.features.radiomics.definitions import names_of
from metasight.features.radiomics.kernels import (
    DIRECTIONS,
    N_PLANAR,
    count_runs,
    find_zones,
)
from metasight.volumes.volume import Booleans

Floats = npt.NDArray[np.float64]
Levels = npt.NDArray[np.int32]


@dataclass(frozen=True, kw_only=True, eq=False)
class SizeMatrix:
    """Entries of a matrix of level against size that are not zero.

    Attributes
    ----------
    level, size, count
        Shape (entries,).
    n_voxels
        Voxels that were counted; of each direction again where directions are merged.
    """

    level: Floats
    size: Floats
    count: Floats
    n_voxels: int

    @classmethod
    def of_dense(cls, counts: npt.NDArray[np.generic], n_voxels: int) -> SizeMatrix:
        """From counts of shape (levels, sizes); both begin at 1."""
        level, size = np.nonzero(counts)
        return cls(
            level=(level + 1).astype(np.float64),
            size=(size + 1).astype(np.float64),
            count=counts[level, size].astype(np.float64),
            n_voxels=n_voxels,
        )

    @classmethod
    def of_pairs(cls, level: Levels, size: Levels, n_voxels: int) -> SizeMatrix:
        """From zones, one a row: their level and their size."""
        widest = int(size.max()) + 1
        pairs, count = np.unique(level.astype(np.int64) * widest + size, return_counts=True)
        return cls(
            level=(pairs // widest).astype(np.float64),
            size=(pairs % widest).astype(np.float64),
            count=count.astype(np.float64),
            n_voxels=n_voxels,
        )

    def features(self) -> Floats:
        """The sixteen features in the order of IBSI's tables, shape (1, 16)."""
        i, j, n = self.level, self.size, self.count
        total = float(n.sum())
        p = n / total
        i2, j2 = i**2, j**2
        by_level = np.bincount(i.astype(np.int64), n)
        by_size = np.unique(j, return_inverse=True)[1]
        levels2 = float((by_level**2).sum())
        sizes2 = float((np.bincount(by_size, n) ** 2).sum())
        mean_i, mean_j = float(p @ i), float(p @ j)
        row = (
            p @ (1 / j2),
            p @ j2,
            p @ (1 / i2),
            p @ i2,
            p @ (1 / (i2 * j2)),
            p @ (i2 / j2),
            p @ (j2 / i2),
            p @ (i2 * j2),
            levels2 / total,
            levels2 / total**2,
            sizes2 / total,
            sizes2 / total**2,
            total / self.n_voxels,
            p @ (i - mean_i) ** 2,
            p @ (j - mean_j) ** 2,
            -(p @ np.log2(p)) + 0.0,
        )
        return np.array([row])

    def energy(self) -> float:
        """Sum of squared shares (NGLDM's dependence count energy)."""
        return float(((self.count / self.count.sum()) ** 2).sum())


def glrlm(
    levels: Levels, n_levels: int, aggregations: tuple[str, ...]
) -> dict[str, dict[str, float]]:
    """Features of the run length matrix for each aggregation: aggregation → name → value."""
    found: dict[str, dict[str, float]] = {}
    n_voxels = int(np.count_nonzero(levels))
    longest = max(levels.shape)
    if any(a.startswith("3D") for a in aggregations):
        runs = count_runs(padded(levels), DIRECTIONS, n_levels, longest)
        if "3D:avg" in aggregations:
            found["3D:avg"] = _of_each(runs, n_voxels)
        if "3D:mrg" in aggregations:
            found["3D:mrg"] = _of_merged(runs, n_voxels)
    flat = [a for a in aggregations if not a.startswith("3D")]
    if not flat:
        return found
    merged = np.zeros((N_PLANAR, n_levels, longest), dtype=np.int32)
    names = names_of("GLRLM")
    average = {a: Averaged(names) for a in ("2D:avg", "2D:smrg") if a in aggregations}
    for one in slices_of(levels):
        runs = count_runs(padded(one), DIRECTIONS[:N_PLANAR], n_levels, longest)
        merged += runs
        n_here = int(np.count_nonzero(one))
        if "2D:avg" in average:
            for d in range(N_PLANAR):
                average["2D:avg"].add(SizeMatrix.of_dense(runs[d], n_here).features())
        if "2D:smrg" in average:
            every = SizeMatrix.of_dense(runs.sum(axis=0), N_PLANAR * n_here)
            average["2D:smrg"].add(every.features())
    found |= {name: a.mean() for name, a in average.items()}
    if "2.5D:dmrg" in aggregations:
        found["2.5D:dmrg"] = _of_each(merged, n_voxels)
    if "2.5D:vmrg" in aggregations:
        found["2.5D:vmrg"] = _of_merged(merged, n_voxels)
    return found


def _of_each(runs: Levels, n_voxels: int) -> dict[str, float]:
    average = Averaged(names_of("GLRLM"))
    for one in runs:
        average.add(SizeMatrix.of_dense(one, n_voxels).features())
    return average.mean()


def _of_merged(runs: Levels, n_voxels: int) -> dict[str, float]:
    average = Averaged(names_of("GLRLM"))
    average.add(SizeMatrix.of_dense(runs.sum(axis=0), len(runs) * n_voxels).features())
    return average.mean()


def zones(
    levels: Levels, region: Booleans, dimensions: tuple[str, ...], families: tuple[str, ...]
) -> dict[str, dict[str, dict[str, float]]]:
    """Features of the size zone and distance zone matrices: family → dimension → name → value.

    A zone's distance is the least of its voxels' city-block distances to the outside of the
    region as it was drawn (its border voxels have 1), in voxels: IBSI takes the morphological
    mask for it.
    """
    columns = [(f, c) for f, c in (("GLSZM", 1), ("GLDZM", 2)) if f in families]
    found: dict[str, dict[str, dict[str, float]]] = {family: {} for family, _ in columns}
    if "3D" in dimensions:
        rows = find_zones(padded(levels), _depth(region, "GLDZM" in families))
        for family, column in columns:
            found[family]["3D"] = _of_zones(family, [(rows, int(rows[:, 1].sum()))], column)
    if any(d != "3D" for d in dimensions):
        every = [
            _slice_zones(levels[k], region[k], "GLDZM" in families)
            for k in range(len(levels))
            if levels[k].any()
        ]
        one = np.concatenate(every)
        for family, column in columns:
            if "2D" in dimensions:
                each = [(rows, int(rows[:, 1].sum())) for rows in every]
                found[family]["2D"] = _of_zones(family, each, column)
            if "2.5D" in dimensions:
                found[family]["2.5D"] = _of_zones(family, [(one, int(one[:, 1].sum()))], column)
    return found


def _of_zones(family: str, sets: list[tuple[Levels, int]], column: int) -> dict[str, float]:
    average = Averaged(names_of(family))
    for rows, n_voxels in sets:
        average.add(SizeMatrix.of_pairs(rows[:, 0], rows[:, column], n_voxels).features())
    return average.mean()


def _slice_zones(levels: Levels, region: Booleans, distances: bool) -> Levels:
    found: Levels = find_zones(
        padded(levels[None]), padded(_depth(region, distances)[None])[:, 1:-1, 1:-1]
    )
    return found


def _depth(region: Booleans, wanted: bool) -> Levels:
    """City-block distance to the outside, in voxels, with the border that kernels need."""
    bordered = np.pad(region, 1)
    if not wanted:
        return bordered.astype(np.int32)
    return np.asarray(ndimage.distance_transform_cdt(bordered, metric="taxicab"), dtype=np.int32)
