"""A smooth displacement: a cubic B-spline on a square lattice.

Twice differentiable everywhere, cheap at any point, and fully described by one small array, so
that what is stored is what is applied.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from metasight.errors import AlignmentError

Points = NDArray[np.float64]
Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Field:
    """Displacement in µm at every point of the fixed section.

    Outside its lattice a point gets the displacement of the nearest point inside.

    Attributes
    ----------
    spacing_um
        Distance of the knots.
    origin_um
        (x, y) on the fixed section where the lattice begins.
    coefficients_um
        (rows, columns, 2) float64, at least 4 × 4: the weight of each B-spline in x and y. The
        lattice covers (columns − 3) · spacing in x, (rows − 3) · spacing in y.
    """

    spacing_um: float
    origin_um: tuple[float, float]
    coefficients_um: Floats

    def __post_init__(self) -> None:
        shape = self.coefficients_um.shape
        if len(shape) != 3 or shape[2] != 2 or min(shape[:2]) < 4 or not self.spacing_um > 0:
            raise AlignmentError(
                "a displacement field needs at least 4 × 4 knots with two numbers each",
                value=f"{shape}, spacing {self.spacing_um} µm",
            )
        if not np.isfinite(self.coefficients_um).all():
            raise AlignmentError("a displacement field holds numbers that are not finite")

    def at(self, points_um: Points) -> Points:
        """Displacement, (n, 2) µm, at points (n, 2) of the fixed section."""
        shape = self.coefficients_um.shape[:2]
        flat = self.coefficients_um.reshape(-1, 2)
        return np.asarray(
            basis(points_um - self.origin_um, self.spacing_um, shape) @ flat, dtype=np.float64
        )

    def on_grid(self, x_um: Floats, y_um: Floats) -> tuple[Floats, Floats]:
        """Displacement in x and in y on the grid of ``y_um`` rows and ``x_um`` columns."""
        rows, columns, _ = self.coefficients_um.shape
        along_x = _dense(x_um - self.origin_um[0], self.spacing_um, columns)
        along_y = _dense(y_um - self.origin_um[1], self.spacing_um, rows)
        dx, dy = (along_y @ self.coefficients_um[:, :, k] @ along_x.T for k in (0, 1))
        return dx, dy

    def gradient(self, points_um: Points) -> Floats:
        """Derivative of the displacement, (n, 2, 2): [:, i, j] is of component i along axis j."""
        shape = self.coefficients_um.shape[:2]
        flat = self.coefficients_um.reshape(-1, 2)
        inside = points_um - self.origin_um
        along = [basis(inside, self.spacing_um, shape, along=axis) @ flat for axis in (0, 1)]
        return np.stack(along, axis=2)


def lattice(size_um: tuple[float, float], spacing_um: float) -> tuple[int, int]:
    """Rows and columns of knots that cover a section of (width, height)."""
    width, height = size_um
    return int(np.ceil(height / spacing_um)) + 3, int(np.ceil(width / spacing_um)) + 3


def basis(
    points_um: Points, spacing_um: float, shape: tuple[int, int], *, along: int | None = None
) -> sp.csr_matrix:
    """Matrix (n, rows · columns) that takes coefficients to values at the points.

    Parameters
    ----------
    points_um
        (n, 2), measured from the lattice's origin.
    along
        0 or 1: to the values' derivative in x or in y, per µm, instead.
    """
    rows, columns = shape
    cell_x, in_x = _cell(points_um[:, 0], spacing_um, columns)
    cell_y, in_y = _cell(points_um[:, 1], spacing_um, rows)
    weight_x = _slopes(in_x) / spacing_um if along == 0 else _weights(in_x)
    weight_y = _slopes(in_y) / spacing_um if along == 1 else _weights(in_y)
    four = np.arange(4)
    index = (cell_y[:, None, None] + four[None, :, None]) * columns
    index = index + cell_x[:, None, None] + four[None, None, :]
    weight = weight_y[:, :, None] * weight_x[:, None, :]
    starts = np.arange(len(points_um) + 1) * 16
    return sp.csr_matrix((weight.ravel(), index.ravel(), starts), (len(points_um), rows * columns))


def bending(shape: tuple[int, int]) -> sp.csr_matrix:
    """Energy of the second differences between knots: 0 for whatever is affine."""
    rows, columns = shape
    eye_y, eye_x = sp.eye_array(rows), sp.eye_array(columns)
    terms = (
        sp.kron(eye_y, _differences(columns, (1.0, -2.0, 1.0))),
        sp.kron(_differences(rows, (1.0, -2.0, 1.0)), eye_x),
        np.sqrt(2) * sp.kron(_differences(rows, (-1.0, 1.0)), _differences(columns, (-1.0, 1.0))),
    )
    return sp.csr_matrix(sum(term.T @ term for term in terms))


def _differences(n: int, taps: tuple[float, ...]) -> sp.dia_array:
    rows = n - len(taps) + 1
    diagonals = [np.full(rows, tap) for tap in taps]
    return sp.diags_array(diagonals, offsets=range(len(taps)), shape=(rows, n))


def _cell(x_um: Floats, spacing_um: float, n: int) -> tuple[NDArray[np.int64], Floats]:
    position = np.clip(x_um / spacing_um, 0.0, n - 3.0)
    cell = np.minimum(position.astype(np.int64), n - 4)
    return cell, position - cell


def _weights(t: Floats) -> Floats:
    """The four cubic B-splines at ``t`` within a cell, (n, 4); they sum to 1."""
    return (
        np.stack(
            [(1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3], axis=-1
        )
        / 6
    )


def _slopes(t: Floats) -> Floats:
    return np.stack([-((1 - t) ** 2), 3 * t**2 - 4 * t, -3 * t**2 + 2 * t + 1, t**2], axis=-1) / 2


def _dense(x_um: Floats, spacing_um: float, n: int) -> Floats:
    cell, inside = _cell(x_um, spacing_um, n)
    matrix = np.zeros((len(x_um), n))
    for k, weight in enumerate(_weights(inside).T):
        matrix[np.arange(len(x_um)), cell + k] = weight
    return matrix
