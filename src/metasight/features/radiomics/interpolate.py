"""Interpolation axis by axis: each axis of the new grid is a matrix that acts on the old one.

Linear and cubic-spline interpolation on a rectangular grid are products of one-dimensional
operators, so three small matrices say exactly what is done, and where it is nothing (the margin
whose weights are below 1e-13) the image need not be touched.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy import linalg

Floats = npt.NDArray[np.float64]
_NO_WEIGHT = 1e-13


@dataclass(frozen=True, kw_only=True, eq=False)
class AxisWeights:
    """What new voxels take from the old ones along one axis.

    Attributes
    ----------
    low
        First old voxel that has any weight.
    matrix
        Shape (new voxels, old voxels from ``low`` on); rows sum to 1.
    """

    low: int
    matrix: Floats

    @property
    def used(self) -> slice:
        """Old voxels that have any weight."""
        return slice(self.low, self.low + self.matrix.shape[1])


def axis_weights(n_old: int, positions: Floats, method: Literal["linear", "cubic"]) -> AxisWeights:
    """Weights along one axis.

    Parameters
    ----------
    n_old
        Old voxels, at 0, 1, 2, …
    positions
        Of the new voxels, in old indices; beyond the ends the end's value holds. Rounded to 1e-9
        of a voxel, so that a voxel midway between two is midway on every machine.
    method
        ``linear``, or ``cubic``: the interpolating cubic B-spline, mirrored at the ends
        (Unser, IEEE Signal Process Mag 1999;16(6):22).
    """
    x = np.clip(np.round(positions, 9), 0.0, n_old - 1.0)
    if n_old == 1:
        return AxisWeights(low=0, matrix=np.ones((len(x), 1)))
    below = np.minimum(np.floor(x).astype(np.int64), n_old - 2)
    t = x - below
    taps: tuple[tuple[int, Floats], ...]
    if method == "linear":
        taps = ((0, 1 - t), (1, t))
    else:
        taps = (
            (-1, (1 - t) ** 3 / 6),
            (0, (4 - 6 * t**2 + 3 * t**3) / 6),
            (1, (1 + 3 * t + 3 * t**2 - 3 * t**3) / 6),
            (2, t**3 / 6),
        )
    whole = np.zeros((len(x), n_old))
    rows = np.arange(len(x))
    for offset, weight in taps:
        place = np.abs(below + offset)  # mirrored at both ends
        place = np.where(place > n_old - 1, 2 * (n_old - 1) - place, place)
        np.add.at(whole, (rows, place), weight)
    if method == "cubic":
        whole = _of_values(whole)
    heard = np.flatnonzero((np.abs(whole) > _NO_WEIGHT).any(axis=0))
    low, high = int(heard[0]), int(heard[-1]) + 1
    return AxisWeights(low=low, matrix=np.ascontiguousarray(whole[:, low:high]))


def _of_values(of_coefficients: Floats) -> Floats:
    """Weights on voxel values from weights on B-spline coefficients, which solve a banded system.

    Values are B c with B tridiagonal (1/6, 4/6, 1/6); weights on values are E B⁻¹.
    """
    n = of_coefficients.shape[1]
    transposed = np.zeros((3, n))
    transposed[1] = 4 / 6
    transposed[0, 1:] = 1 / 6
    transposed[0, -1] = 2 / 6  # the last row of B, mirrored
    transposed[2, :-1] = 1 / 6
    transposed[2, 0] = 2 / 6  # its first
    return np.asarray(linalg.solve_banded((1, 1), transposed, of_coefficients.T).T)


def interpolated(
    voxels: npt.NDArray[np.generic], axes: tuple[AxisWeights, AxisWeights, AxisWeights]
) -> Floats:
    """The part of a new grid that the axes' weights describe, (z, y, x)."""
    z, y, x = axes
    part = voxels[z.used, y.used, x.used].astype(np.float64)
    part = np.tensordot(z.matrix, part, axes=1)
    part = np.matmul(y.matrix, part)
    return np.asarray(np.matmul(part, x.matrix.T), dtype=np.float64)
