"""The map from one section to another: composes, inverts, moves points, shapes and pixels."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import cv2
import numpy as np
import shapely
from numpy.typing import NDArray

from metasight.alignment.field import Points
from metasight.alignment.placement import Piece, Placement
from metasight.errors import AlignmentError

Pixels = NDArray[np.uint8]
BoxUm = tuple[float, float, float, float]
"""x, y of the top left corner, width, height."""
ReadMoving = Callable[[BoxUm, float], Pixels]
"""Reads a box of the moving slide at a resolution (µm a pixel): (h, w, 3) or (h, w) uint8."""

_LATTICE_PX = 16
_MOST_READ_PX = 8192


@dataclass(frozen=True, kw_only=True)
class Leg:
    """One placement on the way, walked forwards or backwards."""

    placement: Placement
    backwards: bool = False

    def points(self, points_um: Points) -> Points:
        """Points one placement further."""
        walk = self.placement.back if self.backwards else self.placement.points
        return walk(points_um)

    def by_piece(self, points_um: Points) -> tuple[Points, NDArray[np.int64]]:
        """As `points`, with the number of the piece that takes each point there."""
        if self.backwards:
            return self.placement.back_by_piece(points_um)
        return self.placement.points(points_um), self.placement.piece_at(points_um)


@dataclass(frozen=True, kw_only=True)
class Transform:
    """Where each point of the fixed section lies on the moving one.

    Coordinates are (x, y) in µm from each image's top left corner, so that a transform found at
    one resolution serves at every other.

    Attributes
    ----------
    legs
        Placements in the order in which they are walked; none is the identity.
    """

    legs: tuple[Leg, ...] = ()

    @classmethod
    def of(cls, placement: Placement) -> Transform:
        """The transform of one placement."""
        return cls(legs=(Leg(placement=placement),))

    @classmethod
    def affine(cls, matrix: NDArray[np.float64], size_um: tuple[float, float]) -> Transform:
        """A (2, 3) matrix as a transform of a fixed section of (width, height)."""
        return cls.of(Placement.whole(Piece(matrix=np.asarray(matrix, np.float64)), size_um))

    def points(self, fixed_um: NDArray[np.floating]) -> Points:
        """Where points of the fixed section lie on the moving one.

        Parameters
        ----------
        fixed_um
            (n, 2), x and y in µm, finite.

        Raises
        ------
        AlignmentError
            They are not (n, 2) or not finite.
        """
        points = np.asarray(fixed_um, dtype=np.float64)
        if points.ndim != 2 or points.shape[1] != 2 or not np.isfinite(points).all():
            raise AlignmentError(
                "points are an (n, 2) array of finite x, y in µm", value=str(points.shape)
            )
        for leg in self.legs:
            points = leg.points(points)
        return points

    def piece_at(self, fixed_um: NDArray[np.floating]) -> NDArray[np.int64]:
        """Number of the body that takes each point (n, 2) to the moving section, (n,).

        Where the way leads over several sections, each has its bodies: points with the same
        number went by the same ones all the way.
        """
        points = np.asarray(fixed_um, dtype=np.float64)
        number = np.zeros(len(points), dtype=np.int64)
        for leg in self.legs:
            points, piece = leg.by_piece(points)
            number = number * len(leg.placement.pieces) + piece
        return number

    @property
    def torn(self) -> bool:
        """Whether more than one body takes points to the moving section."""
        return any(len(leg.placement.pieces) > 1 for leg in self.legs)

    def inverse(self) -> Transform:
        """From the moving section to the fixed one."""
        return Transform(
            legs=tuple(
                Leg(placement=leg.placement, backwards=not leg.backwards)
                for leg in reversed(self.legs)
            )
        )

    def then(self, onward: Transform) -> Transform:
        """First this, then ``onward``, whose fixed section is this one's moving section."""
        return Transform(legs=self.legs + onward.legs)

    def shape(self, fixed: shapely.Geometry, *, longest_edge_um: float = 50.0) -> shapely.Geometry:
        """A shapely geometry of the fixed section (µm) on the moving one.

        Edges are divided to at most ``longest_edge_um`` first: a straight edge does not stay
        straight. A polygon across a tear may cross itself; it is made valid.
        """
        divided = shapely.segmentize(fixed, longest_edge_um)
        moved = shapely.transform(divided, self.points)
        return moved if moved.is_valid else shapely.make_valid(moved)

    def warp_region(
        self, read_moving: ReadMoving, box_um: BoxUm, mpp: float, *, fill: int = 255
    ) -> Pixels:
        """Pixels of the moving slide as they lie over a box of the fixed section.

        Reads no more of the moving slide than lies under the box.

        Parameters
        ----------
        read_moving
            Reads a box (x, y, width, height in µm) of the moving slide at a resolution; parts
            of the box beyond the slide must come back filled.
        box_um
            On the fixed section.
        mpp
            Micrometres a pixel of the result and of what is read.
        fill
            Grey level of what cannot be reached.

        Returns
        -------
        (height / mpp, width / mpp[, 3]) uint8.

        Raises
        ------
        AlignmentError
            The box is empty, or what lies under it is too large to be read at once.
        """
        x, y, width, height = box_um
        columns, rows = round(width / mpp), round(height / mpp)
        if columns < 1 or rows < 1:
            raise AlignmentError("the region has no pixel", value=f"{width} × {height} µm")
        if max(columns, rows) > _MOST_READ_PX:
            raise AlignmentError(
                "the region is too large to be warped at once",
                value=f"{columns} × {rows} pixels",
                remedy="Ask for smaller tiles",
            )
        across, down = self._under(x, y, columns, rows, mpp)
        margin = 2 * mpp
        left, top = float(across.min()) - margin, float(down.min()) - margin
        wide, high = float(across.max()) + margin - left, float(down.max()) + margin - top
        if max(wide, high) / mpp > _MOST_READ_PX:
            raise AlignmentError(
                "what lies under the region is too large to be read at once",
                value=f"{wide / mpp:.0f} × {high / mpp:.0f} pixels",
                remedy="Ask for smaller tiles",
            )
        source = read_moving((left, top, wide, high), mpp)
        to_x = ((across - left) / mpp - 0.5).astype(np.float32)
        to_y = ((down - top) / mpp - 0.5).astype(np.float32)
        return np.asarray(
            cv2.remap(
                source,
                to_x,
                to_y,
                cv2.INTER_LINEAR,
                borderMode=cv2.BORDER_CONSTANT,
                borderValue=(fill, fill, fill),
            )
        )

    def warp_tiles(
        self, read_moving: ReadMoving, size_um: tuple[float, float], mpp: float, tile_px: int = 512
    ) -> Iterator[tuple[int, int, Pixels]]:
        """The whole moving slide over a fixed section of ``size_um``, tile by tile.

        Yields
        ------
        Column and row of the tile's first pixel, and its pixels; one tile in memory at a time.
        """
        columns, rows = round(size_um[0] / mpp), round(size_um[1] / mpp)
        for row in range(0, rows, tile_px):
            for column in range(0, columns, tile_px):
                wide, high = min(tile_px, columns - column), min(tile_px, rows - row)
                box = (column * mpp, row * mpp, wide * mpp, high * mpp)
                yield column, row, self.warp_region(read_moving, box, mpp)

    def _under(
        self, x: float, y: float, columns: int, rows: int, mpp: float
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Moving coordinates of every pixel's centre: exact on a lattice, linear between.

        A tear is a jump: a tile with more than one piece in it is computed pixel by pixel.
        """
        step = 1 if self.torn else _LATTICE_PX
        at_x = np.arange(0, columns + step, step) + 0.5
        at_y = np.arange(0, rows + step, step) + 0.5
        grid = np.stack(np.meshgrid(x + at_x * mpp, y + at_y * mpp), axis=-1)
        moved = self.points(grid.reshape(-1, 2)).reshape(grid.shape)
        if step == 1:
            return moved[:rows, :columns, 0], moved[:rows, :columns, 1]
        across = _between(np.arange(columns), step, len(at_x))
        down = _between(np.arange(rows), step, len(at_y))
        return down @ moved[:, :, 0] @ across.T, down @ moved[:, :, 1] @ across.T


def _between(pixels: NDArray[np.int64], step: int, n: int) -> NDArray[np.float64]:
    """Matrix (pixels, lattice) of linear interpolation."""
    cell = np.minimum(pixels // step, n - 2)
    inside = pixels / step - cell
    matrix = np.zeros((len(pixels), n))
    matrix[np.arange(len(pixels)), cell] = 1 - inside
    matrix[np.arange(len(pixels)), cell + 1] = inside
    return matrix
