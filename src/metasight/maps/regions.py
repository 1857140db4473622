"""Two maps of one tissue compared by regions: what was painted beside what was counted.

Also how well even a perfect map could agree: counts are small, and the other section does not lie
exactly where the alignment puts it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from metasight.errors import MarkerError
from metasight.maps.density import DensityMap

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

LEAST_SUPPORT = 0.75
"""Share of a region that both maps must state: below it a region says little."""

_P90_SPREADS = float(np.sqrt(2 * np.log(10)))  # of a two-dimensional normal distribution


@dataclass(frozen=True, kw_only=True)
class Regions:
    """The regions of one patient for one marker.

    Attributes
    ----------
    patient
        Pseudonym; patients are resampled as a whole.
    generated, measured
        (n,) cells/mm².
    error
        (n,) stated standard error of ``generated``; NaN where there is none.
    baseline
        (n,) density of nuclei, by haematoxylin alone; NaN where it was not measured.
    row, column
        (n,) place of each region on the grid of regions.
    noise_variance
        Of ``measured``, from counting alone, (cells/mm²)².
    displaced_covariance
        Covariance of the density with itself displaced as the predicted alignment error says,
        free of counting noise, (cells/mm²)²; NaN with fewer than eight regions.
    region_um
        Side of a region.
    """

    patient: str
    generated: Floats
    measured: Floats
    error: Floats
    baseline: Floats
    row: npt.NDArray[np.int64]
    column: npt.NDArray[np.int64]
    noise_variance: float
    displaced_covariance: float
    region_um: float

    def __len__(self) -> int:
        return len(self.measured)


def regions_of(
    patient: str,
    generated: DensityMap,
    measured: DensityMap,
    marker: str,
    *,
    region_um: float,
    p90_um: float,
    nuclei: DensityMap | None = None,
) -> Regions:
    """Pool two maps of one tissue into regions.

    Parameters
    ----------
    patient
        Pseudonym.
    generated, measured
        In one frame (the H&E's). ``measured`` is plain counts over area, not smoothed: its
        counting noise is read from that.
    marker
        Which plane of both.
    region_um
        Side of a region; a multiple of the maps' spacing.
    p90_um
        Predicted p90 of the alignment between the sections; 0 for one section.
    nuclei
        Density of the H&E's own nuclei, first plane, for the baseline.

    Raises
    ------
    MarkerError
        The maps lie on different grids, or the region is no multiple of their spacing.
    """
    side = region_um / generated.spacing_um
    if abs(side - round(side)) > 1e-9 or round(side) < 1:
        raise MarkerError(
            "a region is a multiple of the map's spacing",
            value=f"{region_um:g} µm at {generated.spacing_um:g} µm",
        )
    if not (p90_um >= 0 and np.isfinite(p90_um)):
        raise MarkerError("the alignment's predicted error is missing", value=str(p90_um))
    other = on_grid_of(measured, generated)
    counted = _plane(other, marker)
    both = generated.support & other.support & np.isfinite(counted)
    k = round(side)
    share = _pooled(both.astype(np.float64), k)
    used = share >= LEAST_SUPPORT

    def pooled(plane: npt.NDArray[np.float32]) -> Floats:
        values = np.where(both, plane, 0.0).astype(np.float64)
        return (_pooled(values, k) / np.maximum(share, 1e-9))[used]

    error = np.where(both, generated.error[generated.markers.index(marker)], 0.0)
    haematoxylin = np.full(int(used.sum()), np.nan)
    if nuclei is not None:
        own = on_grid_of(nuclei, generated)
        haematoxylin = pooled(np.where(own.support, own.density[0], 0.0))
    row, column = np.nonzero(used)
    counts = np.where(both, counted, 0.0).astype(np.float64) * generated.spacing_um**2 / 1e6
    seen = pooled(counted)
    return Regions(
        patient=patient,
        generated=pooled(_plane(generated, marker)),
        measured=seen,
        error=pooled(error.astype(np.float32)),
        baseline=haematoxylin,
        row=row,
        column=column,
        noise_variance=float(seen.mean()) / (region_um**2 / 1e6) if len(seen) else float("nan"),
        displaced_covariance=_displaced(counts, both, k, p90_um, generated.spacing_um),
        region_um=region_um,
    )


def on_grid_of(moved: DensityMap, fixed: DensityMap) -> DensityMap:
    """``moved`` cut or padded to the grid of ``fixed``.

    Raises
    ------
    MarkerError
        Spacing differs, or the grids lie between each other's lines.
    """
    away = [
        (a - b) / fixed.spacing_um for a, b in zip(moved.origin_um, fixed.origin_um, strict=True)
    ]
    if moved.spacing_um != fixed.spacing_um or max(abs(d - round(d)) for d in away) > 1e-6:
        raise MarkerError(
            "two maps lie on different grids",
            value=f"{moved.spacing_um:g} µm from {moved.origin_um}, {fixed.spacing_um:g} µm from "
            f"{fixed.origin_um}",
            remedy="Count the cells on the grid of the other map",
        )
    column, row = (round(d) for d in away)
    shape = fixed.support.shape
    density = np.full((len(moved.markers), *shape), np.nan, dtype=np.float32)
    error, support = density.copy(), np.zeros(shape, dtype=np.bool_)
    to = [
        slice(max(d, 0), min(d + n, whole))
        for d, n, whole in zip((row, column), moved.support.shape, shape, strict=True)
    ]
    start = [slice(t.start - d, t.stop - d) for t, d in zip(to, (row, column), strict=True)]
    if all(t.start < t.stop for t in to):
        density[:, *to], error[:, *to] = moved.density[:, *start], moved.error[:, *start]
        support[*to] = moved.support[*start]
    return DensityMap(
        density=density,
        error=error,
        support=support,
        markers=moved.markers,
        spacing_um=fixed.spacing_um,
        origin_um=fixed.origin_um,
    )


def _plane(density_map: DensityMap, marker: str) -> npt.NDArray[np.float32]:
    return density_map.plane(marker)


def _pooled(image: Floats, k: int) -> Floats:
    """Mean over k × k pixels; what is left over at the far edges is cut off."""
    rows, columns = (n // k for n in image.shape)
    cut = image[: rows * k, : columns * k]
    return np.asarray(cut.reshape(rows, k, columns, k).mean(axis=(1, 3)), dtype=np.float64)


def _displaced(counts: Floats, both: Mask, k: int, p90_um: float, spacing_um: float) -> float:
    """Covariance of a region's density with that of the region where it may really lie.

    Of each pair of regions, only pairs of different cells count: that is what the covariance of
    two random halves of the cells converges to, without drawing them, and it is free of counting
    noise. Displacements are averaged over the normal distribution of the predicted error.
    """
    spread = p90_um / _P90_SPREADS / spacing_um
    reach = int(np.ceil(2.5 * spread))
    line = np.arange(-reach, reach + 1)
    weight = np.exp(-(line**2) / (2 * max(spread, 0.1) ** 2))
    area = (k * spacing_um) ** 2 / 1e6
    total = mass = 0.0
    for j, wj in zip(line.tolist(), weight.tolist(), strict=True):
        for i, wi in zip(line.tolist(), weight.tolist(), strict=True):
            found = _covariance_at(counts, both, k, (j, i))
            if found is not None:
                total, mass = total + wj * wi * found, mass + wj * wi
    return total / mass / area**2 if mass > 0 else float("nan")


def _covariance_at(counts: Floats, both: Mask, k: int, lag: tuple[int, int]) -> float | None:
    here, there = _overlapping(counts.shape, lag)
    first, second = counts[here], counts[there]
    whole = np.minimum(
        _pooled(both[here].astype(np.float64), k), _pooled(both[there].astype(np.float64), k)
    )
    used = whole >= LEAST_SUPPORT
    if used.sum() < 8:
        return None
    n1, n2 = _pooled(first, k)[used] * k * k, _pooled(second, k)[used] * k * k
    # cells that lie in both regions pair with themselves
    shared = max(0, k - abs(lag[0])) * max(0, k - abs(lag[1])) / k**2
    own = shared * 0.5 * float(n1.mean() + n2.mean())
    return float(np.mean((n1 - n1.mean()) * (n2 - n2.mean()))) - own


def _overlapping(
    shape: tuple[int, ...], lag: tuple[int, int]
) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    def of(n: int, d: int) -> tuple[slice, slice]:
        return slice(max(0, -d), n - max(0, d)), slice(max(0, d), n - max(0, -d))

    (r1, r2), (c1, c2) = of(shape[0], lag[0]), of(shape[1], lag[1])
    return (r1, c1), (r2, c2)
