"""Segments of a DICOM SEG object on the grid of the scan that they belong to.

Binary, fractional and label-map segmentations; segments may overlap, each is read by itself. Every
frame is placed by its own position, so cropped, reordered and flipped frames land where they
belong, and a frame that is not on the scan's voxels is refused.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk  # noqa: N813 (the name its manual uses)
from pydicom.dataset import Dataset
from pydicom.pixels.utils import pixel_array

from metasight.errors import VolumeError
from metasight.volumes import vocabulary
from metasight.volumes.grid import Grid, check_size, directions
from metasight.volumes.volume import Mask, Volume

Floats = npt.NDArray[np.float64]

_WHERE = "DICOM SEG"
_NATIVE = ("1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2")
_OFF_GRID_MM = 0.05
_OFF_AXIS = 1e-3
_MAJORITY = 0.5  # of a fractional segment: a voxel that is mostly inside is inside


class OffGridError(VolumeError):
    """A frame does not lie on the scan's voxels."""


@dataclass(frozen=True, kw_only=True)
class Segment:
    """One segment of the object: its number and label."""

    number: int
    label: str


def segments(data: Dataset) -> tuple[Segment, ...]:
    """Segments in the order of the file; the background of a label map is left out."""
    return tuple(
        Segment(number=int(s.SegmentNumber), label=str(s.get("SegmentLabel", "")).strip())
        for s in data.get("SegmentSequence") or []
        if int(s.SegmentNumber) != 0
    )


def segmented_series(data: Dataset) -> frozenset[str]:
    """UIDs of the series that a segmentation says it belongs to; empty if it does not say."""
    return frozenset(
        str(series.SeriesInstanceUID)
        for series in data.get("ReferencedSeriesSequence") or []
        if series.get("SeriesInstanceUID")
    )


def read_segment(data: Dataset, number: int, volume: Volume, *, any_series: bool = False) -> Mask:
    """One segment as a mask on the scan's grid.

    Parameters
    ----------
    data
        The object with its pixel data.
    number
        Of the segment.
    volume
        The scan.
    any_series
        Take a segmentation of another series of the same coordinates.

    Raises
    ------
    VolumeError
        No such segment, no voxel in it, a frame off the scan's grid or beyond it, or the object
        belongs to the coordinates of another scan or to another series.
    """
    where = f"{_WHERE}, segment {number}"
    label = _belonging(data, number, volume, where, any_series=any_series)
    inside = np.zeros(volume.array.shape, dtype=np.uint8)
    for marked, groups in _frames(data, number, where):
        _place(inside, marked, groups, volume.grid, where)
    if not inside.any():
        raise VolumeError("the mask is empty", where=where, remedy="Name another segment")
    return Mask.from_array(inside, on=volume, name=label)


