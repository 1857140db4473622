"""Slices of a scan as pictures, and outlines and diameters over them, in mm of the picture.

A picture's corner at the upper left is its origin. Axial slices are seen from the feet, the
patient's right at the left; coronal and sagittal slices have the head at the top.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from scipy import ndimage
from skimage.measure import approximate_polygon, find_contours

from metasight.errors import VolumeError
from metasight.lesions.picture_view import AXES, MOST_SUV
from metasight.lesions.size import Plane, Size
from metasight.volumes.grid import Grid
from metasight.volumes.volume import Mask, Volume

Floats = npt.NDArray[np.float64]

WINDOWS_HU: Mapping[str, tuple[float, float]] = {
    "lung": (-1350.0, 150.0),
    "mediastinum": (-160.0, 240.0),
    "bone": (-500.0, 1300.0),
}
SIDES: Mapping[Plane, tuple[str, str, str, str]] = {
    "axial": ("R", "L", "A", "P"),
    "coronal": ("R", "L", "H", "F"),
    "sagittal": ("A", "P", "H", "F"),
}
"""Of the patient at the picture's left, right, top and bottom: front (A), back, head, feet."""
_PET_STEP_MM = 2.0
_SIMPLER_MM = 0.05
_FAST = [cv2.IMWRITE_PNG_COMPRESSION, 1]


@dataclass(frozen=True, kw_only=True)
class Frame:
    """Where the slices of a plane lie.

    Attributes
    ----------
    plane
        Of the scan's grid.
    slices
        Number of them.
    width_mm, height_mm
        Of each.
    row_mm, column_mm, apart_mm
        Voxels within, and distance of slices.
    """

    plane: Plane
    slices: int
    width_mm: float
    height_mm: float
    row_mm: float
    column_mm: float
    apart_mm: float

    @classmethod
    def of(cls, grid: Grid, plane: Plane) -> Frame:
        """Of a scan's grid."""
        across, rows, columns = AXES[plane]
        size, spacing = grid.size[::-1], grid.spacing_mm[::-1]
        return cls(
            plane=plane,
            slices=size[across],
            width_mm=size[columns] * spacing[columns],
            height_mm=size[rows] * spacing[rows],
            row_mm=spacing[rows],
            column_mm=spacing[columns],
            apart_mm=spacing[across],
        )

    @property
    def turned(self) -> bool:
        """Whether rows run from the picture's lower edge up."""
        return self.plane != "axial"

    def on_picture(self, places_mm: Floats) -> Floats:
        """(n, 2) places (row, column), mm from the first voxel's middle, as (x, y)."""
        x = places_mm[:, 1] + self.column_mm / 2
        y = places_mm[:, 0] + self.row_mm / 2
        return np.stack([x, self.height_mm - y if self.turned else y], axis=1)

    def index(self, number: int, x_mm: float, y_mm: float) -> Floats:
        """Continuous index (x, y, z) of a place on a slice's picture."""
        across, rows, columns = AXES[self.plane]
        index = np.zeros(3)
        index[2 - across] = number
        index[2 - columns] = x_mm / self.column_mm - 0.5
        down = self.height_mm - y_mm if self.turned else y_mm
        index[2 - rows] = down / self.row_mm - 0.5
        return index


def point_of(grid: Grid, plane: Plane, number: int, x_mm: float, y_mm: float) -> Floats:
    """Patient coordinates (LPS, mm) of a place on a slice's picture.

    Raises
    ------
    VolumeError
        There is no such slice, or the place is off it.
    """
    frame = Frame.of(grid, plane)
    inside = 0 <= x_mm <= frame.width_mm and 0 <= y_mm <= frame.height_mm
    if not (0 <= number < frame.slices and inside):
        raise VolumeError("the scan has no such place", remedy="Open the scan's page again")
    return grid.to_mm(frame.index(number, x_mm, y_mm))


def grey_slice(scan: Volume, plane: Plane, number: int, window_hu: tuple[float, float]) -> bytes:
    """A slice of a CT in a window, a pixel a voxel, as PNG.

    Raises
    ------
    VolumeError
        There is no such slice.
    """
    low, high = window_hu
    cut = _cut(scan.array, plane, number)
    grey = np.clip((cut - low) * (255.0 / (high - low)), 0, 255).astype(np.uint8)
    return _png(grey if plane == "axial" else grey[::-1])


