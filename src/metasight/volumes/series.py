"""The series of a folder, told apart, and the one that is measured, chosen by a stated rule.

A folder from the archive holds localisers, dose reports, reformats and several reconstructions of
one scan. Slices belong to one series if they share its UID, orientation, size, pixel spacing,
kernel and image type; if two then lie at one place, the acquisition number parts them. Of what is
left, the rule takes the widest coverage up to a whole chest, then the wanted kernel, then the
thinnest slices; it says so, and why each other series was left.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from metasight.errors import VolumeError
from metasight.volumes.grid import directions
from metasight.volumes.headers import NotASlice, SliceHeader, read_headers
from metasight.volumes.kernels import sharpness
from metasight.volumes.sources import items_of
from metasight.volumes.stack import SAME_POSITION_MM, extent_mm

Kernel = Literal["any", "smooth", "sharp"]

_DERIVED = {
    "LOCALIZER",
    "MIP",
    "MINIP",
    "MPR",
    "REFORMATTED",
    "SECONDARY",
    "DOSE",
    "SCREEN SAVE",
    "CSA MPR",
    "PROJECTION IMAGE",
    "MAX_IP",
    "MIN_IP",
    "VOLUME RENDERING",
}
_SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
# Coverages that differ less are alike: a few slices more at the belly do not make a better scan.
_ALIKE_MM = 15.0
_AXIAL_COSINE = float(np.cos(np.radians(35.0)))  # as far as a gantry tilts


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
    series_uid
        Read this series and no other; empty to choose.
    """

    modality: Literal["CT", "PT"] = "CT"
    kernel: Kernel = "any"
    whole_chest_mm: float = 250.0
    max_slice_thickness_mm: float = 3.0
    min_slices: int = 2
    single: bool = False
    series_uid: str = ""


@dataclass(frozen=True, kw_only=True)
class Series:
    """Slices that make one reconstruction.

    Attributes
    ----------
    number
        Place among the series found, from 1, in the order of their UIDs.
    headers
        Its slices, in the order of the files.
    extent_mm
        From the first slice's centre to the last's.
    """

    number: int
    headers: tuple[SliceHeader, ...]
    extent_mm: float

    @property
    def first(self) -> SliceHeader:
        """Header of its first file: what all slices share."""
        return self.headers[0]

    def __str__(self) -> str:
        first = self.first
        thick = f"{first.thickness_mm:g} mm" if first.thickness_mm else "thickness not said"
        kernel = first.kernel or "kernel not said"
        return (
            f"series {self.number} ({first.modality}, {len(self.headers)} slices of {thick}, "
            f"{kernel}, {self.extent_mm:.0f} mm)"
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
    groups = [g for group in _by(headers, _key) for g in _by_acquisition(group)]
    series = tuple(
        Series(number=i, headers=tuple(group), extent_mm=extent_mm(group))
        for i, group in enumerate(groups, start=1)
    )
    return Found(series=series, not_slices=tuple(sorted(others.items())), n_files=len(items))


def choose_series(found: Found, rule: SeriesRule) -> SeriesChoice:
    """Choose the series to read.

    Raises
    ------
    VolumeError
        No series qualifies, the one asked for is not there, or several qualify although
        ``rule.single`` says that one was expected.
    """
    refused = {s.number: why for s in found.series if (why := _unfit(s, rule))}
    fit = [s for s in found.series if s.number not in refused]
    if not fit:
        raise _nothing_fits(found, refused, rule)
    if rule.single and len(fit) > 1:
        raise VolumeError(
            "several series are mixed where one was expected",
            value="; ".join(str(s) for s in fit),
            remedy="Give each series a folder of its own, or name the series",
        )
    ranked = sorted(fit, key=lambda s: _rank(s, rule))
    left = [f"left {s}: {_behind(ranked[0], s, rule)}" for s in ranked[1:]]
    left += [f"left {s}: {refused[s.number]}" for s in found.series if s.number in refused]
    left += [f"{n} file{'s' * (n > 1)} left: {why}" for why, n in found.not_slices]
    reason = _behind(ranked[0], ranked[1], rule, won=True) if len(fit) > 1 else "the only one"
    return SeriesChoice(chosen=ranked[0], reason=reason, left=tuple(left))


def _key(header: SliceHeader) -> tuple[object, ...]:
    return (
        header.series_uid,
        header.modality,
        header.sop_class,
        header.rows,
        header.columns,
        tuple(round(v, 4) for v in header.spacing_mm),
        tuple(round(v, 3) + 0.0 for v in header.orientation),
        header.kernel,
        header.image_type,
        header.frame_of_reference,
    )


def _by(
    headers: Iterable[SliceHeader], key: Callable[[SliceHeader], tuple[object, ...]]
) -> list[list[SliceHeader]]:
    groups: dict[tuple[object, ...], list[SliceHeader]] = {}
    for header in headers:
        groups.setdefault(key(header), []).append(header)
    return [groups[k] for k in sorted(groups, key=str)]


def _by_acquisition(group: list[SliceHeader]) -> list[list[SliceHeader]]:
    """Part a group by acquisition number if, and only if, that parts slices at one place."""
    normal = directions(group[0].orientation)[:, 2]
    if not _two_at_one_place(group, normal):
        return [group]
    # copies of one file are not two acquisitions
    parts = _by(group, lambda h: (h.acquisition,))
    if len(parts) == 1 or any(_two_at_one_place(p, normal) for p in parts):
        return [group]
    return parts


def _two_at_one_place(group: Sequence[SliceHeader], normal: object) -> bool:
    along = np.sort(np.array([h.position_mm for h in group]) @ np.asarray(normal))
    return bool(np.any(np.diff(along) < SAME_POSITION_MM))


def _unfit(series: Series, rule: SeriesRule) -> str:
    """Why a series cannot be the one; empty if it can."""
    first = series.first
    if rule.series_uid and first.series_uid != rule.series_uid:
        return "another series was asked for"
    if first.modality != rule.modality:
        return f"modality is {first.modality or 'not said'}, not {rule.modality}"
    if first.sop_class.startswith(_SECONDARY_CAPTURE):
        return "secondary capture"
    derived = _DERIVED.intersection(first.image_type)
    if derived:
        return f"image type {sorted(derived)[0].lower()}"
    if abs(directions(first.orientation)[2, 2]) < _AXIAL_COSINE:
        return "not axial"
    if first.samples != 1:
        return "colour image"
    if len(series.headers) < rule.min_slices:
        return f"{len(series.headers)} slice{'s' * (len(series.headers) > 1)}"
    if rule.modality == "PT" and first.corrections and "ATTN" not in first.corrections:
        return "not corrected for attenuation"
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
    remedy = (
        "Give the folder or archive with the whole series, not one of its files"
        if single
        else "Check that the path leads to the original axial series"
    )
    return VolumeError(
        f"no {rule.modality} series that can be measured", value=shown, remedy=remedy
    )
