"""What PS3.15 says is to be done to each element, under the options that are used here.

The table is Table E.1-1 of DICOM PS3.15, edition 2026c (`confidentiality.csv`; its codes of the
Basic Profile were taken over from dicom-anonymizer 2.1.0, BSD-3, whose licence lies beside it). Of
Retain Longitudinal Temporal Information with Modified Dates it has the dates and times of the
examination; dates of the device itself and of birth stay under the Basic Profile. Of Retain
Patient Characteristics it has what measurements depend on: age, sex, size, weight, smoking and
pregnancy. `safe_private.csv` is the part of Table E.3.10-1 that concerns CT and PET, and one
element beside it: GE's start of the PET scan, a date without which SUV may differ; it is shifted
like the others.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from importlib.resources import files

EDITION = "PS3.15 2026c"


class Action(StrEnum):
    """What is done to an element; letters as in PS3.15 Table E.1-1a."""

    REMOVE = "X"
    EMPTY = "Z"
    DUMMY = "D"
    UID = "U"
    KEEP = "K"
    SHIFT = "C"
    WALK = "W"
    """Keep a sequence and clean its items."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One element of the table.

    Attributes
    ----------
    tag
        Eight hexadecimal digits; ``XX`` for any of a repeating group.
    name
        As in the standard.
    basic
        Code of the Basic Profile.
    modified_dates, patient_characteristics
        Code of the option, empty where it says nothing.
    """

    tag: str
    name: str
    basic: str
    modified_dates: str
    patient_characteristics: str


@dataclass(frozen=True, kw_only=True)
class SafePrivate:
    """A private element that is kept.

    Attributes
    ----------
    group, element
        The element's number is that within its block, 0 to 255.
    creator
        Private creator as the vendor writes it.
    is_date
        Whether it is a date and time, to be shifted.
    name
        As in the standard or the vendor's conformance statement.
    """

    group: int
    element: int
    creator: str
    is_date: bool
    name: str


@cache
def table() -> dict[str, Row]:
    """Rows of Table E.1-1, by tag."""
    return {r["tag"]: Row(**r) for r in _rows("confidentiality.csv")}


@cache
def safe_private() -> dict[tuple[int, str, int], SafePrivate]:
    """Private elements that are kept, by group, creator and number in the block."""
    found = [
        SafePrivate(
            group=int(r["group"], 16),
            element=int(r["element"], 16),
            creator=r["creator"],
            is_date=r["action"] == "C",
            name=r["name"],
        )
        for r in _rows("safe_private.csv")
    ]
    return {(s.group, s.creator, s.element): s for s in found}


def _rows(name: str) -> Iterator[dict[str, str]]:
    text = files("metasight.deidentify").joinpath(name).read_text("utf-8")
    return iter(csv.DictReader(text.splitlines()))


def listed(words: str) -> frozenset[str]:
    """Words of a text that lists them."""
    return frozenset(words.split())


def action_of(tag: int, *, is_sequence: bool) -> Action | None:
    """What the table says of a public element; None where it says nothing.

    Where the table leaves a choice (``X/Z/D``), that one is taken which is right in every kind of
    object: what may be required is emptied or replaced, never removed.
    """
    group = tag >> 16
    if group & 0xFF00 in (0x5000, 0x6000) and group & 1 == 0:
        return Action.REMOVE  # the planes of an overlay are nothing without its data
    row = table().get(f"{tag:08X}")
    if row is None:
        return None
    if row.modified_dates:
        return Action.SHIFT
    if row.patient_characteristics:
        return Action.KEEP
    if is_sequence:
        return _OF_SEQUENCE[row.basic]
    return _OF_VALUE[row.basic]


_OF_VALUE = {
    "X": Action.REMOVE,
    "Z": Action.EMPTY,
    "D": Action.DUMMY,
    "U": Action.UID,
    "X/Z": Action.EMPTY,
    "X/D": Action.DUMMY,
    "Z/D": Action.DUMMY,
    "X/Z/D": Action.DUMMY,
    "X/Z/U*": Action.WALK,
}
_OF_SEQUENCE = {
    "X": Action.REMOVE,
    "Z": Action.EMPTY,
    "D": Action.WALK,
    "U": Action.WALK,
    "X/Z": Action.EMPTY,
    "X/D": Action.REMOVE,
    "Z/D": Action.EMPTY,
    "X/Z/D": Action.REMOVE,
    "X/Z/U*": Action.WALK,
}
