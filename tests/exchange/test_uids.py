"""UIDs are valid, the same for the same and others for others."""

from __future__ import annotations

from pydicom.uid import UID

from metasight.exchange.uids import uid_of


def test_a_uid_is_of_its_texts() -> None:
    assert UID(uid_of("a", "b")).is_valid
    assert uid_of("a", "b") == uid_of("a", "b")
    assert len({uid_of("a", "b"), uid_of("ab"), uid_of("b", "a"), uid_of("a", "b", "")}) == 4
