"""Columns of which nobody said what they are, and that look as if they named somebody.

Nothing here proves that a column is harmless: it refuses what it can, and whoever knows better says
so in the flags.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

from metasight.deidentify.actions import listed

_SHORTEST_ENDING = 3
_WORDS = listed(
    "id ids mrn ssn nr no number name names surname forename firstname lastname vorname nachname "
    "initials birth born dob birthday birthdate geburt geburtsdatum geburtstag address adresse "
    "street strasse city ort zip plz postcode phone telephone telefon tel fax mail email insurance "
    "versicherung physician doctor arzt surgeon referrer accession case fall fallnummer date datum "
    "remark remarks comment comments note notes bemerkung bemerkungen befund anamnese report text "
    "barcode serial device url link path file"
)
_DATE = re.compile(
    r"\d{4}[-/.]\d{1,2}[-/.]\d{1,2}([T ].*)?|\d{1,2}[-/.]\d{1,2}[-/.](\d{4}|\d{2})([T ].*)?|"
    r"(18|19|20|21)\d{2}(0[1-9]|1[0-2])([0-2]\d|3[01])|"
    r"\d{1,2}\.?[ -]?[A-Za-zäÄ]{3,9}\.?[ -]?\d{2,4}|[A-Za-z]{3,9} \d{1,2},? \d{4}"
)
_NUMBER = re.compile(r"[-+]?\d+(?:[.,]\d+)?(?:[eE][-+]?\d+)?%?")
_LONG_NUMBER = re.compile(r"\d{6,}")
_CODE_OF_ONE = re.compile(r"(?=.*[A-Za-z])(?=(?:.*\d){4}).{5,}")
_CONTACT = re.compile(r".*@.+\..+|https?://.*|\+?[\d ()/-]{9,}")
_ENDINGS = tuple(w for w in sorted(_WORDS) if len(w) > _SHORTEST_ENDING)
_LONGEST_CATEGORY = 40
_MOST_WORDS = 3
_FEW_ROWS = 5
_MOST_DISTINCT = 0.5


def suspicion(column: str, cells: Sequence[str], ids: Collection[str]) -> str:
    """What a column looks like that must not be passed on; empty where it looks harmless.

    Parameters
    ----------
    column
        Its name.
    cells
        Of every row; an empty cell is "".
    ids
        Of the table's patients.
    """
    words = set(re.findall(r"[^\W\d_]+", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", column).casefold()))
    if words & _WORDS or any(w.endswith(_ENDINGS) for w in words):
        return "its name says that it may identify somebody"
    filled = [c.strip() for c in cells if c.strip()]
    if any(_DATE.fullmatch(c) for c in filled):
        return "dates"
    if any(c in ids for c in filled if not _NUMBER.fullmatch(c) or len(c) > _FEW_ROWS):
        return "ids of patients"
    if any(_CONTACT.fullmatch(c) and not _NUMBER.fullmatch(c) for c in filled):
        return "addresses or telephone numbers"
    if any(_LONG_NUMBER.fullmatch(c) for c in filled):
        return "numbers of six digits or more, which may be ids"
    texts = [c for c in filled if not _NUMBER.fullmatch(c)]
    if any(_CODE_OF_ONE.fullmatch(c) for c in texts):
        return "codes of one person or thing"
    if any(len(c) > _LONGEST_CATEGORY or len(c.split()) > _MOST_WORDS for c in texts):
        return "free text"
    distinct = len(set(texts))
    if texts and (
        distinct == len(texts)
        or (len(texts) >= _FEW_ROWS and distinct > _MOST_DISTINCT * len(texts))
    ):
        return "names, or texts that differ from row to row"
    return ""