def segment_on_own_grid(
    data: Dataset, number: int, volume: Volume, *, any_series: bool = False
) -> Mask:
    """One segment on the grid that its frames span, in the scan's coordinates.

    For a segmentation of another series, or of other voxels, than the scan's. Frames without a
    voxel are usually left out of the object, so the distance of slices must be said by it.

    Raises
    ------
    VolumeError
        As :func:`read_segment`, or the distance of slices is not said, or frames do not lie on
        even steps of it.
    """
    where = f"{_WHERE}, segment {number}"
    label = _belonging(data, number, volume, where, any_series=any_series)
    frames = list(_frames(data, number, where))
    if not frames:
        raise VolumeError("the mask is empty", where=where, remedy="Name another segment")
    laid = [_laid(groups, where) for _, groups in frames]
    step = _value(frames[0][1], "PixelMeasuresSequence", "SpacingBetweenSlices")
    axes, pixel_mm = laid[0][1], laid[0][2]
    if step is None or not float(step) > 0:
        raise VolumeError(
            "the segmentation does not state its slice distance",
            where=where,
            remedy="Export it on the grid of the series that is measured",
        )
    offset = (np.array([first for first, _, _ in laid]) - laid[0][0]) @ axes
    places = offset[:, 2] / float(step)
    alike = all(np.allclose(a, axes, atol=_OFF_AXIS) and p == pixel_mm for _, a, p in laid)
    off_mm = np.abs(places - np.rint(places)) * float(step)
    aside = float(np.abs(offset[:, :2]).max())
    if not alike or off_mm.max() > _OFF_GRID_MM or aside > _OFF_GRID_MM:
        raise VolumeError(
            "the segmentation's frames are not on one grid",
            where=where,
            value=f"{max(float(off_mm.max()), aside):.2f} mm off",
            remedy="Export it on the grid of the series that is measured",
        )
    lowest = int(np.rint(places.min()))
    numbers = np.rint(places).astype(int) - lowest
    size = (int(numbers.max()) + 1, *frames[0][0].shape)
    check_size(size, where)
    inside = np.zeros(size, dtype=np.uint8)
    for place, (marked, _) in zip(numbers, frames, strict=True):
        inside[place] |= marked
    image = sitk.GetImageFromArray(inside)
    down, right = pixel_mm
    image.SetSpacing((right, down, float(step)))
    image.SetOrigin([float(v) for v in laid[0][0] + axes[:, 2] * lowest * float(step)])
    image.SetDirection([float(v) for v in axes.ravel()])
    return Mask(image=sitk.DICOMOrient(image, "LPS"), name=label)


def _belonging(data: Dataset, number: int, volume: Volume, where: str, *, any_series: bool) -> str:
    """The segment's label, if it is there and belongs to the scan."""
    label = {s.number: s.label for s in segments(data)}.get(number)
    if label is None:
        raise VolumeError(
            "there is no such segment",
            where=_WHERE,
            value=str(number),
            remedy="Give the number of one of its segments",
        )
    ours, theirs = volume.facts.frame_of_reference, str(data.get("FrameOfReferenceUID", ""))
    if ours and theirs and ours != theirs:
        raise VolumeError(
            "the segmentation belongs to another scan (its frame of reference differs)",
            where=where,
            remedy="Give the segmentation of this series",
        )
    theirs_drawn = segmented_series(data)
    own = volume.facts.series_uid
    if not any_series and own and theirs_drawn and own not in theirs_drawn:
        raise VolumeError(
            "the segmentation belongs to another series than the one that was read",
            where=where,
            remedy="Give the folder that holds the series it belongs to, or name the series to "
            "measure in the column `series` of the table of scans (or with --series)",
        )
    return label


def _frames(
    data: Dataset, number: int, where: str
) -> Iterator[tuple[npt.NDArray[np.bool_], list[Dataset]]]:
    """Frames with a voxel of a segment, each with what says where it lies."""
    n_frames = _check_frames(data, where)
    kind = str(data.get("SegmentationType", "BINARY"))
    for frame in range(n_frames):
        groups = _groups(data, frame)
        if kind != "LABELMAP" and _segment_of(groups) != number:
            continue
        pixels = np.asarray(pixel_array(data, index=frame if n_frames > 1 else None, raw=True))
        marked = _marked(pixels.reshape(int(data.Rows), int(data.Columns)), data, kind, number)
        if marked.any():
            yield marked, groups


