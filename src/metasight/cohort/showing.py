"""What of a table's cell a message or the ledger may show.

Never an id, never a day of the calendar, never a control character, never more than a line: a
message is read aloud, copied into a mail and kept in the ledger. A text is shown where it can be
nobody's name: a number with its unit, a word that is nearly one of those expected, a text that
several rows hold. Any other, of a column that has slipped or a remark in it, is told by its row.
"""

from __future__ import annotations

import datetime as dt
import difflib
import re
import unicodedata
from collections.abc import Collection

LONGEST = 40
HIDDEN_ID = "(equals a patient id, not shown)"
HIDDEN_DATE = "(a date, not shown)"
HIDDEN_TEXT = "(a text, not shown)"

_UNITS = r"mm|cm|m|µm|um|years?|y|yrs?|a|days?|d|months?|mo|weeks?|w|%|kg|g|mg|ml|mmhg|bq|mbq"
_NUMBER = re.compile(
    r"[<>≤≥=~±+\-]{0,2}\s*\d{1,9}([.,:/\-]\d{1,9}){0,3}(e[+\-]?\d+)?"  # ≤ 12,5; 1/2; 1e5
    rf"\s*({_UNITS})?[.+]?"  # 12 mm; 3+
    r"|[a-z]{0,2}\d{1,3}[a-z+]{0,3}|[ivx]{1,4}[abc]?",  # pT2, T1mi, G3; IIIa
    re.IGNORECASE,
)
_WORDS = (
    *("yes", "no", "true", "false", "unknown", "positive", "negative", "none", "missing"),
    *("n/a", "na", "nan", "null", "nil", "error", "#n/a", "#value!", "#ref!", "#div/0!"),
)
_NEARLY = 0.7

_MONTH = r"(?:jan|feb|mar|apr|may|mai|jun|jul|aug|sep|oct|okt|nov|dec|dez)[a-z]*"
_DAY_OF_CALENDAR = re.compile(
    r"\d{1,4}\s*[-/.]\s*\d{1,2}\s*[-/.]\s*\d{1,4}"  # 2016-03-01, 01/03/16
    rf"|\d{{1,2}}\W{{0,3}}{_MONTH}|\b{_MONTH}\W{{0,3}}\d{{1,4}}"  # 3-Feb, February 3
    r"|\b(?:19|20)\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])"  # 20160301
    r"|\b(?:0[1-9]|[12]\d|3[01])(?:0[1-9]|1[0-2])(?:19|20)\d\d\b",  # 01032016
    re.IGNORECASE,
)


def visible(
    text: str,
    ids: Collection[str] = (),
    *,
    date: bool = False,
    expected: Collection[str] = (),
    repeated: bool = False,
) -> str:
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
    if not (repeated or not plain or _is_nobodys(plain, expected)):
        return HIDDEN_TEXT
    return plain if len(plain) <= LONGEST else plain[:LONGEST].rstrip() + "…"


def _is_nobodys(text: str, expected: Collection[str]) -> bool:
    """Whether a text is a number, or nearly a word that was expected."""
    known = [*_WORDS, *(e.casefold() for e in expected)]
    close = difflib.get_close_matches(text.casefold(), known, n=1, cutoff=_NEARLY)
    return bool(close) or _NUMBER.fullmatch(text) is not None


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
