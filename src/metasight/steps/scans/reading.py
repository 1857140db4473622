"""A patient's CT, PET and lesion as the table of scans names them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from metasight.cohort.scan_table import LesionRow, SeriesRow
from metasight.cohort.settings import ScanRecipe
from metasight.engine.guarded import guarded, limits_for, renew
from metasight.errors import VolumeError
from metasight.lesions.uptake import Uptake, uptake_of
from metasight.segmentation.lesion import (
    Outlines,
    lesion_from_axis,
    lesion_from_box,
    lesion_from_click,
)
from metasight.segmentation.lesion_network import shipped_lesion_network
from metasight.segmentation.lung import Lungs
from metasight.volumes.dicom import ReadSettings, load_series
from metasight.volumes.masks import MaskRule, drawn_on, read_mask
from metasight.volumes.nifti import read_nifti
from metasight.volumes.pet import DoseUnit, read_pet
from metasight.volumes.series import SeriesChoice, SeriesRule, choose_series, find_series
from metasight.volumes.volume import Mask, Volume

Told = Callable[[SeriesChoice], None]


def read_ct(
    path: Path,
    settings: ScanRecipe,
    *,
    named: SeriesRow | None = None,
    drawn: frozenset[str] = frozenset(),
    on_choice: Told | None = None,
) -> Volume:
    """A CT as the study wants it read: DICOM, or NIfTI in HU.

    Parameters
    ----------
    path
        Folder, zip or file.
    settings
        Of the study.
    named
        Series or examination that the table names.
    drawn
        UIDs of the series that the lesion was drawn on.
    on_choice
        Is told which series was chosen, before it is read.

    Raises
    ------
    VolumeError
        Nothing there that can be measured, several examinations and none named, or the chosen
        series cannot be read.
    """
    if is_nifti(path):
        return read_nifti(path, unit="HU")
    choice = choose_series(find_series(path), ct_rule(settings, named or SeriesRow(), drawn))
    if on_choice is not None:
        on_choice(choice)
    return load_ct(choice, settings)


def read_apart(
    read: Callable[..., Volume], path: Path, *arguments: Any, on_choice: Told, **named: Any
) -> Volume:
    """A series by `read_ct` or `read_suv`, in the child that opens files from outside.

    Parameters
    ----------
    read
        One of them.
    path, arguments, named
        As it takes them.
    on_choice
        Is told which series was chosen, also where it could not be read.

    Raises
    ------
    VolumeError
        As ``read``, or the child's limits of time and memory do not suffice.
    """
    chosen, found = guarded(
        _with_choice, limits_for(path), VolumeError, read, path, arguments, named
    )
    for choice in chosen:
        on_choice(choice)
    if isinstance(found, VolumeError):
        renew()
        raise found
    return found


def _with_choice(
    read: Callable[..., Volume], path: Path, arguments: tuple[Any, ...], named: dict[str, Any]
) -> tuple[list[SeriesChoice], Volume | VolumeError]:
    chosen: list[SeriesChoice] = []
    try:
        return chosen, read(path, *arguments, **named, on_choice=chosen.append)
    except VolumeError as error:
        return chosen, error


def is_nifti(path: Path) -> bool:
    """Whether a scan is one file without a header of DICOM."""
    return path.name.lower().endswith((".nii", ".nii.gz"))


def ct_rule(
    settings: ScanRecipe, named: SeriesRow, drawn: frozenset[str] = frozenset()
) -> SeriesRule:
    """Which series of a folder is the CT that a study measures."""
    return SeriesRule(
        kernel=settings.kernel,
        series=named.series,
        study_date=named.date,
        drawn_on=drawn,
        accept_derived=named.accepted,
    )


def pet_rule(named: SeriesRow) -> SeriesRule:
    """Which series of a folder is the PET that a study measures."""
    return SeriesRule(
        modality="PT",
        series=named.series,
        study_date=named.date,
        accept_derived=named.accepted,
    )


def load_ct(choice: SeriesChoice, settings: ScanRecipe) -> Volume:
    """The CT of a chosen series in HU.

    Raises
    ------
    VolumeError
        As :func:`metasight.volumes.dicom.load_series`.
    """
    return load_series(
        choice,
        settings=ReadSettings(
            max_missing_slices=settings.max_missing_slices,
            allow_identical_copies=settings.allow_identical_copies,
        ),
    )


def series_drawn_on(lesion: LesionRow | None, named: SeriesRow) -> frozenset[str]:
    """UIDs of the series that a lesion's file names; empty where the table names one itself.

    Raises
    ------
    VolumeError
        The file is no mask that is read.
    """
    if lesion is None or lesion.path is None or named.series:
        return frozenset()
    return guarded(drawn_on, limits_for(lesion.path), VolumeError, lesion.path)


def lesion_of(
    told: LesionRow, ct: Volume, lungs: Lungs | None, *, any_series: bool = False
) -> Mask:
    """The lesion's mask on the CT's grid, from a file, a box or a click.

    Parameters
    ----------
    told
        Row of the table of scans.
    ct
        In HU.
    lungs
        Needed for a box or a click.
    any_series
        The table names the series to measure, so a mask drawn on another one is taken.

    Raises
    ------
    VolumeError
        It cannot be read or found, is not one part, or it is told by a point and no lung was found.
    """
    return outlined(told, ct, lungs, any_series=any_series)[0]


def outlined(
    told: LesionRow, ct: Volume, lungs: Lungs | None, *, any_series: bool = False
) -> tuple[Mask, Outlines | None]:
    """The lesion's mask, and the outlines that it was chosen among; None for a file's mask.

    Parameters and errors are those of :func:`lesion_of`.
    """
    if told.path is not None:
        rule = MaskRule(
            parts=told.parts,
            at_mm=told.point_mm,
            max_missing_contours=told.max_missing_contours,
            any_series=any_series,
            grid=told.grid,
        )
        limits, region = limits_for(told.path), told.region or None
        mask = guarded(read_mask, limits, VolumeError, told.path, ct, region=region, rule=rule)
        return mask, None
    if told.point_mm is None:
        raise VolumeError(
            "the row of the lesion gives neither a file nor a point",
            where="lesion",
            remedy="Give a file, or x_mm, y_mm and z_mm, in the table of scans",
        )
    if lungs is None:
        raise VolumeError(
            "a lesion cannot be found from a point because no lungs were found",
            where="lesion",
            remedy="Give a mask of the lesion",
        )
    if told.corner_mm is not None:
        found = lesion_from_box(ct, lungs, told.point_mm, told.corner_mm)
    elif told.end_mm is not None:
        found = lesion_from_axis(
            ct, lungs, told.point_mm, told.end_mm, network=shipped_lesion_network()
        )
    else:
        found = lesion_from_click(ct, lungs, told.point_mm, network=shipped_lesion_network())
    return found.mask, found.outlines


def uptake_within(pet: Volume, lesion: Mask, ct: Volume) -> Uptake:
    """Uptake of a lesion that was drawn on the CT.

    Raises
    ------
    VolumeError
        The headers say that PET and CT are not in one frame of reference, or the PET does not
        cover the lesion.
    """
    ours, theirs = pet.facts.frame_of_reference, ct.facts.frame_of_reference
    if ours and theirs and ours != theirs:
        raise VolumeError(
            "PET and CT are not in one frame of reference",
            where="PET",
            remedy="Measure the CT of the PET/CT examination (column `series` of the table of "
            "scans), or register the PET to the CT first",
        )
    return uptake_of(pet, lesion)


def read_suv(
    path: Path, settings: ScanRecipe, *, named: SeriesRow, dose_unit: DoseUnit, on_choice: Told
) -> Volume:
    """A PET in the study's SUV, on its own grid.

    Raises
    ------
    VolumeError
        As :func:`metasight.volumes.pet.read_pet`.
    """
    return read_pet(
        path,
        kind=settings.suv,
        rule=pet_rule(named),
        dose_unit=dose_unit,
        on_choice=on_choice,
    )
