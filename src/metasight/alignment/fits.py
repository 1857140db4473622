"""Models of where the moving section lies, fitted to matched blocks of which many are wrong.

Rigid, affine, deformable: each more is able to follow, and to be led astray. All are fitted by
iteratively reweighted least squares with a redescending weight (Geman–McClure) whose scale falls
from the search radius to the precision of a good match, so that mismatches lose their say.
"""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.sparse.linalg import splu

from metasight.alignment.field import Field, basis, bending, lattice
from metasight.alignment.matching import Matches
from metasight.alignment.placement import Piece
from metasight.alignment.section import Evidence

Floats = NDArray[np.float64]

_ROUNDS = 24
_FALL = 0.8
_TINY = 1e-9


def _trust(residual_um: Floats, scale_um: float) -> Floats:
    """Geman–McClure weights."""
    return np.asarray(1.0 / (1.0 + (residual_um / scale_um) ** 2) ** 2, dtype=np.float64)


def rigid_step(matches: Matches, precision_um: float) -> Floats:
    """The turn and shift (2, 3) of the fixed frame that explains most of the matches.

    Weighted Procrustes (Umeyama, IEEE TPAMI 1991;13:376) without scale.
    """
    source, target = matches.points_um, matches.points_um + matches.offsets_um
    matrix: Floats = np.asarray(np.eye(2, 3), dtype=np.float64)
    residual = np.linalg.norm(matches.offsets_um, axis=1)
    scale = max(matches.radius_um, precision_um)
    for _ in range(_ROUNDS):
        weight = matches.weight * _trust(residual, scale) + _TINY
        weight = weight / weight.sum()
        middle, onto = weight @ source, weight @ target
        u, _, vt = np.linalg.svd(((target - onto) * weight[:, None]).T @ (source - middle))
        turn = u @ np.diag([1.0, np.linalg.det(u @ vt)]) @ vt
        matrix = np.column_stack([turn, onto - turn @ middle])
        residual = np.linalg.norm(target - source @ turn.T - matrix[:, 2], axis=1)
        scale = max(scale * _FALL, precision_um)
    return matrix


def affine_step(matches: Matches, precision_um: float) -> Floats:
    """The affine map (2, 3) of the fixed frame that explains most of the matches."""
    design = np.column_stack([matches.points_um, np.ones(len(matches))])
    centre = design[:, :2].mean(axis=0)
    spread = max(float(np.abs(design[:, :2] - centre).max()), 1.0)
    design[:, :2] = (design[:, :2] - centre) / spread  # so that the ridge below means little
    residual = np.linalg.norm(matches.offsets_um, axis=1)
    scale = max(matches.radius_um, precision_um)
    offsets: Floats = np.zeros((3, 2), dtype=np.float64)
    for _ in range(_ROUNDS):
        weight = matches.weight * _trust(residual, scale)
        normal = design.T @ (design * weight[:, None]) + 1e-6 * np.eye(3)
        right = design.T @ (matches.offsets_um * weight[:, None])
        offsets = np.asarray(np.linalg.solve(normal, right), dtype=np.float64)
        residual = np.linalg.norm(matches.offsets_um - design @ offsets, axis=1)
        scale = max(scale * _FALL, precision_um)
    linear = offsets[:2].T / spread
    shift = offsets[2] - linear @ centre
    return np.column_stack([np.eye(2) + linear, shift])


def after(matrix: Floats, step: Floats) -> Floats:
    """``matrix`` (fixed → moving) with ``step`` taken first in the fixed frame."""
    return np.asarray(matrix @ np.vstack([step, [0.0, 0.0, 1.0]]), dtype=np.float64)


def deform(
    matches: Matches,
    piece: Piece,
    fixed: Evidence,
    *,
    knot_um: float,
    stiffness: float,
    precision_um: float,
) -> Piece:
    """``piece`` with the smoothest displacement that explains most of the matches.

    Parameters
    ----------
    matches
        Taken under ``piece`` as it is, its own displacement included.
    fixed
        The fixed section: the displacement covers its grid.
    knot_um
        Distance of the B-spline's knots.
    stiffness
        Weight of the bending energy against one perfect match; more is smoother. Where nothing
        matches, the displacement goes on as straight as it can.
    """
    shape = lattice(fixed.size_um, knot_um)
    design = basis(matches.points_um - fixed.origin_um, knot_um, shape)
    linear = piece.matrix[:, :2]
    # offsets are in the fixed frame; what is stored is added on the moving section
    wanted = matches.offsets_um @ linear.T
    if piece.field is not None:
        wanted = wanted + piece.field.at(matches.points_um)
    smooth = stiffness * bending(shape) + _TINY * sp.eye_array(shape[0] * shape[1])
    weight, scale = matches.weight, 4 * precision_um
    coefficients = np.zeros((shape[0] * shape[1], 2))
    for _ in range(_ROUNDS // 2):
        weighted = design.T.multiply(weight).tocsr()
        coefficients = splu(sp.csc_matrix(weighted @ design + smooth)).solve(weighted @ wanted)
        residual = np.linalg.norm(wanted - design @ coefficients, axis=1)
        scale = max(scale * _FALL, precision_um)
        weight = matches.weight * _trust(residual, scale)
    field = Field(
        spacing_um=knot_um,
        origin_um=fixed.origin_um,
        coefficients_um=coefficients.reshape(*shape, 2),
    )
    return Piece(matrix=piece.matrix, field=field)


def folds(piece: Piece, fixed: Evidence, *, least: float, most: float) -> bool:
    """Whether the displacement shrinks or stretches area beyond what tissue bears, anywhere."""
    if piece.field is None:
        return False
    step = piece.field.spacing_um / 2
    (left, top), (width, height) = fixed.origin_um, fixed.size_um
    x, y = np.meshgrid(left + np.arange(0.0, width, step), top + np.arange(0.0, height, step))
    change = piece.area_change(np.stack([x.ravel(), y.ravel()], axis=1))
    return bool(change.min() < least or change.max() > most)
