"""Patients who are in two cohorts, found without showing either list.

Each side hashes its patients' own identifiers with a key that the bundle carries, by a function
made slow on purpose (scrypt), and only the hashes are compared. Whoever has the bundle can test
whether a given identifier was among the training patients, at some hundredths of a second a try;
that is what finding an overlap means. Nothing else follows from a hash, which is cut to 40 bits.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

_COST, _BLOCK, _PARALLEL = 2**12, 8, 1
_BYTES = 5
METHOD = "scrypt-4096-8-1-40bit"


def key_from(secret: str) -> str:
    """A key for others to hash with, from a secret that stays here."""
    return hashlib.sha256(f"metasight overlap\x1f{secret}".encode()).hexdigest()[:32]


def mark(identifier: str, key: str) -> str:
    """Keyed hash of one patient's own identifier, letter case and outer spaces left out."""
    text = identifier.strip().casefold().encode()
    digest = hashlib.scrypt(
        text, salt=bytes.fromhex(key), n=_COST, r=_BLOCK, p=_PARALLEL, dklen=_BYTES
    )
    return digest.hex()


def table_of(marks: Iterable[str], key: str) -> dict[str, Any]:
    """What a bundle carries: sorted, so that no order tells a patient from another."""
    return {"method": METHOD, "key": key, "marks": sorted(marks)}


def shared(overlap: Mapping[str, Any], marks: Mapping[str, str]) -> tuple[str, ...]:
    """Pseudonyms of patients whose mark is among a bundle's.

    Parameters
    ----------
    overlap
        Of the bundle.
    marks
        Pseudonym → mark made with the bundle's key.
    """
    known = set(overlap.get("marks", ()))
    return tuple(p for p, m in marks.items() if m in known)
