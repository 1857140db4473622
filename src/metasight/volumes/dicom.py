"""A DICOM series from a folder, zip archive or multi-frame file as a :class:`Volume`.

Each slice is rescaled with its own slope and intercept, a tilted gantry is undone, missing slices
are refused or, up to a stated number, interpolated and recorded. One patient's voxels are in
memory at a time, twice for a moment.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk  # noqa: N813 (the name its manual uses)
from pydicom.dataset import Dataset
from scipy import ndimage

from metasight.errors import VolumeError
from metasight.volumes import vocabulary
from metasight.volumes.grid import MAX_VOXELS, check_size
from metasight.volumes.headers import NotASlice, SliceHeader, read_dataset
from metasight.volumes.hounsfield import (
    AIR_HU,
    HIGHEST_HU,
    OUTSIDE_HU,
    check_hounsfield,
    check_scale,
)
from metasight.volumes.pixels import stored_pixels
from metasight.volumes.series import Series, SeriesChoice, SeriesRule, choose_series, find_series
from metasight.volumes.stack import Stack, stack
from metasight.volumes.volume import ScanFacts, Unit, Volume

Voxels = npt.NDArray[np.float32]

_HIGHEST: Mapping[Unit, float] = {"HU": HIGHEST_HU, "BQML": 1e12, "CNTS": 1e12}
_HIGHEST_SUV = 1e5  # the whole injected activity in one millilitre of a heavy patient


@dataclass(frozen=True, kw_only=True)
class ReadSettings:
    """What a reader may put up with.

    Attributes
    ----------
    max_missing_slices
        Missing slices up to this number are interpolated between their neighbours and recorded
        in :attr:`ScanFacts.missing_slices_mm`; more are refused. With 0 none is made up.
    allow_identical_copies
        Use a slice that is there twice with the same pixels once, and record it; otherwise it
        is refused.
    max_voxels
        Refuse larger series before memory is asked for.
    check_hu
        Refuse a CT whose air does not read as air.
    """

    max_missing_slices: int = 0
    allow_identical_copies: bool = False
    max_voxels: int = MAX_VOXELS
    check_hu: bool = True


def read_series(
    path: Path, *, rule: SeriesRule | None = None, settings: ReadSettings | None = None
) -> Volume:
    """Read the diagnostic series of a folder, zip archive or multi-frame file.

    Parameters
    ----------
    path
        Folder (nested ones too), zip archive, or one multi-frame DICOM file.
    rule
        Which series; the default takes the axial CT of the widest coverage and thinnest slices.
    settings
        What is put up with; the default is nothing.

    Returns
    -------
    Volume
        CT in HU; PET in its header's unit (``BQML``, ``CNTS``; see :mod:`metasight.volumes.suv`
        for SUV). ``facts.choice`` says which series was read and why.

    Raises
    ------
    VolumeError
        Nothing readable there, or the series is damaged, incomplete, doubled, unevenly spaced,
        without rescale values, or its air is not air.
    """
    choice = choose_series(find_series(path), rule or SeriesRule())
    return load_series(choice, settings=settings)


def load_series(
    choice: SeriesChoice,
    *,
    settings: ReadSettings | None = None,
    factors: Mapping[int, float] | None = None,
    unit: Unit | None = None,
) -> Volume:
    """Read the pixels of a chosen series.

    Parameters
    ----------
    choice
        The series.
    settings
        What is put up with; the default is nothing.
    factors
        For each file's number, what its rescaled values are multiplied by; 1 if not given.
    unit
        Of the values after that; the header's unit if not given.

    Raises
    ------
    VolumeError
        As :func:`read_series`.
    """
    chosen = settings or ReadSettings()
    series = choice.chosen
    where = f"series {series.number}"
    check_size(
        (len(series.headers), series.first.rows, series.first.columns),
        where,
        max_voxels=chosen.max_voxels,
    )
    try:
        layout = stack(series.headers)
    except VolumeError as error:
        place = f"{where}, {error.where}" if error.where else where
        raise VolumeError(
            error.problem, where=place, value=error.value, remedy=error.remedy
        ) from error
    _check_missing(layout, chosen, where)
    unit = unit or header_unit(series)
    voxels, n_padded, copies = _fill(series, layout, unit, factors or {})
    _check_copies(layout, copies, chosen, where)
    if unit == "HU" and chosen.check_hu:
        check_hounsfield(voxels, where)
        check_scale(voxels, _of_own_scale(series, layout), where)
    _interpolate_missing(voxels, layout)
    facts = _facts(choice, layout, n_padded / voxels.size, len(copies))
    return Volume(image=_image(voxels, layout, series.spacing_mm), unit=unit, facts=facts)


def _of_own_scale(series: Series, layout: Stack) -> npt.NDArray[np.bool_]:
    """For each place, whether its slice is rescaled otherwise than most are."""
    scales = [(series.headers[i].slope, series.headers[i].intercept) for i in layout.order]
    usual = Counter(scales).most_common(1)[0][0]
    own = np.zeros(layout.n_places, dtype=np.bool_)
    own[list(layout.places)] = [scale != usual for scale in scales]
    return own


def _check_missing(layout: Stack, settings: ReadSettings, where: str) -> None:
    missing = layout.missing
    if len(missing) > settings.max_missing_slices:
        raise VolumeError(
            "slices are missing",
            where=where,
            value=f"{len(missing)} of {layout.n_places}, the first at "
            f"{missing[0] * layout.step_mm:.1f} mm",
            remedy="Fetch the whole series again from the archive",
        )


def header_unit(series: Series) -> Unit:
    """Unit that a series' rescaled values have by its headers.

    Raises
    ------
    VolumeError
        PET in a unit that is not read, or in several.
    """
    if series.first.modality == "CT":
        return "HU"
    units = {h.units for h in series.headers}
    known: tuple[Unit, ...] = ("BQML", "CNTS")
    for unit in known:
        if units == {unit}:
            return unit
    if units in ({"GML"}, {"CM2ML"}):  # of which body measure, its SUV type says
        return "SUVbw"
    raise VolumeError(
        "the unit of a PET series is not one that is read",
        where=f"series {series.number}",
        value=vocabulary.codes(units),
        remedy="Export it in BQML, CNTS, GML or CM2ML",
    )


def _fill(
    series: Series, layout: Stack, unit: Unit, factors: Mapping[int, float]
) -> tuple[Voxels, int, dict[int, bool]]:
    """Voxels (place, row, column), padded voxels, and of each copy whether it is identical."""
    first = series.first
    voxels = np.zeros((layout.n_places, first.rows, first.columns), dtype=np.float32)
    place_of = dict(zip(layout.order, layout.places, strict=True))
    twin_of = {second: kept for kept, second in layout.copies}
    shift_of = dict(zip(layout.order, layout.shift_mm, strict=True))
    n_padded = 0
    copies: dict[int, bool] = {}
    held: tuple[int, Dataset] | None = None  # a multi-frame file is read once
    # kept slices first: a copy is compared with the slice that was kept
    for index in (*sorted(place_of), *sorted(twin_of)):
        header = series.headers[index]
        if held is None or held[0] != header.item.number:
            held = (header.item.number, _data(header))
        factor = factors.get(header.item.number, 1.0)
        plane, padded = _rescaled(held[1], header, unit, factor)
        if index in twin_of:
            kept = voxels[place_of[twin_of[index]]]
            shifted = _shifted(plane, shift_of[twin_of[index]], header, unit)
            copies[index] = bool(np.array_equal(kept, shifted))
            continue
        n_padded += padded
        voxels[place_of[index]] = _shifted(plane, shift_of[index], header, unit)
    return voxels, n_padded, copies


def _data(header: SliceHeader) -> Dataset:
    data = read_dataset(header.item, pixels=True)
    if isinstance(data, NotASlice):
        raise VolumeError(
            "a slice cannot be read",
            where=str(header.item),
            value=data.reason,
            remedy="Copy or export the series again",
        )
    return data


def _rescaled(data: Dataset, header: SliceHeader, unit: Unit, factor: float) -> tuple[Voxels, int]:
    where = str(header.item)
    if header.slope is None or header.intercept is None:
        raise VolumeError(
            "a slice does not state how stored values become " + unit,
            where=where,
            remedy="Export the series with rescale slope and intercept",
        )
    if not np.isfinite(header.slope) or header.slope <= 0 or not np.isfinite(header.intercept):
        raise VolumeError(
            "rescale slope and intercept are impossible",
            where=where,
            value=f"{header.slope:g}, {header.intercept:g}",
            remedy="Export the series again",
        )
    stored = stored_pixels(data, header)
    exact = (stored * header.slope + header.intercept) * factor
    n_padded = 0
    if unit == "HU":
        outside = exact <= OUTSIDE_HU
        if header.padding is not None:
            low, high = (_stored(v, header) for v in header.padding)
            # a padding value that real air can have marks nothing that is not air anyway
            outside |= (stored >= low) & (stored <= high) & (exact <= AIR_HU)
        exact[outside] = AIR_HU
        n_padded = int(np.count_nonzero(outside))
    largest = float(np.abs(exact).max())
    if not largest <= _HIGHEST.get(unit, _HIGHEST_SUV):
        raise VolumeError(
            f"a slice holds values that no {unit} scale has",
            where=where,
            value=f"up to {largest:.3g} {unit}",
            remedy="Check its rescale slope and intercept; fetch the series again from the archive",
        )
    return exact.astype(np.float32), n_padded


def _stored(value: int, header: SliceHeader) -> int:
    """A padding value written as unsigned although the pixels are signed."""
    half = 1 << (header.bits_allocated - 1)
    return value - 2 * half if header.signed and value >= half else value


def _shifted(
    plane: Voxels, shift_mm: npt.NDArray[np.float64], header: SliceHeader, unit: Unit
) -> Voxels:
    """Undo a tilted gantry: move a slice along its rows and columns (linear interpolation)."""
    if not shift_mm.any():
        return plane
    down, right = header.spacing_mm
    moved: Voxels = ndimage.shift(
        plane,
        (shift_mm[1] / down, shift_mm[0] / right),
        order=1,
        mode="constant",
        cval=AIR_HU if unit == "HU" else 0.0,
    )
    return moved


def _check_copies(
    layout: Stack, identical: dict[int, bool], settings: ReadSettings, where: str
) -> None:
    if not layout.copies:
        return
    differing = sum(not same for same in identical.values())
    if differing:
        raise VolumeError(
            "several different slices are at one position",
            where=where,
            value=f"{differing} positions",
            remedy="Two scans are mixed: give each series a folder of its own",
        )
    if not settings.allow_identical_copies:
        raise VolumeError(
            "slices are there twice",
            where=where,
            value=f"{len(identical)} copies",
            remedy="Remove the copies, or set allow_identical_copies = true under [scans] in "
            "study.toml",
        )


def _interpolate_missing(voxels: Voxels, layout: Stack) -> None:
    there = np.array(layout.places)
    for place in layout.missing:
        after = int(np.searchsorted(there, place))
        low, high = int(there[after - 1]), int(there[after])
        weight = np.float32((place - low) / (high - low))
        voxels[place] = (1 - weight) * voxels[low] + weight * voxels[high]


def _image(voxels: Voxels, layout: Stack, spacing_mm: tuple[float, float]) -> sitk.Image:
    image = sitk.GetImageFromArray(voxels)
    down, right = spacing_mm
    if min(down, right, layout.step_mm) <= 0:  # ITK would only print a warning
        raise VolumeError(
            "voxel spacing must be above 0",
            value=f"{right:g} × {down:g} mm",
            remedy="Export the series again with its pixel spacing",
        )
    image.SetSpacing((right, down, layout.step_mm))
    image.SetOrigin(layout.origin_mm)
    image.SetDirection([float(v) for v in layout.direction.ravel()])
    oriented: sitk.Image = sitk.DICOMOrient(image, "LPS")
    return oriented


def _facts(choice: SeriesChoice, layout: Stack, padded: float, n_copies: int) -> ScanFacts:
    headers = choice.chosen.headers
    first = headers[0]
    thickness = {h.thickness_mm for h in headers}
    return ScanFacts(
        modality=first.modality,
        manufacturer=first.manufacturer,
        model=first.model,
        kernel=min(h.kernel for h in headers),  # one kernel may be spelled two ways
        slice_thickness_mm=max((t for t in thickness if t is not None), default=None),
        tube_voltage_kv=first.kilovolts,
        contrast_agent=first.contrast,
        missing_slices_mm=tuple(round(p * layout.step_mm, 3) for p in layout.missing),
        identical_copies=n_copies,
        tilt_degrees=round(layout.tilt_degrees, 3),
        lossy=any(h.lossy for h in headers),
        padded_share=padded,
        frame_of_reference=first.frame_of_reference,
        series_uid=first.series_uid,
        image_uids=frozenset(h.sop_uid for h in headers),
        choice=choice.lines,
    )
