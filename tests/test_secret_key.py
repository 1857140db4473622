"""Keys that can be guessed, and random ones that are never taken for such."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from metasight.secret_key import is_guessable, write_new_key


@pytest.mark.parametrize("n", [16, 32])
def test_no_random_key_is_taken_for_a_weak_one(n: int) -> None:
    keys = (hashlib.sha256(str(i).encode()).digest()[:n] for i in range(5000))
    assert not any(is_guessable(key) for key in keys)


@pytest.mark.parametrize(
    "key",
    [
        bytes(32),
        bytes(range(32)),
        bytes(range(0, 256, 8)),
        bytes.fromhex("5f" * 16),
        bytes.fromhex("0123456789abcdef" * 4),
        b"a password long enough",
        b"12345678901234567890123456789012",
    ],
)
def test_patterns_and_typed_texts_are(key: bytes) -> None:
    assert is_guessable(key)


def test_a_new_key_is_its_owners_alone_and_overwrites_nothing(tmp_path: Path) -> None:
    write_new_key(tmp_path / "key")
    assert (tmp_path / "key").stat().st_mode & 0o777 == 0o600
    assert not is_guessable(bytes.fromhex((tmp_path / "key").read_text().strip()))
    with pytest.raises(FileExistsError):
        write_new_key(tmp_path / "key")
