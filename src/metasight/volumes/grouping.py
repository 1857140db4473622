"""Slices grouped into series: by what they are, and by numbers that agree, never by spelling.

Direction cosines and pixel spacings are decimal strings that archives round as they like, and one
scanner spells one kernel two ways. A series that falls apart at such an edge leaves every second
slice behind, and the half that is read looks like a scan. So numbers are compared with a tolerance,
words without case and blanks, and two parts of one series that interleave or abut are found.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np
import numpy.typing as npt

from metasight.volumes.headers import SliceHeader
from metasight.volumes.stack import SAME_POSITION_MM, usual_directions

Floats = npt.NDArray[np.float64]
Group = list[SliceHeader]

ORIENTATION_TOLERANCE = 2e-3
"""Of a direction cosine: moves the corner of a 500 mm field by half a millimetre."""
SPACING_TOLERANCE_MM = 5e-4
"""Of pixel spacing: moves the last of 512 pixels by a quarter of a millimetre."""
DERIVED = frozenset(
    (
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
    )
)
"""Image types that no scanner measured, or that are no slices of the body."""
_PARALLEL = float(np.cos(np.radians(2.0)))
_SAME_THICKNESS_MM = 0.05
_ANOTHER_RECONSTRUCTION = 0.5  # share of slices at places where the other part has one too
_COINCIDE = 0.1  # of a step
_ABUTS = 1.6  # steps: the next slice, whatever the rounding, but not the one after it


def group(headers: Iterable[SliceHeader]) -> list[Group]:
    """Slices that make one reconstruction together, in an order that files' names do not change."""
    groups: list[Group] = []
    for own in _by(headers, _key):
        for near in _apart(own, [h.spacing_mm for h in own], SPACING_TOLERANCE_MM):
            for parallel in _apart(near, [h.orientation for h in near], ORIENTATION_TOLERANCE):
                groups += _parted(parallel)
    return [sorted(own, key=lambda h: (h.sop_uid, h.frame, h.item.number)) for own in groups]


def spelled(text: str) -> str:
    """A word without case and blanks."""
    return "".join(text.split()).casefold()


def parts_of_one(one: Sequence[SliceHeader], other: Sequence[SliceHeader]) -> bool:
    """Whether two groups are parts of one scan that fell apart.

    They are if they belong to one series, are parallel and as thick, and the second's slices lie
    between the first's or next to its end. Another reconstruction has slices at the same places.
    """
    first, second = one[0], other[0]
    if not first.series_uid or first.series_uid != second.series_uid:
        return False
    if first.modality != second.modality or DERIVED.intersection(second.image_type):
        return False
    thick = (first.thickness_mm, second.thickness_mm)
    if None not in thick and abs(float(thick[0] or 0) - float(thick[1] or 0)) > _SAME_THICKNESS_MM:
        return False
    normal = usual_directions(one)[:, 2]
    if abs(float(normal @ usual_directions(other)[:, 2])) < _PARALLEL:
        return False
    ours, theirs = _along(one, normal), _along(other, normal)
    step = float(np.median(np.diff(ours))) if len(ours) > 1 else first.thickness_mm or 0.0
    away = np.abs(theirs[:, None] - ours[None]).min(axis=1)
    together = int(np.count_nonzero(away <= max(_COINCIDE * step, SAME_POSITION_MM)))
    if together >= _ANOTHER_RECONSTRUCTION * min(len(ours), len(theirs)):
        return False
    between = np.any((theirs > ours[0]) & (theirs < ours[-1]))
    reach = _ABUTS * max(step, float(np.median(np.diff(theirs))) if len(theirs) > 1 else 0.0)
    return bool(between) or float(away.min()) <= reach


def differences(one: Sequence[SliceHeader], other: Sequence[SliceHeader]) -> str:
    """What two groups of one series differ in, in words."""
    first, second = one[0], other[0]
    pairs = (
        ("pixel spacing", np.allclose(first.spacing_mm, second.spacing_mm, atol=1e-9)),
        ("orientation", np.allclose(first.orientation, second.orientation, atol=1e-9)),
        ("rows and columns", (first.rows, first.columns) == (second.rows, second.columns)),
        ("kernel", spelled(first.kernel) == spelled(second.kernel)),
        ("image type", first.image_type == second.image_type),
        ("acquisition number", first.acquisition == second.acquisition),
        ("kind of DICOM object", first.sop_class == second.sop_class),
        ("frame of reference", first.frame_of_reference == second.frame_of_reference),
        ("study", first.study == second.study),
        ("patient", first.patient == second.patient),
    )
    return ", ".join(name for name, same in pairs if not same)


def _key(header: SliceHeader) -> tuple[str, ...]:
    """What is the same in all slices of a series, as text that is sorted by."""
    derived = DERIVED.intersection(header.image_type)
    return (
        header.series_uid,
        header.modality,
        header.sop_class,
        f"{header.rows:06d} {header.columns:06d}",
        spelled(header.kernel),
        # the third value and those after it say what each vendor likes
        "/".join([*map(spelled, header.image_type[:2]), *sorted(derived)]),
        header.frame_of_reference,
        header.study,
        header.patient,
    )


def _by(
    headers: Iterable[SliceHeader], key: Callable[[SliceHeader], tuple[str, ...]]
) -> list[Group]:
    groups: dict[tuple[str, ...], Group] = {}
    for header in headers:
        groups.setdefault(key(header), []).append(header)
    # a patient's digest differs from run to run: it parts, and sorts nothing
    return [groups[k] for k in sorted(groups, key=lambda k: (k[:8], groups[k][0].sop_uid))]


def _apart(own: Group, values: Sequence[Sequence[float]], tolerance: float) -> list[Group]:
    """Part a group where some number jumps by more than the tolerance from one to the next."""
    table = np.asarray(values, dtype=np.float64)
    parts = [np.arange(len(own))]
    for column in range(table.shape[1]) if len(own) > 1 else ():
        split: list[npt.NDArray[np.intp]] = []
        for part in parts:
            order = part[np.argsort(table[part, column], kind="stable")]
            jumps = np.flatnonzero(np.diff(table[order, column]) > tolerance) + 1
            split += np.split(order, jumps)
        parts = split
    return [[own[i] for i in np.sort(part)] for part in parts]


def _parted(own: Group) -> list[Group]:
    """Part a group if, and only if, some of its slices lie at one place and a part says so."""
    normal = usual_directions(own)[:, 2]
    if not _two_at_one_place(own, normal):
        return [own]
    ways: tuple[Callable[[SliceHeader], tuple[str, ...]], ...] = (
        lambda h: (h.acquisition,),
        lambda h: (spelled("/".join(h.image_type)),),
    )
    for way in ways:
        # copies of one file are not two acquisitions
        parts = _by(own, way)
        if len(parts) > 1 and not any(_two_at_one_place(p, normal) for p in parts):
            return parts
    return [own]


def _two_at_one_place(own: Sequence[SliceHeader], normal: Floats) -> bool:
    return bool(np.any(np.diff(_along(own, normal)) < SAME_POSITION_MM))


def _along(own: Sequence[SliceHeader], normal: Floats) -> Floats:
    """Rising positions along the normal."""
    return np.sort(np.array([h.position_mm for h in own]) @ normal)
