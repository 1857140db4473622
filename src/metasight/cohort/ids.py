"""A patient's id as tables spell it, and whether two tables mean the same patients.

Spreadsheets and exports change ids: 0017 becomes 17, 17 becomes 17.0, A17 becomes a17, an accent is
one character or two, a copied cell ends in a character that nobody sees. What cannot be seen is
taken out. What can be seen is never changed: where ids meet only after such a change, that is a
problem with its cause, since 0017 and 17 may be two patients.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from metasight.errors import Problem

_FLOAT = re.compile(r"(?P<whole>\d+)[.,]0+")
_INVISIBLE = ("Cc", "Cf")


def normal_id(text: str) -> str:
    """The id as it is read: composed (NFC), no invisible character, single spaces, none around.

    Two ids that look alike on the screen are the same id.
    """
    composed = unicodedata.normalize("NFC", text)
    seen = "".join(" " if c in "\t\n\r" else c for c in composed if c in "\t\n\r" or _is_visible(c))
    return " ".join(unicodedata.normalize("NFC", seen).split())


def _is_visible(character: str) -> bool:
    # U+115F, U+3164 and their like are letters by category and blank on the screen.
    return (
        unicodedata.category(character) not in _INVISIBLE
        and character not in "\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0"
        and not 0xFE00 <= ord(character) <= 0xFE0F
    )


def loose_id(text: str) -> str:
    """What stays of an id when spreadsheets and typists are allowed for; for hints only."""
    plain = unicodedata.normalize("NFKC", normal_id(text)).casefold()
    whole = _FLOAT.fullmatch(plain)
    plain = whole["whole"] if whole else plain
    plain = re.sub(r"[\s_\-/.]+", "", plain)
    return re.sub(r"(?<!\d)0+(?=\d)", "", plain)


@dataclass(frozen=True, kw_only=True)
class Meeting:
    """How a further table's ids meet those of the patient table.

    Attributes
    ----------
    strangers
        Row numbers whose id is no patient's.
    problems
        One for ids that meet a patient only after a change, one where none meets; row None.
    """

    strangers: tuple[int, ...]
    problems: tuple[Problem, ...]


def meet(
    ids: Mapping[int, str],
    patients: Collection[str],
    *,
    table: str,
    column: str,
    patient_table: str,
) -> Meeting:
    """Compare a table's ids with the patient table's.

    Parameters
    ----------
    ids
        Row number → id; rows without one are not looked at.
    patients
        Ids of the patient table.
    table, column, patient_table
        For messages; no id is shown.
    """
    known = set(patients)
    given = {row: i for row, i in ids.items() if i}
    strangers = [row for row, i in given.items() if i not in known]
    loose: dict[str, str] = {}
    for patient in known:
        loose.setdefault(loose_id(patient), patient)
    nearly = {row: loose[key] for row in strangers if (key := loose_id(given[row])) in loose}
    problems = []
    if nearly:
        causes = sorted({c for row, p in nearly.items() for c in _differences(given[row], p)})
        n = len({given[row] for row in nearly})
        problems.append(
            Problem(
                table=table,
                row=None,
                column=column,
                value=f"{n} {'ids' if n > 1 else 'id'}, first in row {min(nearly)}",
                problem=f"ids meet a patient of {patient_table} only when {' and '.join(causes)} "
                "are ignored",
                accepted=f"ids as in {patient_table}; in Excel, format the column as text before "
                "ids are typed or pasted",
            )
        )
    elif given and len(strangers) == len(given):
        problems.append(
            Problem(
                table=table,
                row=None,
                column=column,
                value="",
                problem=f"no patient of the patient table is in this table (0 of {len(given)} rows "
                f"meet {patient_table})",
                accepted="the same patient ids in both",
            )
        )
    return Meeting(strangers=tuple(strangers), problems=tuple(problems))


def _differences(one: str, other: str) -> list[str]:
    """What has to be ignored to make two ids equal, in words."""
    found = []
    floats = [bool(_FLOAT.fullmatch(i)) for i in (one, other)]
    if floats[0] != floats[1]:
        found.append('a trailing ".0"')
    plain = [
        re.sub(r"[.,]0+$", "", i) if f else i for i, f in zip((one, other), floats, strict=True)
    ]
    if plain[0].casefold() == plain[1].casefold() and plain[0] != plain[1]:
        found.append("capitals")
        return found
    stripped = [re.sub(r"(?<!\d)0+(?=\d)", "", p) for p in plain]
    if stripped[0] != plain[0] or stripped[1] != plain[1]:
        found.append("leading zeros")
    if stripped[0] != stripped[1]:
        found.append(
            "capitals" if stripped[0].casefold() == stripped[1].casefold() else "separators"
        )
    return found


def same_but_for_format(ids: Mapping[int, str]) -> dict[int, int]:
    """Rows of one table whose id equals an earlier row's but for leading zeros or ".0".

    Returns
    -------
    Row number → number of the earlier row. Capitals count here: some registries' ids differ in
    them alone.
    """
    first: dict[str, int] = {}
    found = {}
    for row, text in ids.items():
        if not text:
            continue
        whole = _FLOAT.fullmatch(text)
        key = re.sub(r"(?<!\d)0+(?=\d)", "", whole["whole"] if whole else text)
        other = first.setdefault(key, row)
        if other != row and ids[other] != text:
            found[row] = other
    return found
