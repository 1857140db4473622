"""Patients who are in two cohorts, found without showing either list.

Each side hashes what identifies its patients with a key that the bundle carries, by a function
made slow on purpose (scrypt), and only the hashes are compared. Whoever has the bundle can test
whether a given patient, whose identifier and day of time zero he knows, was among the training
patients, at some hundredths of a second a try; that is what finding an overlap means. Nothing else
follows from a hash, which is cut to 40 bits.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

COST, _BLOCK, _PARALLEL = 2**12, 8, 1
_BYTES = 5
METHOD = "scrypt-4096-8-1-40bit"


def key_from(secret: str) -> str:
    """A key for others to hash with, from a secret that stays here."""
    return hashlib.sha256(f"metasight overlap\x1f{secret}".encode()).hexdigest()[:32]


def marks_of(identifier: str, day: str, values: Sequence[str], key: str) -> tuple[str, ...]:
    """Marks of one patient.

    Numbers such as 17 are given by every hospital: an identifier counts together with the day of
    time zero, or with the predictors where the day is not known. The day with the predictors makes
    a second mark, by which a record is found that was exported under another identifier.

    Parameters
    ----------
    identifier
        The hospital's own.
    day
        Of time zero, as YYYY-MM-DD; empty where it is not known.
    values
        The clinical predictors, as text.
    key
        Of the bundle.
    """
    record = "\x1f".join(values)
    told = [f"{identifier.strip().casefold()}\x1e{day or record}"]
    if day and any(values):
        told.append(f"{day}\x1e{record}")
    return tuple(mark(text, key) for text in told)


def mark(text: str, key: str) -> str:
    """Keyed hash of a text."""
    digest = hashlib.scrypt(
        text.encode(), salt=bytes.fromhex(key), n=COST, r=_BLOCK, p=_PARALLEL, dklen=_BYTES
    )
    return digest.hex()


def table_of(marks: Iterable[str], key: str) -> dict[str, Any]:
    """What a bundle carries: sorted, so that no order tells a patient from another."""
    return {"method": METHOD, "key": key, "marks": sorted(marks)}


def shared(overlap: Mapping[str, Any], marks: Mapping[str, Iterable[str]]) -> tuple[str, ...]:
    """Pseudonyms of patients of whom a mark is among a bundle's.

    Parameters
    ----------
    overlap
        Of the bundle.
    marks
        Pseudonym → marks made with the bundle's key.
    """
    known = set(overlap.get("marks", ()))
    return tuple(p for p, own in marks.items() if known & set(own))
