"""Keys that can be guessed, and random ones that are never taken for such."""

from __future__ import annotations

import hashlib

import pytest

from metasight.secret_key import is_guessable


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
