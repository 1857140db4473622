"""A file that says that more comes than there is costs no memory."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import pytest

from metasight.bounded import open_bounded


def test_reads_what_is_there_and_sets_no_more_aside(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(bytes(range(256)) * 8)
    tracemalloc.start()
    with open_bounded(path) as file:
        assert file.read(4) == bytes(range(4))
        assert len(file.read(2**32 - 2)) == 2044
        assert file.read(2**32 - 2) == b""
        file.seek(8)
        assert file.read(None) == file.seek(8) * b"" + path.read_bytes()[8:]
        assert file.name == path
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 2**20


def test_a_missing_file_is_said_as_by_open(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        open_bounded(tmp_path / "none")
