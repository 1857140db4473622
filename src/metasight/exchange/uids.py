"""UIDs of what is exported: the same export has the same ones.

A UID is made of a SHA-256 hash (root 2.25, the arc of UUIDs): no server is asked for a number, and
the pseudonym is not to be read in it.
"""

from __future__ import annotations

import hashlib

from metasight.provenance import canonical_json


def uid_of(*parts: str) -> str:
    """A UID of some texts: another text, another UID.

    Parameters
    ----------
    parts
        What the object is of, for example the images, what is exported and when.
    """
    digest = hashlib.sha256(canonical_json(list(parts)).encode()).digest()
    return f"2.25.{int.from_bytes(digest[:16], 'big')}"
