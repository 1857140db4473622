"""Dates moved by a patient's shift; times of day stay, so intervals are what they were."""

from __future__ import annotations

import datetime as dt
import re

_DICOM_DATE = re.compile(r"(\d{4})\.?(\d{2})\.?(\d{2})")
_DICOM_TIME = re.compile(r"\d{2}:?(?:\d{2}:?(?:\d{2}(?:\.\d{1,6})?)?)?")
_DICOM_DATE_TIME = re.compile(r"(\d{8})(\d{0,6}(?:\.\d{1,6})?(?:[+-]\d{4})?)")
_FIRST_YEAR, _LAST_YEAR = 1850, 2200
WRITTEN = (
    re.compile(r"(?P<y>\d{4})-(?P<m>\d{1,2})-(?P<d>\d{1,2})(?P<rest>[T ]\d{1,2}:\d{2}.*)?"),
    re.compile(r"(?P<y>\d{4})/(?P<m>\d{1,2})/(?P<d>\d{1,2})(?P<rest>)"),
    re.compile(r"(?P<y>\d{4})(?P<m>\d{2})(?P<d>\d{2})(?P<rest>)"),
    re.compile(r"(?P<d>\d{1,2})\.(?P<m>\d{1,2})\.(?P<y>\d{4})(?P<rest>)"),
)
"""Dates in tables whose day and month cannot be mistaken for each other."""


def shifted(text: str, vr: str, days: int) -> str | None:
    """A DICOM date, time or date and time, moved; None where it cannot be.

    Parameters
    ----------
    text
        As the file has it; empty stays empty.
    vr
        ``DA``, ``TM`` or ``DT``.
    days
        Of the patient.
    """
    text = text.strip().strip("\x00")
    if not text:
        return ""
    if vr == "TM":
        return text if _DICOM_TIME.fullmatch(text) else None
    if vr == "DA":
        found = _DICOM_DATE.fullmatch(text)
        moved = None if found is None else _moved(found[1], found[2], found[3], days)
        return None if moved is None else f"{moved:%Y%m%d}"
    found = _DICOM_DATE_TIME.fullmatch(text)
    if found is None:
        return None
    moved = _moved(found[1][:4], found[1][4:6], found[1][6:], days)
    return None if moved is None else f"{moved:%Y%m%d}{found[2]}"


def shifted_in_table(text: str, days: int) -> str | None:
    """A date of a table moved, written ``YYYY-MM-DD`` (and its time); None where it is no date."""
    for pattern in WRITTEN:
        found = pattern.fullmatch(text.strip())
        if found is not None:
            moved = _moved(found["y"], found["m"], found["d"], days)
            return None if moved is None else f"{moved:%Y-%m-%d}{found['rest'] or ''}"
    return None


def _moved(year: str, month: str, day: str, days: int) -> dt.date | None:
    try:
        date = dt.date(int(year), int(month), int(day))
    except ValueError:
        return None
    return date + dt.timedelta(days) if _FIRST_YEAR <= date.year <= _LAST_YEAR else None