def _check_frames(data: Dataset, where: str) -> int:
    """Number of frames; refused where places or pixels are of another number."""
    said = data.get("NumberOfFrames")
    n_frames = 1 if said is None or said == "" else int(said)
    rows, columns = int(data.Rows), int(data.Columns)
    check_size((n_frames, rows, columns), where)
    places = len(data.get("PerFrameFunctionalGroupsSequence") or [])
    problem = "" if places in (0, n_frames) else f"{n_frames} frames, places for {places}"
    if not problem and data.file_meta.TransferSyntaxUID in _NATIVE:
        bits = n_frames * rows * columns * int(data.BitsAllocated)
        n_bytes, there = -(-bits // 8), len(data.PixelData)
        if there not in (n_bytes, n_bytes + n_bytes % 2):
            problem = f"{there:,} bytes of pixels, {n_bytes:,} by the header"
    if problem:
        raise VolumeError(
            "the segmentation's header and its pixels contradict each other",
            where=where,
            value=problem,
            remedy="Copy or export it again",
        )
    return n_frames


def _marked(
    pixels: npt.NDArray[Any], data: Dataset, kind: str, number: int
) -> npt.NDArray[np.bool_]:
    if kind == "LABELMAP":
        return np.asarray(pixels == number)
    if kind == "FRACTIONAL":
        return np.asarray(pixels >= _MAJORITY * int(data.MaximumFractionalValue))
    if kind == "BINARY":
        return np.asarray(pixels != 0)
    raise VolumeError(
        "segmentations of this type are not read",
        where=_WHERE,
        value=vocabulary.code(kind),
        remedy="Export it as a binary, fractional or label-map segmentation",
    )


def _place(
    inside: npt.NDArray[np.uint8],
    marked: npt.NDArray[np.bool_],
    groups: list[Dataset],
    grid: Grid,
    where: str,
) -> None:
    """Set the voxels of one frame."""
    first, axes, (down, right) = _laid(groups, where)
    corner = grid.to_index(first)
    along_row = grid.to_index(first + axes[:, 0] * right) - corner
    along_column = grid.to_index(first + axes[:, 1] * down) - corner
    start, row, column = np.rint(corner), np.rint(along_row), np.rint(along_column)
    turned = max(float(np.abs(along_row - row).max()), float(np.abs(along_column - column).max()))
    off_mm = float(np.abs((corner - start) * np.array(grid.spacing_mm)).max())
    unit_steps = np.abs(row).sum() == 1 and np.abs(column).sum() == 1 and row @ column == 0
    if not unit_steps or turned > _OFF_AXIS or off_mm > _OFF_GRID_MM:
        raise OffGridError(
            "the segmentation is not on the scan's grid",
            where=where,
            value=f"first voxel {off_mm:.2f} mm off, pixels {right:g} × {down:g} mm",
            remedy="Export it on the grid of the series that is measured, or set "
            'mask_grid = "resample" under [scans] in study.toml',
        )
    r, c = np.nonzero(marked)
    index = (start + np.outer(c, row) + np.outer(r, column)).astype(np.int64)
    if np.any(index < 0) or np.any(index >= np.array(grid.size)):
        raise VolumeError(
            "the region reaches beyond the scan",
            where=where,
            remedy="Give the series that it was drawn on, uncropped",
        )
    inside[index[:, 2], index[:, 1], index[:, 0]] = 1


def _laid(groups: list[Dataset], where: str) -> tuple[Floats, Floats, tuple[float, float]]:
    """Where a frame lies: its first pixel, its axes, the distance of rows and of columns."""
    position = _value(groups, "PlanePositionSequence", "ImagePositionPatient")
    orientation = _value(groups, "PlaneOrientationSequence", "ImageOrientationPatient")
    spacing = _value(groups, "PixelMeasuresSequence", "PixelSpacing")
    if position is None or orientation is None or spacing is None:
        raise VolumeError(
            "a frame has no position",
            where=where,
            remedy="Export the segmentation again",
        )
    down, right = (float(v) for v in spacing)
    axes = directions([float(v) for v in orientation])
    return np.array([float(v) for v in position]), axes, (down, right)


def _groups(data: Dataset, frame: int) -> list[Dataset]:
    per_frame = data.get("PerFrameFunctionalGroupsSequence") or []
    shared = data.get("SharedFunctionalGroupsSequence") or []
    return [*(per_frame[frame : frame + 1]), *shared]


def _segment_of(groups: list[Dataset]) -> int | None:
    value = _value(groups, "SegmentIdentificationSequence", "ReferencedSegmentNumber")
    return None if value is None else int(value)


def _value(groups: list[Dataset], sequence: str, keyword: str) -> Any:
    for group in groups:
        for entry in group.get(sequence) or []:
            if entry.get(keyword) is not None:
                return entry.get(keyword)
    return None
