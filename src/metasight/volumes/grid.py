"""Where the voxels of an image lie, and which grids and sizes no scan of a patient has."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk  # noqa: N813 (the name its manual uses)

from metasight.errors import VolumeError

MAX_VOXELS = 600_000_000
"""2.4 GB as float32: 1024 × 1024 × 570, or 2,288 slices of 512 × 512."""
SPACING_RANGE_MM = (0.05, 20.0)
_DIRECTION_TOLERANCE = 1e-4
# Grids of two files that mean the same place differ by what six decimals in DICOM leave.
_SAME_PLACE_MM = 0.05
_SAME_SPACING_MM = 1e-3


@dataclass(frozen=True, kw_only=True)
class Grid:
    """Where the voxels of an image lie.

    Attributes
    ----------
    size
        Voxels along x, y, z.
    spacing_mm, origin_mm
        Along and in x, y, z; the origin is the centre of the first voxel.
    direction
        Row-major 3 × 3 matrix, columns are the axes' unit vectors.
    """

    size: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]
    origin_mm: tuple[float, float, float]
    direction: tuple[float, ...]

    @classmethod
    def of(cls, image: sitk.Image) -> Grid:
        """The grid of a SimpleITK image."""
        return cls(
            size=tuple(image.GetSize()),
            spacing_mm=tuple(image.GetSpacing()),
            origin_mm=tuple(image.GetOrigin()),
            direction=tuple(image.GetDirection()),
        )

    @property
    def matrix(self) -> npt.NDArray[np.float64]:
        """(3, 3) index (x, y, z) to mm, without the origin."""
        return np.reshape(self.direction, (3, 3)) @ np.diag(self.spacing_mm)

    @property
    def voxel_volume_mm3(self) -> float:
        """Volume of one voxel."""
        return float(np.prod(self.spacing_mm))

    @property
    def corners_mm(self) -> npt.NDArray[np.float64]:
        """(8, 3) centres of the corner voxels."""
        ends = np.stack(np.meshgrid(*[[0, n - 1] for n in self.size], indexing="ij"), axis=-1)
        return np.asarray(self.origin_mm) + ends.reshape(-1, 3) @ self.matrix.T

    def to_mm(self, index_xyz: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
        """Continuous voxel indices (…, 3) in x, y, z order to patient coordinates."""
        return np.asarray(self.origin_mm) + np.asarray(index_xyz, dtype=np.float64) @ self.matrix.T

    def to_index(self, point_mm: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
        """Patient coordinates (…, 3) to continuous voxel indices in x, y, z order."""
        offset = np.asarray(point_mm, dtype=np.float64) - np.asarray(self.origin_mm)
        return np.asarray(offset @ np.linalg.inv(self.matrix).T)

    def distance_mm(self, other: Grid) -> float:
        """Largest distance between the same corner of both grids."""
        gap = np.linalg.norm(self.corners_mm - other.corners_mm, axis=1)
        return float(gap.max())

    def matches(self, other: Grid) -> bool:
        """Same size, and no corner voxel farther than 0.05 mm from its twin."""
        return (
            self.size == other.size
            and self.distance_mm(other) <= _SAME_PLACE_MM
            and np.allclose(self.spacing_mm, other.spacing_mm, rtol=0, atol=_SAME_SPACING_MM)
        )

    def difference(self, other: Grid) -> str:
        """How two grids differ, in words."""
        apart = f"corners up to {self.distance_mm(other):.2f} mm apart"
        if self.size == other.size:
            return apart
        return f"{_by(self.size)} voxels, the scan {_by(other.size)}; {apart}"


def check_grid(grid: Grid | None, where: str) -> None:
    """Refuse a grid that no scan of a patient has (None: not three-dimensional)."""
    if grid is None:
        raise VolumeError(
            "the image is not three-dimensional", where=where, remedy="Give a scan of slices"
        )
    check_size(grid.size, where)
    low, high = SPACING_RANGE_MM
    if not all(np.isfinite(s) and low <= s <= high for s in grid.spacing_mm):
        raise VolumeError(
            f"voxel spacing must be {low:g} to {high:g} mm",
            where=where,
            value=" × ".join(f"{s:g}" for s in grid.spacing_mm),
            remedy="Export the scan again with its true spacing",
        )
    if not np.all(np.isfinite(grid.origin_mm)):
        raise VolumeError(
            "the image's position is not a number", where=where, remedy="Export it again"
        )
    axes = np.reshape(grid.direction, (3, 3))
    if not np.allclose(axes.T @ axes, np.eye(3), atol=_DIRECTION_TOLERANCE, rtol=0):
        raise VolumeError(
            "the image's axes are not at right angles",
            where=where,
            remedy="Export it again without shear",
        )
    nearest = np.abs(axes).argmax(axis=0)  # the patient's axis that each image axis is nearest to
    if (
        not np.array_equal(nearest, [0, 1, 2])
        or np.any(np.diag(axes) < 0)
        or np.linalg.det(axes) < 0
    ):
        raise VolumeError(
            "the image's axes do not run to the patient's left, back and head",
            where=where,
            remedy="Read it with metasight's readers, which orient it",
        )


def check_size(size: tuple[int, ...], where: str, *, max_voxels: int = MAX_VOXELS) -> None:
    """Refuse a claimed size (any order) before memory is asked for."""
    n = 1
    for side in size:
        n *= int(side)
    if n < 1 or min(size) < 1:
        raise VolumeError(
            "the image has no voxels",
            where=where,
            value=_by(size),
            remedy="Copy or export it again",
        )
    if n > max_voxels:
        raise VolumeError(
            f"the image claims more than {max_voxels:,} voxels",
            where=where,
            value=f"{_by(size)} = {n:,}, {n * 4 / 2**30:.1f} GB",
            remedy="Check the header; crop the scan to the chest if it is as large as that",
        )


def directions(orientation: Sequence[float]) -> npt.NDArray[np.float64]:
    """(3, 3) columns: along a row, along a column, normal of a slice.

    Raises
    ------
    VolumeError
        Row and column are not unit vectors at right angles.
    """
    row, column = np.asarray(orientation[:3]), np.asarray(orientation[3:])
    lengths = np.linalg.norm([row, column], axis=1)
    if not np.allclose(lengths, 1.0, atol=1e-3) or abs(float(row @ column)) > 1e-3:
        raise VolumeError(
            "a slice's row and column are not unit vectors at right angles",
            value=" ".join(f"{v:g}" for v in orientation),
            remedy="Export the series again",
        )
    # headers round the cosines: made exactly orthonormal, half of the error to each
    u, _, vt = np.linalg.svd(np.column_stack([row, column]), full_matrices=False)
    row, column = (u @ vt).T
    return np.column_stack([row, column, np.cross(row, column)])


def _by(size: tuple[int, ...]) -> str:
    return " × ".join(str(s) for s in size)
