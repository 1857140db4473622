from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from metasight.errors import VolumeError
from metasight.volumes.sources import Item, items_of


def test_files_are_numbered_in_sorted_order_and_hidden_ones_left_out(tmp_path: Path) -> None:
    for name in ("b/2", "b/1", "a", ".hidden", "c/.DS_Store"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    items = items_of(tmp_path)
    assert [i.path.relative_to(tmp_path).as_posix() for i in items] == ["a", "b/1", "b/2"]
    assert [str(i) for i in items] == ["file 1", "file 2", "file 3"]


def test_an_archive_s_members(tmp_path: Path) -> None:
    file = tmp_path / "scan.zip"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("x/2.dcm", "two")
        archive.writestr("x/1.dcm", "one")
        archive.writestr("__MACOSX/x/1.dcm", "junk")
    items = items_of(file)
    assert [i.read().read() for i in items] == [b"one", b"two"]


def test_a_file_that_claims_too_much_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("a")
    item = Item(number=1, path=tmp_path / "a", member=None, n_bytes=10**11)
    with pytest.raises(VolumeError, match="longer than any scan"):
        item.read()
