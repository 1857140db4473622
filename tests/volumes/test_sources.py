from __future__ import annotations

import os
import zipfile
from pathlib import Path

import numpy as np
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


def scan_zip(file: Path, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    random = np.random.default_rng(3)
    with zipfile.ZipFile(file, "w", method) as archive:
        for k in range(3):
            content = random.integers(0, 40, 300, dtype=np.uint8).tobytes()
            archive.writestr(zipfile.ZipInfo(f"scan/{k}.dcm"), content, method)
    return file.read_bytes()


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED])
def test_no_flipped_bit_of_an_archive_gives_other_files(tmp_path: Path, method: int) -> None:
    """300 flips: each is refused, or what is read is what was packed."""
    file = tmp_path / "scan.zip"
    whole = scan_zip(file, method)
    expected = {i.read().getvalue() for i in items_of(file)}
    random = np.random.default_rng(8)
    refused = 0
    for n in range(300):
        damaged = bytearray(whole)
        damaged[random.integers(len(whole))] ^= 1 << int(random.integers(8))
        other = tmp_path / f"{n}.zip"
        other.write_bytes(bytes(damaged))
        try:
            items = items_of(other)
            read = [i.read().getvalue() for i in items if i.member is not None]
        except VolumeError:
            refused += 1
            continue
        # a file that is no archive any more is one file, which no reader takes for a scan
        assert set(read) <= expected
    assert refused > 150


def test_a_version_that_there_is_not_is_named(tmp_path: Path) -> None:
    file = tmp_path / "scan.zip"
    whole = bytearray(scan_zip(file))
    place = whole.index(b"PK\x01\x02")
    whole[place + 6] = 99  # version needed to extract
    file.write_bytes(bytes(whole))
    with pytest.raises(VolumeError, match="archive"):
        for item in items_of(file):
            item.read()


def test_a_zip_with_a_password_is_told_as_that(tmp_path: Path) -> None:
    file = tmp_path / "scan.zip"
    whole = bytearray(scan_zip(file, zipfile.ZIP_STORED))
    for mark, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        place = whole.index(mark)
        whole[place + offset] |= 1
    file.write_bytes(bytes(whole))
    with pytest.raises(VolumeError, match="cannot be opened") as caught:
        items_of(file)[0].read()
    assert "without a password" in caught.value.remedy


def test_the_directory_of_an_archive_is_read_once(tmp_path: Path, monkeypatch) -> None:
    file = tmp_path / "scan.zip"
    scan_zip(file)
    opened = []
    plain = zipfile.ZipFile.__init__
    monkeypatch.setattr(
        zipfile.ZipFile, "__init__", lambda self, *a, **k: opened.append(1) or plain(self, *a, **k)
    )
    for item in items_of(file):
        item.read()
    assert len(opened) <= 2  # once for the list of its files, once to read them


def test_what_is_no_file_is_named_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(VolumeError, match="neither a file nor a folder"):
        items_of(tmp_path / "pipe")
    with pytest.raises(VolumeError, match="neither a file nor a folder"):
        items_of(Path("/dev/zero"))
    assert [i.path.name for i in _with_file(tmp_path)] == ["a"]  # within a folder it is left out


def _with_file(folder: Path) -> tuple[Item, ...]:
    (folder / "a").write_text("a")
    return items_of(folder)


@pytest.mark.parametrize("name", ["x" * 300, "none"])
def test_a_path_that_is_not_there(tmp_path: Path, name: str) -> None:
    with pytest.raises(VolumeError, match="no such scan"):
        items_of(tmp_path / name)


def test_an_archive_that_unpacks_to_too_much_is_refused(tmp_path):
    with (
        zipfile.ZipFile(tmp_path / "s.zip", "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("1.dcm", "w") as member,
    ):
        for _ in range(120):
            member.write(bytes(1 << 20))
    with pytest.raises(VolumeError, match="unpacks to more than images do"):
        items_of(tmp_path / "s.zip")
