"""Coded entries: the code stays, its meaning is said in the standard's words or not at all.

A code's meaning is free text for whoever writes the file; only the code counts.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Any

from pydicom.dataset import Dataset
from pydicom.sr._concepts_dict import concepts

from metasight.deidentify.actions import listed

KEYWORDS = frozenset(("CodeValue", "LongCodeValue", "URNCodeValue", "CodeMeaning"))
SCHEMES = listed("DCM SCT SRT SNM3 99SDM LN UCUM RADLEX FMA NCIt IBSI MTHU UMLS I10 ICDO3")
"""Public coding schemes; a code of another one may be the hospital's own number for anything."""
NOT_KEPT = "meaning not kept"
_VALUE = re.compile(r"[A-Za-z0-9.\-_\[\]{}/^%*'() +]{1,64}")


@cache
def _meanings() -> dict[tuple[str, str], str]:
    found: dict[tuple[str, str], str] = {}
    by_scheme: dict[str, Any] = concepts
    for scheme, by_keyword in by_scheme.items():
        for codes in by_keyword.values():
            for value, (meaning, *_) in codes.items():
                found[scheme, value] = meaning
    return found


def reword(item: Dataset) -> None:
    """Replace the meaning of a code, and the code too where its scheme is not a public one.

    Parameters
    ----------
    item
        A data set made anew; it is changed where it holds a code.
    """
    scheme = str(item.get("CodingSchemeDesignator") or "")
    known = scheme in SCHEMES
    if not known and scheme:
        item.CodingSchemeDesignator = "99NOTKEPT"
    meaning = NOT_KEPT
    for keyword, instead in (
        ("CodeValue", "NOTKEPT"),
        ("LongCodeValue", NOT_KEPT),
        ("URNCodeValue", NOT_KEPT),
    ):
        if keyword not in item:
            continue
        value = str(item[keyword].value or "")
        if not known or not _VALUE.fullmatch(value):
            item[keyword].value = instead
        elif scheme == "UCUM":
            meaning = value
        else:
            meaning = _meanings().get((scheme, value), NOT_KEPT)
    if "CodeMeaning" in item:
        item.CodeMeaning = meaning[:64]
