"""A key that every test derives from."""

from __future__ import annotations

import pytest

from metasight.deidentify.key import Key


@pytest.fixture(scope="session")
def key() -> Key:
    return Key(secret=bytes(range(32)))
