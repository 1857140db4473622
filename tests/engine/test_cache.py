"""A file that must not be lost is there whole, or as it was."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from metasight.engine.cache import write_durably


def test_a_durable_write_replaces_whole_with_the_mode_that_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "record"
    write_durably(path, b"first", mode=0o600)
    assert (path.read_bytes(), path.stat().st_mode & 0o777) == (b"first", 0o600)

    def full(_: int) -> None:
        raise OSError("no space left on the device")

    with monkeypatch.context() as patch, pytest.raises(OSError, match="no space"):
        patch.setattr(os, "fsync", full)
        write_durably(path, b"second", mode=0o600)
    assert path.read_bytes() == b"first"
