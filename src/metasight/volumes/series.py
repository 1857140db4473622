"""The series of a folder, told apart, and the one that is measured, chosen by a stated rule.

A folder from the archive holds localisers, dose reports, reformats and several reconstructions of
one scan; it may hold two examinations, and even two patients. Of what the study's table names, or
the lesion was drawn on, or else of one examination, the rule takes the widest coverage up to a
whole chest, then the wanted kernel, then the thinnest slices; it says so, and why each other series
was left.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np

from metasight.errors import VolumeError
from metasight.volumes import vocabulary
from metasight.volumes.grouping import DERIVED, differences, group, parts_of_one
from metasight.volumes.headers import NotASlice, SliceHeader, read_headers
from metasight.volumes.kernels import sharpness
from metasight.volumes.sources import items_of
from metasight.volumes.stack import extent_mm, usual_directions

Kernel = Literal["any", "smooth", "sharp"]

_SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
# Coverages that differ less are alike: a few slices more at the belly do not make a better scan.
_ALIKE_MM = 15.0
_AXIAL_COSINE = float(np.cos(np.radians(35.0)))  # as far as a gantry tilts
_NAME_IT = (
    "Name the examination in the column `date` or the series in the column `series` of the table "
    "of scans (or with --series), or give each examination a folder of its own"
)


@dataclass(frozen=True, kw_only=True)
class SeriesRule:
    """Which series of a folder is read.

    Attributes
    ----------
    modality
        ``CT`` or ``PT``.
    kernel
        Kernel preferred where coverage is alike; ``any`` for none.
    whole_chest_mm
        Length beyond which more coverage counts no more, so that a whole-body scan of thick
        slices is not preferred to a chest: adult lungs are 200–300 mm high.
    max_slice_thickness_mm
        Thicker series are taken only if there is no other.
    min_slices
        A series of fewer is no scan.
    single
        Refuse a folder with more than one series that could be read.
    series
        SeriesInstanceUID or SeriesNumber of the one series to read; empty to choose.
    study_date
        Day of the examination to read; None where the folder holds one.
    drawn_on
        UIDs of the series, or of images, that the lesion was drawn on: one of them is read, unless
        ``series`` names another. Empty where nothing says so.
    accept_derived
        Take a named series although it is derived, reformatted or not axial.
    """

    modality: Literal["CT", "PT"] = "CT"
    kernel: Kernel = "any"
    whole_chest_mm: float = 250.0
    max_slice_thickness_mm: float = 3.0
    min_slices: int = 2
    single: bool = False
    series: str = ""
    study_date: dt.date | None = None
    drawn_on: frozenset[str] = field(default=frozenset(), repr=False)
    accept_derived: bool = False


@dataclass(frozen=True, kw_only=True)
class Series:
    """Slices that make one reconstruction.

    Attributes
    ----------
    number
        Place among the series found, from 1, in the order of their UIDs.
    headers
        Its slices, in the order of their own UIDs: how files are named changes nothing.
    extent_mm
        From the first slice's centre to the last's.
    """

    number: int
    headers: tuple[SliceHeader, ...]
    extent_mm: float

    @property
    def first(self) -> SliceHeader:
        """Header of one slice: what all share."""
        return self.headers[0]

    @property
    def spacing_mm(self) -> tuple[float, float]:
        """Usual distance of rows and of columns; files differ in the last decimal."""
        down, right = np.median([h.spacing_mm for h in self.headers], axis=0)
        return float(down), float(right)

    def __str__(self) -> str:
        first = self.first
        thick = f"{first.thickness_mm:g} mm" if first.thickness_mm else "thickness not stated"
        return (
            f"series {self.number} ({vocabulary.modality(first.modality)}, {len(self.headers)} "
            f"slices of {thick}, kernel {vocabulary.kernel(first.kernel)}, {self.extent_mm:.0f} mm)"
        )


@dataclass(frozen=True, kw_only=True)
class SeriesChoice:
    """The series that was chosen, and why no other.

    Attributes
    ----------
    chosen
        The series to read.
    reason
        What put it first.
    left
        Each other series with the reason, and files that are no slices, counted.
    """

    chosen: Series
    reason: str
    left: tuple[str, ...]

    @property
    def lines(self) -> tuple[str, ...]:
        """For the ledger and the report."""
        return (f"read {self.chosen}: {self.reason}", *self.left)


@dataclass(frozen=True, kw_only=True)
class Found:
    """All that a folder or archive holds.

    Attributes
    ----------
    series
        In the order of their UIDs.
    not_slices
        Reason and number of files that give no slice.
    n_files
        Files looked at.
    """

    series: tuple[Series, ...]
    not_slices: tuple[tuple[str, int], ...]
    n_files: int


def find_series(path: Path) -> Found:
    """Read every header of a folder, zip archive or file, and tell its series apart.

    Raises
    ------
    VolumeError
        Nothing there, or a DICOM header that contradicts itself.
    """
    headers: list[SliceHeader] = []
    others: Counter[str] = Counter()
    items = items_of(path)
    for item in items:
        read = read_headers(item)
        if isinstance(read, NotASlice):
            others[read.reason] += 1
        else:
            headers.extend(read)
    series = tuple(
        Series(number=i, headers=tuple(own), extent_mm=extent_mm(own))
        for i, own in enumerate(group(headers), start=1)
    )
    return Found(series=series, not_slices=tuple(sorted(others.items())), n_files=len(items))


def candidates(found: Found, rule: SeriesRule) -> tuple[Series, ...]:
    """The series that the rule could choose, in the order of their UIDs."""
    return tuple(s for s in found.series if not _unfit(s, rule))


def choose_series(found: Found, rule: SeriesRule) -> SeriesChoice:
    """Choose the series to read.

    Raises
    ------
    VolumeError
        No series qualifies, the one asked for is not there, several examinations or patients
        qualify, the chosen one lies in parts, or several qualify although ``rule.single`` says
        that one was expected.
    """
    refused = {s.number: why for s in found.series if (why := _unfit(s, rule))}
    fit = [s for s in found.series if s.number not in refused]
    if not fit:
        raise _nothing_fits(found, refused, rule)
    _check_one_examination(fit)
    if rule.single and len(fit) > 1:
        raise VolumeError(
            "several series are mixed where one was expected",
            value="; ".join(str(s) for s in fit),
            remedy="Give each series a folder of its own, or name the series in the column "
            "`series` of the table of scans (or with --series)",
        )
    ranked = sorted(fit, key=lambda s: _rank(s, rule))
    _check_in_one(ranked[0], found)
    left = [f"left {s}: {_behind(ranked[0], s, rule)}" for s in ranked[1:]]
    left += [f"left {s}: {refused[s.number]}" for s in found.series if s.number in refused]
    left += [f"{n} file{'s' * (n > 1)} left: {why}" for why, n in found.not_slices]
    reason = _behind(ranked[0], ranked[1], rule, won=True) if len(fit) > 1 else "the only one"
    reason = _asked(rule) + reason
    if rule.accept_derived and (why := _unfit_kind(ranked[0])):
        reason += f"; accepted by the table of scans although {why}"
    return SeriesChoice(chosen=ranked[0], reason=reason, left=tuple(left))


def _asked(rule: SeriesRule) -> str:
    """What narrowed the choice, before the rule was asked."""
    if rule.series:
        return "asked for by name; "
    if rule.drawn_on:
        return "the lesion was drawn on it; "
    return "of the examination on the date in the table of scans; " if rule.study_date else ""


def _check_one_examination(fit: list[Series]) -> None:
    """Refuse a folder in which two patients or two examinations could be meant."""
    for what, values in (
        ("patients", {h.patient for s in fit for h in s.headers if h.patient}),
        ("examinations", {h.study for s in fit for h in s.headers if h.study}),
    ):
        if len(values) > 1:
            raise VolumeError(
                f"the folder holds series of several {what}",
                value=f"{len(values)} {what} in {len(fit)} series",
                remedy=_NAME_IT,
            )


def _check_in_one(chosen: Series, found: Found) -> None:
    """Refuse a series of which another part interleaves with what would be read, or abuts it."""
    for other in found.series:
        if other.number != chosen.number and parts_of_one(chosen.headers, other.headers):
            differ = differences(chosen.headers, other.headers)
            raise VolumeError(
                "the slices of one series are in parts that belong together",
                value=f"{len(chosen.headers)} and {len(other.headers)} slices under one series "
                f"UID that differ in {differ or 'nothing that is read'}",
                remedy="Fetch the whole series again from the archive; what differs must be the "
                "same in every slice",
            )


def _unfit(series: Series, rule: SeriesRule) -> str:
    """Why a series cannot be the one; empty if it can."""
    first = series.first
    if first.modality != rule.modality:
        return f"modality is {vocabulary.modality(first.modality)}, not {rule.modality}"
    if rule.series and rule.series not in (first.series_uid, first.series_number):
        return "another series was asked for"
    if rule.study_date and first.study_date != rule.study_date:
        return "of another date than the table of scans says"
    if rule.drawn_on and not rule.series:
        own = {first.series_uid, *(h.sop_uid for h in series.headers)}
        if not own & rule.drawn_on:
            return "the lesion was drawn on another series"
    if not rule.accept_derived and (why := _unfit_kind(series)):
        return why
    if first.samples != 1:
        return "colour image"
    if len(series.headers) < rule.min_slices:
        return f"{len(series.headers)} slice{'s' * (len(series.headers) > 1)}"
    if rule.modality == "PT" and first.corrections and "ATTN" not in first.corrections:
        return "not corrected for attenuation"
    return ""


def _unfit_kind(series: Series) -> str:
    """Why a series is of a kind that a study may accept by name all the same; empty if not."""
    first = series.first
    if first.sop_class.startswith(_SECONDARY_CAPTURE):
        return "secondary capture"
    derived = DERIVED.intersection(first.image_type)
    if derived:
        return f"image type {sorted(derived)[0].lower()}"
    if abs(usual_directions(series.headers)[2, 2]) < _AXIAL_COSINE:
        return "not axial"
    return ""


def _rank(series: Series, rule: SeriesRule) -> tuple[object, ...]:
    """Smaller is better; the last entries only settle ties, the same way every time."""
    first = series.first
    thickness = _thickness(series)
    kernel = sharpness(first.kernel, first.manufacturer)
    return (
        thickness > rule.max_slice_thickness_mm and rule.modality == "CT",
        -_coverage(series, rule),
        rule.kernel not in ("any", kernel),
        thickness,
        -len(series.headers),
        first.series_uid,
        first.acquisition,
        series.number,
    )


def _coverage(series: Series, rule: SeriesRule) -> int:
    return round(min(series.extent_mm, rule.whole_chest_mm) / _ALIKE_MM)


def _thickness(series: Series) -> float:
    """Nominal thickness, or the mean distance of slices where the header does not say."""
    return series.first.thickness_mm or series.extent_mm / max(len(series.headers) - 1, 1)


def _behind(best: Series, other: Series, rule: SeriesRule, *, won: bool = False) -> str:
    """The first entry of the rank in which two series differ, in words."""
    names = (
        ("thin enough", f"thicker than {rule.max_slice_thickness_mm:g} mm"),
        ("covers most of the chest", "covers less"),
        (f"{rule.kernel} kernel", f"kernel is not {rule.kernel}"),
        ("thinnest slices", "thicker slices"),
        ("most slices", "fewer slices"),
    )
    pairs = zip(names, _rank(best, rule), _rank(other, rule), strict=False)
    for (winning, losing), ours, theirs in pairs:
        if ours != theirs:
            return winning if won else losing
    return "alike; first by UID" if won else "alike; later by UID"


def _nothing_fits(found: Found, refused: dict[int, str], rule: SeriesRule) -> VolumeError:
    lines = [f"{s}: {refused[s.number]}" for s in found.series]
    lines += [f"{n} files: {why}" for why, n in found.not_slices]
    shown = "; ".join(lines[:8]) + ("; …" if len(lines) > 8 else "")
    single = found.n_files == 1 and sum(len(s.headers) for s in found.series) == 1
    problem = f"no {rule.modality} series that can be measured"
    remedy = "Check that the path leads to the original axial series"
    if single:
        remedy = "Give the folder or archive with the whole series, not one of its files"
    elif any(why == "of another date than the table of scans says" for why in refused.values()):
        problem = "no series of the date in the table of scans"
        remedy = "Correct the column `date` (YYYY-MM-DD) of the table of scans"
    elif not rule.series and any("drawn on another" in why for why in refused.values()):
        problem = "the series that the lesion was drawn on is not in the folder"
        remedy = (
            "Give the folder that holds it, or name the series to measure in the column `series` "
            "of the table of scans (or with --series)"
        )
    elif rule.series:
        problem = "the series that was asked for cannot be measured or is not there"
        remedy = (
            "Correct the column `series` or --series (SeriesInstanceUID or SeriesNumber); a "
            "derived or reformatted series needs a reason in the column `accept`"
        )
    return VolumeError(problem, value=shown, remedy=remedy)
