"""What of a table's cell a message or the ledger may show.

Never an id, never a day of the calendar, never a control character, never more than a line: a
message is read aloud, copied into a mail and kept in the ledger.
"""

from __future__ import annotations

import datetime as dt
import re
import unicodedata
from collections.abc import Collection

LONGEST = 40
HIDDEN_ID = "(equals a patient id, not shown)"
HIDDEN_DATE = "(a date, not shown)"

_MONTH = r"(?:jan|feb|mar|apr|may|mai|jun|jul|aug|sep|oct|okt|nov|dec|dez)[a-z]*"
_DAY_OF_CALENDAR = re.compile(
    r"\d{1,4}\s*[-/.]\s*\d{1,2}\s*[-/.]\s*\d{1,4}"  # 2016-03-01, 01/03/16
    rf"|\d{{1,2}}\W{{0,3}}{_MONTH}|\b{_MONTH}\W{{0,3}}\d{{1,4}}"  # 3-Feb, February 3
    r"|\b(?:19|20)\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])"  # 20160301
    r"|\b(?:0[1-9]|[12]\d|3[01])(?:0[1-9]|1[0-2])(?:19|20)\d\d\b",  # 01032016
    re.IGNORECASE,
)


def visible(text: str, ids: Collection[str] = (), *, date: bool = False) -> str:
    """What may be shown of a cell.

    Parameters
    ----------
    text
        The cell.
    ids
        Every id of the study's tables.
    date
        Whether the cell belongs to a date variable: then nothing with a digit is shown, not even
        an Excel serial number.

    Returns
    -------
    At most 41 characters without control characters; a calendar day in ISO form as its month,
    any other as "(a date, not shown)", an id as "(equals a patient
        id, not shown)".
    """
    plain = printable(text)
    if is_id(text, ids) or is_id(plain, ids):
        return HIDDEN_ID
    if looks_like_date(plain) or (date and re.search(r"\d", plain)):
        return _month(plain)
    return plain if len(plain) <= LONGEST else plain[:LONGEST].rstrip() + "…"


def printable(text: str) -> str:
    """Without control, format and line-breaking characters; those become spaces."""
    kept = "".join(c if unicodedata.category(c)[0] not in "CZ" else " " for c in text)
    return " ".join(kept.split())


def looks_like_date(text: str) -> bool:
    """Whether a day of the calendar stands in ``text``."""
    return _DAY_OF_CALENDAR.search(text) is not None


def is_id(text: str, ids: Collection[str]) -> bool:
    """Whether ``text``, or a word of it, is one of ``ids``; 7.0 is the id 7."""
    stripped = text.strip()
    whole = re.sub(r"[.,]0+$", "", stripped)
    return (
        stripped in ids
        or whole in ids
        or any(word in ids for word in re.split(r"[\s,;:()]+", stripped) if len(word) > 3)
    )


def _month(text: str) -> str:
    try:
        return f"{dt.date.fromisoformat(text):%Y-%m}"
    except ValueError:
        return HIDDEN_DATE
