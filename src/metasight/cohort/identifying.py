"""What in a study's tables names its patients: what nothing that a study writes may hold."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path

from metasight.cohort.joined import named_tables
from metasight.cohort.settings import CohortSettings

_SHORTEST_NAME = 4
_NAMES = frozenset(
    (
        *("surname", "forename", "firstname", "lastname", "givenname", "familyname"),
        *("vorname", "nachname", "patientname", "patientenname"),
    )
)
_BIRTHS = frozenset(
    ("birth", "birthday", "birthdate", "born", "dob", "geburt", "geburtsdatum", "geburtstag")
)
_NUMBERS = frozenset(("mrn", "ssn", "nhs", "insurance", "versicherungsnummer"))
_DATE = re.compile(
    r"(?P<y>\d{4})[-/.]?(?P<m>\d{2})[-/.]?(?P<d>\d{2})(?:[T ].*)?"
    r"|(?P<d2>\d{1,2})[./](?P<m2>\d{1,2})[./](?P<y2>\d{4})"
)


class Named(StrEnum):
    """What a text is of a patient."""

    ID = "the id of a patient"
    NAME = "the name of a patient"
    BIRTH = "the birth date of a patient"


def identifying_texts(folder: Path, settings: CohortSettings) -> dict[str, Named]:
    """Every id of every table that names patients, and names and birth dates beside them.

    Ids are those of the tables' id columns and of columns called so (MRN, insurance number). Names
    and birth dates are taken from columns that are called so and that the study does not read as a
    value; a column that is called otherwise is not known to hold any.

    Parameters
    ----------
    folder, settings
        Of the study; tables that are not there are passed over.

    Returns
    -------
    Text → what it is. Birth dates in the three ways that people and programs write them. Never to
    be printed.

    Raises
    ------
    StudyError
        A table cannot be read.
    """
    found: dict[str, Named] = {}
    used = {c for name in (None, *settings.tables) for c in settings.columns_of(name)}
    for table, cells in named_tables(folder, settings):
        if table.ids != "row":
            found |= dict.fromkeys(_filled(cells[table.id]), Named.ID)
        for column in set(cells.columns) - {table.id}:
            words = _words(str(column))
            texts = _filled(cells[column])
            if words & _BIRTHS:
                found |= dict.fromkeys((d for t in texts for d in _dates(t)), Named.BIRTH)
            elif column in used:
                continue
            elif words & _NUMBERS:
                found |= dict.fromkeys(texts, Named.ID)
            elif words & _NAMES or words == {"name"}:
                for text in texts:
                    parts = re.findall(r"[^\W\d_]+", text)
                    names = (p for p in (text, *parts) if len(p) >= _SHORTEST_NAME)
                    found |= {n: Named.NAME for n in names if n not in found}
    return found


def _filled(cells: Iterable[object]) -> list[str]:
    return [text for c in cells if (text := str(c).strip())]


def _words(column: str) -> set[str]:
    """Words of a column's name, and neighbours together: ``First name`` is ``firstname``."""
    apart = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", column).casefold()
    words = re.findall(r"[^\W\d_]+", apart)
    return {*words, *(a + b for a, b in itertools.pairwise(words))}


def _dates(text: str) -> list[str]:
    found = _DATE.fullmatch(text)
    if found is None:
        return []
    year = found["y"] or found["y2"]
    month, day = int(found["m"] or found["m2"]), int(found["d"] or found["d2"])
    return [
        f"{year}-{month:02d}-{day:02d}",
        f"{year}{month:02d}{day:02d}",
        f"{day:02d}.{month:02d}.{year}",
    ]
