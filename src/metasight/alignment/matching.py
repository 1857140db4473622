"""Where each block of the fixed section is found again on the moving one, after a first guess."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from metasight.alignment.placement import Piece
from metasight.alignment.section import Evidence, Image

Floats = NDArray[np.float64]

_FLAT = 1e-3  # contrast that is rounding noise
_LEAST_SCANNED = 0.6
_LEAST_TISSUE = 0.3
_LEAST_SHARED = 0.6  # of the block's tissue: a cut edge resembles nothing
_UNIT_PX = 1024


@dataclass(frozen=True, kw_only=True)
class Blocks:
    """How blocks are laid and how far each is looked for; pixels of the evidence grid.

    Attributes
    ----------
    size, step, radius
        Side of a block, distance of their centres, and largest shift looked at.
    """

    size: int
    step: int
    radius: int


@dataclass(frozen=True, kw_only=True)
class Matches:
    """Blocks of the fixed section with the shift at which each fits best.

    Attributes
    ----------
    points_um
        (n, 2) centres on the fixed section.
    offsets_um
        (n, 2) best shift in the fixed section's frame: what lies at ``points`` on the fixed
        section is found at ``points + offsets`` of the warped moving one.
    score
        (n,) normalised correlation there, averaged over the features, −1 to 1.
    at_edge
        (n,) whether the best shift is the largest looked at, i.e. no peak was found.
    radius_um
        The largest shift looked at.
    """

    points_um: Floats
    offsets_um: Floats
    score: Floats
    at_edge: NDArray[np.bool_]
    radius_um: float

    @property
    def weight(self) -> Floats:
        """Trust in each match before any model is known, at least 0."""
        return np.where(self.at_edge, 0.0, np.maximum(self.score, 0.0) ** 2)

    def take(self, chosen: NDArray[np.bool_]) -> Matches:
        """The chosen blocks alone."""
        return Matches(
            points_um=self.points_um[chosen],
            offsets_um=self.offsets_um[chosen],
            score=self.score[chosen],
            at_edge=self.at_edge[chosen],
            radius_um=self.radius_um,
        )

    def __len__(self) -> int:
        return len(self.points_um)


def joined(parts: Sequence[Matches]) -> Matches:
    """Blocks matched in several goes, in order; all with one radius."""
    return Matches(
        points_um=np.concatenate([m.points_um for m in parts]),
        offsets_um=np.concatenate([m.offsets_um for m in parts]),
        score=np.concatenate([m.score for m in parts]),
        at_edge=np.concatenate([m.at_edge for m in parts]),
        radius_um=parts[0].radius_um,
    )


def features(contrast: Image) -> Image:
    """What blocks are compared by: contrast without cells, divided by its local spread.

    Consecutive sections share structures, not nuclei, hence the smoothing; a marker darkens
    whole compartments of one section only, hence the local mean and spread are taken out.
    """
    smooth = cv2.GaussianBlur(contrast, (0, 0), 3.0)
    away = smooth - cv2.GaussianBlur(smooth, (0, 0), 24.0)
    spread = np.sqrt(cv2.GaussianBlur(away * away, (0, 0), 24.0))
    floor = 0.05 * float(np.percentile(spread, 99)) + 1e-6
    return np.asarray(away / (spread + floor), dtype=np.float32)


def warp(image: Image, moving: Evidence, fixed: Evidence, piece: Piece) -> Image:
    """An image on the moving section's grid, as it lies over the fixed section's grid."""
    matrix, field = piece.matrix, piece.field
    if field is None:
        return np.asarray(
            cv2.warpAffine(
                image,
                _pixels(matrix, fixed, moving),
                fixed.shape[::-1],
                flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            )
        )
    x, y = fixed.centres_um()
    dx, dy = field.on_grid(x, y)
    to_x = matrix[0, 0] * x[None, :] + matrix[0, 1] * y[:, None] + matrix[0, 2] + dx
    to_y = matrix[1, 0] * x[None, :] + matrix[1, 1] * y[:, None] + matrix[1, 2] + dy
    left, top = moving.origin_um
    scale = 1.0 / moving.spacing_um
    return np.asarray(
        cv2.remap(
            image,
            ((to_x - left) * scale - 0.5).astype(np.float32),
            ((to_y - top) * scale - 0.5).astype(np.float32),
            cv2.INTER_LINEAR,
        )
    )


def _pixels(matrix: Floats, fixed: Evidence, moving: Evidence) -> Floats:
    """Fixed µm → moving µm as fixed pixels → moving pixels."""
    linear = matrix[:, :2] * fixed.spacing_um / moving.spacing_um
    half = np.full(2, 0.5)
    shift = matrix[:, :2] @ fixed.origin_um + matrix[:, 2] - moving.origin_um
    return np.column_stack([linear, shift / moving.spacing_um + linear @ half - half])


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Two sections' evidence at one resolution, with the features computed once."""

    fixed: Evidence
    moving: Evidence
    fixed_features: Image
    moving_features: Image

    @classmethod
    def of(cls, fixed: Evidence, moving: Evidence) -> Pair:
        """With their features."""
        return cls(
            fixed=fixed,
            moving=moving,
            fixed_features=features(fixed.contrast),
            moving_features=features(moving.contrast),
        )

    @property
    def unit_px(self) -> int:
        """What blocks, knots and windows are shares of, pixels of this grid.

        The section's longer side, but no more than 1,024 pixels of it: a section of 30 mm is
        compared by blocks of the same size in µm as one of 6 mm, only by more of them.
        """
        return min(max(self.fixed.shape), _UNIT_PX)

    @property
    def unit_um(self) -> float:
        """The same in µm."""
        return self.unit_px * self.fixed.spacing_um

    def match(self, piece: Piece, blocks: Blocks, *, where: Image | None = None) -> Matches:
        """Look for every block of the fixed section round its place under ``piece``.

        Parameters
        ----------
        where
            0 or 1 on the fixed grid: blocks centred on a 0 are left out.
        """
        seen = np.dstack([self.moving_features, self.moving.scanned, self.moving.tissue])
        moved = warp(seen, self.moving, self.fixed, piece)
        warped = np.ascontiguousarray(moved[:, :, 0])
        both_scanned = self.fixed.scanned * moved[:, :, 1]
        shared = self.fixed.tissue * moved[:, :, 2]
        corners = _corners(blocks, (both_scanned, self.fixed.tissue, shared), where)
        size, radius = blocks.size, blocks.radius
        padded = cv2.copyMakeBorder(
            warped, radius, radius, radius, radius, cv2.BORDER_CONSTANT, value=0
        )
        shifts, scores, edges, centres = [], [], [], []
        for row, column in corners:
            template = self.fixed_features[row : row + size, column : column + size]
            if float(cv2.meanStdDev(template)[1][0, 0]) < _FLAT:
                continue
            around = padded[row : row + size + 2 * radius, column : column + size + 2 * radius]
            surface = cv2.matchTemplate(around, template, cv2.TM_CCOEFF_NORMED)
            shift, score, at_edge = _peak(np.asarray(surface, dtype=np.float32))
            shifts.append(shift)
            scores.append(score)
            edges.append(at_edge)
            centres.append((column + size / 2, row + size / 2))
        spacing = self.fixed.spacing_um
        return Matches(
            points_um=np.array(centres, dtype=np.float64).reshape(-1, 2) * spacing
            + self.fixed.origin_um,
            offsets_um=np.array(shifts, dtype=np.float64).reshape(-1, 2) * spacing,
            score=np.array(scores, dtype=np.float64),
            at_edge=np.array(edges, dtype=np.bool_),
            radius_um=radius * spacing,
        )