def uptake_slice(
    pet: Volume, scan: Volume, plane: Plane, number: int, *, heat: bool, most_suv: float = MOST_SUV
) -> bytes:
    """A PET as it lies on a CT's slice, as PNG.

    Parameters
    ----------
    pet
        In SUV, on its own grid; interpolated linearly, 2 mm a pixel, clear beyond its voxels.
    scan
        Whose slices are shown.
    heat
        Colours that are clear where there is no uptake, to lie over the CT; else black on white.
    most_suv
        From here on all uptake looks alike.

    Raises
    ------
    VolumeError
        There is no such slice.
    """
    frame = Frame.of(scan.grid, plane)
    if not 0 <= number < frame.slices:
        raise _no_slice()
    across, rows, columns = AXES[plane]
    width = max(1, round(frame.width_mm / _PET_STEP_MM))
    height = max(1, round(frame.height_mm / _PET_STEP_MM))
    index = np.zeros((height, width, 3))
    down = (np.arange(height) + 0.5) * (frame.height_mm / height)
    down = frame.height_mm - down if frame.turned else down
    right = (np.arange(width) + 0.5) * (frame.width_mm / width)
    index[..., 2 - across] = number
    index[..., 2 - columns] = (right / frame.column_mm - 0.5)[None, :]
    index[..., 2 - rows] = (down / frame.row_mm - 0.5)[:, None]
    there = pet.grid.to_index(scan.grid.to_mm(index))
    inside = ((there > -0.5) & (there < np.array(pet.grid.size) - 0.5)).all(axis=-1)
    suv = ndimage.map_coordinates(
        pet.array, np.moveaxis(there[..., ::-1], -1, 0), order=1, mode="nearest"
    )
    share = np.clip(suv / most_suv, 0, 1)
    if heat:
        colours = cv2.applyColorMap(np.rint(255 * share).astype(np.uint8), cv2.COLORMAP_HOT)
        clear = np.rint(255 * np.clip(1.2 * np.sqrt(share), 0, 1)) * inside
        return _png(np.dstack([colours, clear.astype(np.uint8)]))
    grey = np.rint(255 * (1 - share)).astype(np.uint8)
    alpha = np.where(inside, 255, 0).astype(np.uint8)
    return _png(np.dstack([grey, grey, grey, alpha]))


def outlines_of(mask: Mask, plane: Plane) -> dict[int, str]:
    """Slice → the mask's border on it as a path of SVG, half-way between voxels."""
    frame = Frame.of(mask.grid, plane)
    stack = np.moveaxis(mask.array, AXES[plane][0], 0)
    scale = np.array([frame.row_mm, frame.column_mm])
    found = {}
    for number in np.flatnonzero(stack.any(axis=(1, 2))):
        rings = find_contours(np.pad(stack[number], 1).astype(np.float32), 0.5)
        parts = [
            frame.on_picture(approximate_polygon((ring - 1) * scale, _SIMPLER_MM)) for ring in rings
        ]
        found[int(number)] = " ".join(_path(p) for p in parts)
    return found


def calipers_of(size: Size, grid: Grid) -> list[dict[str, Any]]:
    """Diameters of a lesion on each plane: their slice, ends, lengths, and which is the size."""
    drawn = []
    for plane, own in size.by_plane.items():
        frame = Frame.of(grid, plane)
        drawn.append(
            {
                "plane": plane,
                "slice": own.slice_index,
                "longest": np.round(frame.on_picture(own.ends_mm), 2).tolist(),
                "across": np.round(frame.on_picture(own.across_ends_mm), 2).tolist(),
                "longest_mm": round(own.longest_mm, 1),
                "across_mm": round(own.perpendicular_mm, 1),
                "is_size": own is size.longest,
            }
        )
    return drawn


def _path(points: Floats) -> str:
    return "M" + "L".join(f"{x:.2f} {y:.2f}" for x, y in points) + "Z"


def _cut(values: npt.NDArray[np.float32], plane: Plane, number: int) -> npt.NDArray[np.float32]:
    across = AXES[plane][0]
    if not 0 <= number < values.shape[across]:
        raise _no_slice()
    return np.asarray(np.take(values, number, axis=across))


def _no_slice() -> VolumeError:
    return VolumeError("the scan has no such slice", remedy="Open the scan's page again")


def _png(picture: npt.NDArray[np.uint8]) -> bytes:
    return bytes(cv2.imencode(".png", np.ascontiguousarray(picture), _FAST)[1])
