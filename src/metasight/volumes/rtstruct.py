"""Contours of a DICOM RT structure set, filled on the grid of the scan that they were drawn on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset

from metasight.errors import VolumeError
from metasight.volumes.grid import Grid
from metasight.volumes.polygons import fill_all
from metasight.volumes.volume import Mask, Volume

Floats = npt.NDArray[np.float64]

_OFF_SLICE = 0.25  # of the slice distance; half would be as near to the next slice
_CLOSED = {"CLOSED_PLANAR", "CLOSEDPLANAR_XOR"}
_WHERE = "RT structure set"


@dataclass(frozen=True, kw_only=True)
class Contours:
    """One region's contours.

    Attributes
    ----------
    number, name
        As in the file.
    points_mm
        For each closed contour its corners (n, 3) in patient coordinates.
    frame_of_reference
        UID of the coordinates that they are in; empty if not said.
    """

    number: int
    name: str
    points_mm: tuple[Floats, ...]
    frame_of_reference: str


def region_names(data: Dataset) -> tuple[tuple[int, str], ...]:
    """Number and name of every region of a structure set, in the order of the file."""
    return tuple(
        (int(r.ROINumber), str(r.get("ROIName", "")).strip())
        for r in data.get("StructureSetROISequence") or []
    )


def read_contours(data: Dataset, number: int) -> Contours:
    """One region's contours; there may be none.

    Raises
    ------
    VolumeError
        No region of that number, or a contour whose coordinates are not triples of numbers.
    """
    regions = {int(r.ROINumber): r for r in data.get("StructureSetROISequence") or []}
    if number not in regions:
        raise VolumeError("there is no such region", where=_WHERE, value=str(number))
    contours = [
        c
        for drawn in data.get("ROIContourSequence") or []
        if int(drawn.ReferencedROINumber) == number
        for c in drawn.get("ContourSequence") or []
    ]
    return Contours(
        number=number,
        name=str(regions[number].get("ROIName", "")).strip(),
        points_mm=tuple(
            _points(c, number) for c in contours if c.get("ContourGeometricType", "") in _CLOSED
        ),
        frame_of_reference=str(regions[number].get("ReferencedFrameOfReferenceUID", "")),
    )


def fill_contours(contours: Contours, volume: Volume) -> Mask:
    """The region as a mask on the scan's grid: voxels whose centre lies inside, even-odd.

    Raises
    ------
    VolumeError
        No closed contour, drawn in the coordinates of another scan, not within a slice, between
        slices, on every other slice only, beyond the scan.
    """
    where = f"{_WHERE}, region {contours.name}".rstrip()
    facts = volume.facts
    if (
        facts.frame_of_reference
        and contours.frame_of_reference
        and facts.frame_of_reference != contours.frame_of_reference
    ):
        raise VolumeError(
            "the contours were drawn on another scan (its frame of reference differs)",
            where=where,
            remedy="Give the structure set of this series",
        )
    areas = [p for p in contours.points_mm if len(p) >= 3]  # one or two corners have no area
    if not areas:
        raise VolumeError(
            "the region has no closed contour", where=where, remedy="Draw it, or name another one"
        )
    grid = volume.grid
    by_slice: dict[int, list[Floats]] = {}
    for points in areas:
        place, corners = _on_slice(points, grid, where)
        by_slice.setdefault(place, []).append(corners)
    _check_gaps(sorted(by_slice), where)
    inside = np.zeros(volume.array.shape, dtype=np.uint8)
    for place, polygons in by_slice.items():
        inside[place] = fill_all(polygons, (grid.size[1], grid.size[0]))
    if not inside.any():
        raise VolumeError(
            "the mask is empty",
            where=where,
            value=f"{len(areas)} contours around no voxel centre",
            remedy="Draw the region again",
        )
    return Mask.from_array(inside, on=volume, name=contours.name)


def _points(contour: Dataset, number: int) -> Floats:
    numbers = np.asarray([float(v) for v in contour.get("ContourData") or []], dtype=np.float64)
    if numbers.size == 0 or numbers.size % 3 or not np.all(np.isfinite(numbers)):
        raise VolumeError(
            "a contour's coordinates are not triples of numbers",
            where=f"{_WHERE}, {number}",
            value=f"{numbers.size} numbers",
        )
    return numbers.reshape(-1, 3)


def _on_slice(points_mm: Floats, grid: Grid, where: str) -> tuple[int, Floats]:
    """The slice that a contour lies on and its corners there in pixels."""
    index = grid.to_index(points_mm)
    height = index[:, 2]
    step = grid.spacing_mm[2]
    if float(np.ptp(height)) > _OFF_SLICE:
        raise VolumeError(
            "a contour does not lie within one slice",
            where=where,
            value=f"{float(np.ptp(height)) * step:.2f} mm from end to end",
            remedy="Export contours drawn on the slices of the series that is measured",
        )
    place = int(np.rint(height.mean()))
    off = float(np.abs(height - place).max())
    if off > _OFF_SLICE:
        raise VolumeError(
            "a contour lies between slices",
            where=where,
            value=f"{off * step:.2f} mm off",
            remedy="Export contours drawn on the slices of the series that is measured",
        )
    low, high = index[:, :2].min(axis=0), index[:, :2].max(axis=0)
    last = np.array(grid.size[:2]) - 0.5
    if not 0 <= place < grid.size[2] or np.any(low < -0.5) or np.any(high > last):
        raise VolumeError(
            "the region reaches beyond the scan",
            where=where,
            remedy="Give the series that it was drawn on, uncropped",
        )
    return place, index[:, :2]


def _check_gaps(places: list[int], where: str) -> None:
    """Refuse contours on every second or third slice: the region between them was not drawn."""
    gaps = np.diff(places)
    skipped = int(np.count_nonzero(gaps > 1))
    if len(gaps) >= 2 and skipped > len(gaps) / 2:
        raise VolumeError(
            "the contours skip slices",
            where=where,
            value=f"{skipped} of {len(gaps)} steps from contour to contour",
            remedy="Interpolate the contours before export; a mask with gaps has half the volume",
        )
