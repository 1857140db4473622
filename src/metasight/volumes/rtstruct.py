"""Contours of a DICOM RT structure set, filled on the grid of the scan that they were drawn on.

A region is whole or it is refused: contours of a type that is not read, slices without a contour
inside the stack, and outlines of which it cannot be told whether they are holes or copies are all
named. What is mended is noted in the mask for the ledger.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset

from metasight.errors import VolumeError
from metasight.volumes import vocabulary
from metasight.volumes.gaps import fill_between, missing_between
from metasight.volumes.grid import Grid
from metasight.volumes.polygons import AmbiguousOutlinesError, Filled, fill_region
from metasight.volumes.volume import Mask, Volume

Floats = npt.NDArray[np.float64]

_OFF_SLICE = 0.25  # of the slice distance; half would be as near to the next slice
_XOR = "CLOSEDPLANAR_XOR"
_CLOSED = {"CLOSED_PLANAR", _XOR}
_MOST_ON_A_SLICE = 1000  # of one region: vessels have dozens
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
    series_uids
        Series, or else images, that the structure set says it was drawn on; empty if it does not
        say.
    unread
        Types of contour that are not read, with their number.
    xor
        Whether contours cut holes by the file's own word.
    """

    number: int
    name: str
    points_mm: tuple[Floats, ...]
    frame_of_reference: str
    series_uids: frozenset[str] = field(default=frozenset(), repr=False)
    unread: tuple[tuple[str, int], ...] = ()
    xor: bool = False


def region_names(data: Dataset) -> tuple[tuple[int, str], ...]:
    """Number and name of every region of a structure set, in the order of the file."""
    return tuple(
        (int(r.ROINumber), str(r.get("ROIName", "")).strip())
        for r in data.get("StructureSetROISequence") or []
    )


