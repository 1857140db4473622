"""Where each point of the fixed section lies on the moving one, piece by piece.

A section that tore on the way to the glass is not one body: each piece has its own placement,
and a map on the fixed section says which piece is where.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from metasight.alignment.field import Field, Points
from metasight.errors import AlignmentError

Matrix = NDArray[np.float64]
Labels = NDArray[np.uint8]

_ROUNDS = 30
_CLOSE_UM = 1e-3
_SINGULAR = 1e-6


@dataclass(frozen=True, kw_only=True)
class Piece:
    """One body: an affine map and, where it earned it, a displacement on top.

    Attributes
    ----------
    matrix
        (2, 3): moving = matrix · (x, y, 1), µm. Never singular.
    field
        Added to it, as a function of the point on the fixed section; None for none.
    """

    matrix: Matrix
    field: Field | None = None

    def __post_init__(self) -> None:
        if self.matrix.shape != (2, 3) or not np.isfinite(self.matrix).all():
            raise AlignmentError("an affine map is a 2 × 3 matrix", value=str(self.matrix.shape))
        if abs(np.linalg.det(self.matrix[:, :2])) < 1e-3:
            raise AlignmentError("an affine map flattens the section and has no inverse")

    def points(self, fixed_um: Points) -> Points:
        """Where points (n, 2) of the fixed section lie on the moving one."""
        moved = fixed_um @ self.matrix[:, :2].T + self.matrix[:, 2]
        return moved if self.field is None else moved + self.field.at(fixed_um)

    def back(self, moving_um: Points) -> Points:
        """Where points of the moving section lie on the fixed one (Newton's method).

        Raises
        ------
        AlignmentError
            The displacement folds there, so that there is no one answer.
        """
        linear = self.matrix[:, :2]
        fixed: Points = np.asarray(
            np.linalg.solve(linear, (moving_um - self.matrix[:, 2]).T).T, dtype=np.float64
        )
        if self.field is None:
            return fixed
        for _ in range(_ROUNDS):
            off = moving_um - self.points(fixed)
            if float(np.abs(off).max(initial=0.0)) < _CLOSE_UM:
                return fixed
            slope = linear + self.field.gradient(fixed)
            if float(np.abs(np.linalg.det(slope)).min()) < _SINGULAR:
                break
            step = np.linalg.solve(slope, off[:, :, None])[:, :, 0]
            fixed = np.asarray(fixed + step, dtype=np.float64)
        raise AlignmentError(
            "the displacement folds and has no inverse",
            remedy="Align the pair again; a transform made here never folds",
        )

    def area_change(self, fixed_um: Points) -> NDArray[np.float64]:
        """Jacobian determinant relative to the affine map's, (n,): 1 is no change, < 0 a fold."""
        if self.field is None:
            return np.ones(len(fixed_um))
        linear = self.matrix[:, :2]
        slope = linear + self.field.gradient(fixed_um)
        return np.asarray(np.linalg.det(slope) / np.linalg.det(linear), dtype=np.float64)


@dataclass(frozen=True, kw_only=True)
class Placement:
    """The fixed section's points on the moving section, µm to µm.

    Attributes
    ----------
    pieces
        At least one.
    labels
        (rows, columns) uint8: which piece each square of ``label_spacing_um`` belongs to; the
        square (0, 0) begins at ``label_origin_um``, points outside take the nearest square.
    label_spacing_um
        Size of a square.
    label_origin_um
        (x, y) on the fixed section.
    """

    pieces: tuple[Piece, ...]
    labels: Labels
    label_spacing_um: float
    label_origin_um: tuple[float, float] = (0.0, 0.0)

    def __post_init__(self) -> None:
        if not self.pieces or self.labels.ndim != 2 or self.labels.size == 0:
            raise AlignmentError("a placement needs a piece and a map of the pieces")
        if int(self.labels.max()) >= len(self.pieces) or not self.label_spacing_um > 0:
            raise AlignmentError(
                "the map of the pieces names one that is not there",
                value=f"piece {int(self.labels.max())} of {len(self.pieces)}",
            )

    @classmethod
    def whole(cls, piece: Piece, size_um: tuple[float, float]) -> Placement:
        """One body over a section of (width, height)."""
        spacing = max(size_um)
        return cls(pieces=(piece,), labels=np.zeros((1, 1), np.uint8), label_spacing_um=spacing)

    def piece_at(self, fixed_um: Points) -> NDArray[np.int64]:
        """Number of the piece that each point belongs to, (n,)."""
        rows, columns = self.labels.shape
        square = self._square(fixed_um)
        x, y = np.clip(square[:, 0], 0, columns - 1), np.clip(square[:, 1], 0, rows - 1)
        return self.labels[y, x].astype(np.int64)

    def points(self, fixed_um: Points) -> Points:
        """Where points (n, 2) of the fixed section lie on the moving one."""
        if len(self.pieces) == 1:
            return self.pieces[0].points(fixed_um)
        owner = self.piece_at(fixed_um)
        moved = np.empty_like(fixed_um)
        for number, piece in enumerate(self.pieces):
            moved[owner == number] = piece.points(fixed_um[owner == number])
        return moved

    def back(self, moving_um: Points) -> Points:
        """Where points of the moving section lie on the fixed one.

        Of several pieces the one is taken on whose own ground the answer falls, and where none
        does, the one whose ground is nearest.
        """
        return self.back_by_piece(moving_um)[0]

    def back_by_piece(self, moving_um: Points) -> tuple[Points, NDArray[np.int64]]:
        """As `back`, with the number of the piece that each point was taken back on."""
        if len(self.pieces) == 1:
            return self.pieces[0].back(moving_um), np.zeros(len(moving_um), dtype=np.int64)
        answers = np.stack([piece.back(moving_um) for piece in self.pieces])
        off_ground = np.stack(
            [self._off_ground(number, answers[number]) for number in range(len(self.pieces))]
        )
        best = off_ground.argmin(axis=0)
        return np.asarray(answers[best, np.arange(len(moving_um))], dtype=np.float64), best

    def _square(self, fixed_um: Points) -> NDArray[np.int64]:
        inside = (fixed_um - self.label_origin_um) / self.label_spacing_um
        return np.floor(inside).astype(np.int64)

    def _off_ground(self, number: int, fixed_um: Points) -> NDArray[np.float64]:
        """How far each point is from the ground of a piece, µm; 0 on it."""
        ground = self.labels == number
        if not ground.any():
            return np.full(len(fixed_um), np.inf)
        away = ndimage.distance_transform_edt(~np.pad(ground, 1, mode="edge"))
        rows, columns = ground.shape
        square = self._square(fixed_um)
        inside = np.clip(square, 0, [columns - 1, rows - 1])
        beyond = np.hypot(*(square - inside).T)
        return np.asarray(
            (away[inside[:, 1] + 1, inside[:, 0] + 1] + beyond) * self.label_spacing_um
        )