def _corners(
    blocks: Blocks, maps: tuple[Image, Image, Image], where: Image | None
) -> list[tuple[int, int]]:
    """Top left corners of the blocks that hold something to compare.

    The maps are where both were scanned, the fixed section's tissue and the tissue shared.
    """
    size, half = blocks.size, blocks.size // 2
    sums = [cv2.integral(x.astype(np.float32)) for x in maps]
    rows, columns = maps[0].shape
    kept = []
    for row in range(0, rows - size + 1, blocks.step):
        for column in range(0, columns - size + 1, blocks.step):
            in_scan, in_tissue, in_both = (
                (
                    s[row + size, column + size]
                    - s[row, column + size]
                    - s[row + size, column]
                    + s[row, column]
                )
                / size**2
                for s in sums
            )
            if in_scan < _LEAST_SCANNED or in_tissue < _LEAST_TISSUE:
                continue
            if in_both < _LEAST_SHARED * in_tissue:
                continue
            if where is None or where[row + half, column + half] > 0:
                kept.append((row, column))
    return kept


def _peak(surface: Image) -> tuple[tuple[float, float], float, bool]:
    """Shift (x, y) of the highest value to a fraction of a pixel, the value, and if at the edge."""
    side = surface.shape[0]
    _, score, _, (x, y) = cv2.minMaxLoc(surface)
    middle = side // 2
    if x in (0, side - 1) or y in (0, side - 1):
        return (float(x - middle), float(y - middle)), float(score), True
    dx = _parabola(surface[y, x - 1], surface[y, x], surface[y, x + 1])
    dy = _parabola(surface[y - 1, x], surface[y, x], surface[y + 1, x])
    return (x + dx - middle, y + dy - middle), float(score), False


def _parabola(before: float, at: float, after: float) -> float:
    curve = float(before) - 2 * float(at) + float(after)
    if curve > -1e-9:
        return 0.0
    return float(np.clip(0.5 * (float(before) - float(after)) / curve, -0.5, 0.5))