def referenced_series(data: Dataset) -> frozenset[str]:
    """UIDs of the series that a structure set says it was drawn on; else of the images."""
    series = frozenset(
        str(series.SeriesInstanceUID)
        for frame in data.get("ReferencedFrameOfReferenceSequence") or []
        for study in frame.get("RTReferencedStudySequence") or []
        for series in study.get("RTReferencedSeriesSequence") or []
        if series.get("SeriesInstanceUID")
    )
    return series or frozenset(
        str(image.ReferencedSOPInstanceUID)
        for drawn in data.get("ROIContourSequence") or []
        for contour in drawn.get("ContourSequence") or []
        for image in contour.get("ContourImageSequence") or []
        if image.get("ReferencedSOPInstanceUID")
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
        raise VolumeError(
            "there is no such region",
            where=_WHERE,
            value=str(number),
            remedy="Give the number of one of its regions",
        )
    contours = [
        c
        for drawn in data.get("ROIContourSequence") or []
        if int(drawn.ReferencedROINumber) == number
        for c in drawn.get("ContourSequence") or []
    ]
    kinds = [str(c.get("ContourGeometricType", "")) for c in contours]
    unread = Counter(kind for kind in kinds if kind not in _CLOSED)
    return Contours(
        number=number,
        name=str(regions[number].get("ROIName", "")).strip(),
        points_mm=tuple(
            _points(c, number) for c, kind in zip(contours, kinds, strict=True) if kind in _CLOSED
        ),
        frame_of_reference=str(regions[number].get("ReferencedFrameOfReferenceUID", "")),
        series_uids=referenced_series(data),
        unread=tuple(sorted(unread.items())),
        xor=_XOR in kinds,
    )


def fill_contours(
    contours: Contours, volume: Volume, *, max_missing: int = 0, any_series: bool = False
) -> Mask:
    """The region as a mask on the scan's grid: voxels whose centre lies inside, even-odd.

    Parameters
    ----------
    contours
        Of one region.
    volume
        The scan that they were drawn on.
    max_missing
        Slices in a row without a contour that are interpolated between their neighbours and noted;
        with more the region is refused.
    any_series
        Take contours that were drawn on another series of the same coordinates, because the study
        says so.

    Raises
    ------
    VolumeError
        No closed contour, or contours of another type beside them; drawn in the coordinates of
        another scan or on another series; not within a slice, between slices, with slices missing
        inside the stack, beyond the scan; copies or holes, and it cannot be determined which.
    """
    where = f"{_WHERE}, region {contours.number}"
    _check_scan(contours, volume, where, any_series=any_series)
    notes = [*_check_kinds(contours, where)]
    areas = [p for p in contours.points_mm if len(p) >= 3]
    if not areas:
        raise VolumeError(
            "the region has no closed contour", where=where, remedy="Draw it, or name another one"
        )
    if short := len(contours.points_mm) - len(areas):
        notes.append(f"{short} contours of one or two points, which have no area")
    by_slice: dict[int, list[Floats]] = {}
    for points in areas:
        place, corners = _on_slice(points, volume.grid, where)
        by_slice.setdefault(place, []).append(corners)
    filled = {
        place: _filled(polygons, volume.grid, contours, where)
        for place, polygons in by_slice.items()
    }
    inside = np.zeros(volume.array.shape, dtype=np.bool_)
    for place, one in filled.items():
        inside[place] = one.inside
    if not inside.any():
        raise VolumeError(
            "the mask is empty",
            where=where,
            value=f"{len(areas)} contours around no voxel centre",
            remedy="Draw the region again",
        )
    notes += _told(filled, volume.grid)
    notes += _close_gaps(inside, sorted(by_slice), max_missing, where)
    return Mask.from_array(inside, on=volume, name=contours.name, notes=tuple(notes))


def _check_scan(contours: Contours, volume: Volume, where: str, *, any_series: bool) -> None:
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
    if (
        not any_series
        and facts.series_uid
        and contours.series_uids
        and not contours.series_uids & {facts.series_uid, *facts.image_uids}
    ):
        raise VolumeError(
            "the contours were drawn on another series than the one that was read",
            where=where,
            remedy="Give the folder that holds the series they were drawn on, or name the series "
            "to measure in the column `series` of the table of scans (or with --series)",
        )


def _check_kinds(contours: Contours, where: str) -> Iterator[str]:
    """Refuse areas that are not read; a note for marked points, which have none."""
    areas = {kind: n for kind, n in contours.unread if kind != "POINT"}
    if areas and contours.points_mm:
        raise VolumeError(
            "some of the region's contours are of a type that is not read",
            where=where,
            value=", ".join(f"{n} {vocabulary.code(kind)}" for kind, n in areas.items())
            + f" beside {len(contours.points_mm)} closed ones",
            remedy="Export every contour as CLOSED_PLANAR",
        )
    points = dict(contours.unread).get("POINT", 0)
    if points:
        yield f"{points} marked point{'s' * (points > 1)} left out"


def _filled(polygons: list[Floats], grid: Grid, contours: Contours, where: str) -> Filled:
    if len(polygons) > _MOST_ON_A_SLICE:
        raise VolumeError(
            f"more than {_MOST_ON_A_SLICE:,} contours on one slice",
            where=where,
            value=f"{len(polygons):,}",
            remedy="Export the region again",
        )
    shape = (grid.size[1], grid.size[0])
    pixel_mm = (grid.spacing_mm[0], grid.spacing_mm[1])
    try:
        return fill_region(polygons, shape, pixel_mm=pixel_mm, xor=contours.xor)
    except AmbiguousOutlinesError as error:
        raise VolumeError(
            "contours may be holes or one outline drawn again, and it cannot be determined which",
            where=where,
            value=f"{len(polygons)} contours on one slice; {error}",
            remedy="Delete the copies in the planning system and export the region again",
        ) from error


def _told(filled: dict[int, Filled], grid: Grid) -> Iterator[str]:
    """What was made of repeated contours and of holes, a line each."""
    repeated = sum(one.n_repeated for one in filled.values())
    if repeated:
        slices = sum(one.n_repeated > 0 for one in filled.values())
        yield (
            f"{repeated} contour{'s' * (repeated > 1)} drawn again on {slices} "
            f"slice{'s' * (slices > 1)}, each used once"
        )
    holes = sum(one.n_holes for one in filled.values())
    if holes:
        ml = sum(one.hole_pixels for one in filled.values()) * grid.voxel_volume_mm3 / 1000
        yield f"{holes} contour{'s' * (holes > 1)} inside another cut {ml:.2f} ml out as holes"


def _close_gaps(
    inside: npt.NDArray[np.bool_], drawn: list[int], max_missing: int, where: str
) -> Iterator[str]:
    """Fill slices without a contour inside the stack, or refuse the region."""
    gaps = missing_between(drawn, inside)
    if not gaps:
        return
    longest = max(high - low - 1 for low, high in gaps)
    missing = sum(high - low - 1 for low, high in gaps)
    if longest > max_missing:
        raise VolumeError(
            "slices inside the region have no contour",
            where=where,
            value=f"{missing} slice{'s' * (missing > 1)} in {len(gaps)} "
            f"gap{'s' * (len(gaps) > 1)}, at most {longest} in a row",
            remedy="Draw or interpolate them in the planning system, or set max_missing_contours "
            "under [scans] in study.toml",
        )
    for low, high in gaps:
        fill_between(inside, low, high)
    yield f"{missing} slice{'s' * (missing > 1)} without a contour interpolated"


def _points(contour: Dataset, number: int) -> Floats:
    numbers = np.asarray([float(v) for v in contour.get("ContourData") or []], dtype=np.float64)
    if numbers.size == 0 or numbers.size % 3 or not np.all(np.isfinite(numbers)):
        raise VolumeError(
            "a contour's coordinates are not triples of numbers",
            where=f"{_WHERE}, {number}",
            value=f"{numbers.size} numbers",
            remedy="Export the structure set again",
        )
    return numbers.reshape(-1, 3)


def _on_slice(points_mm: Floats, grid: Grid, where: str) -> tuple[int, Floats]:
    """The slice that a contour lies on and its corners there in pixels."""
    index = grid.to_index(points_mm)
    height = index[:, 2]
    step = grid.spacing_mm[2]
    if float(np.ptp(height)) > _OFF_SLICE:
        raise VolumeError(
            "a contour is not within one slice",
            where=where,
            value=f"{float(np.ptp(height)) * step:.2f} mm from end to end",
            remedy="Export contours drawn on the slices of the series that is measured",
        )
    place = int(np.rint(height.mean()))
    off = float(np.abs(height - place).max())
    if off > _OFF_SLICE:
        raise VolumeError(
            "a contour is between slices",
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
