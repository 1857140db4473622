"""A file is read once, and again when it may have changed."""

from __future__ import annotations

import os
import time

import numpy as np
import pytest

from metasight.engine.contents import Contents, Folder
from metasight.errors import StudyError


def aged(path, seconds=60):
    then = path.stat().st_mtime_ns - seconds * 10**9
    os.utime(path, ns=(then, then))


def test_a_file_is_read_once_in_two_runs(tmp_path):
    path = tmp_path / "slice.dcm"
    path.write_bytes(b"x" * 70_000)
    aged(path)
    first = Contents(tmp_path / "memory.json")
    digest = first.file(path)
    assert first.file(path) == digest
    assert first.read_files == 1
    first.save()
    second = Contents(tmp_path / "memory.json")
    assert second.file(path) == digest
    assert second.read_files == 0


def test_every_byte_counts(tmp_path):
    """Version 0.1 sampled 64 pieces: two of fifteen slices of a mask were erased unseen."""
    data = bytearray(np.random.default_rng(0).bytes(6_000_000))
    path = tmp_path / "mask.nii"
    path.write_bytes(data)
    before = Contents().file(path)
    for at in (0, 123_457, 3_000_001, 5_999_999):
        other = data.copy()
        other[at] ^= 1
        path.write_bytes(other)
        assert Contents().file(path) != before


def test_a_changed_file_is_read_again(tmp_path):
    path = tmp_path / "x"
    path.write_text("1")
    aged(path)
    contents = Contents()
    before = contents.file(path)
    path.write_text("2")
    assert contents.file(path) != before


def test_a_file_of_this_very_moment_is_not_remembered(tmp_path):
    """It may change again within the same tick of the clock, and nobody could tell."""
    path = tmp_path / "x"
    path.write_text("1")
    contents = Contents()
    before = contents.file(path)
    now = path.stat().st_mtime_ns
    path.write_text("2")
    os.utime(path, ns=(now, now))
    assert contents.file(path) != before


def test_a_folder_counts_by_content_in_the_order_of_names(tmp_path):
    for place, names in (("a", "123"), ("b", "456")):
        (tmp_path / place).mkdir()
        for k, name in enumerate(names):
            (tmp_path / place / name).write_text(f"slice {k}")
    contents = Contents()
    assert contents.of(tmp_path / "a") == contents.of(tmp_path / "b")
    (tmp_path / "b" / "5").write_text("another")
    assert contents.of(tmp_path / "a") != contents.of(tmp_path / "b")


def test_a_link_to_a_folder_is_followed_once(tmp_path):
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "x").write_text("1")
    (tmp_path / "scan").mkdir()
    (tmp_path / "scan" / "link").symlink_to(tmp_path / "there")
    (tmp_path / "there" / "back").symlink_to(tmp_path / "scan")
    before = Contents().of(tmp_path / "scan")
    (tmp_path / "there" / "x").write_text("2")
    assert Contents().of(tmp_path / "scan") != before


def test_a_slide_with_a_folder_beside_counts_with_it(tmp_path):
    (tmp_path / "s.mrxs").write_text("index")
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / "Data0000.dat").write_text("pixels")
    before = Contents().of(tmp_path / "s.mrxs")
    (tmp_path / "s" / "Data0000.dat").write_text("other pixels")
    assert Contents().of(tmp_path / "s.mrxs") != before


def test_what_cannot_be_read_is_told_by_its_kind_of_error(tmp_path):
    assert Contents().file(tmp_path / "nothing") == "FileNotFoundError"


def test_no_path_is_kept(tmp_path):
    path = tmp_path / "SMITH^JOHN.svs"
    path.write_text("1")
    aged(path)
    contents = Contents(tmp_path / "memory.json")
    contents.file(path)
    contents.save()
    assert "SMITH" not in (tmp_path / "memory.json").read_text()


def test_a_spoilt_memory_is_not_believed(tmp_path):
    path = tmp_path / "x"
    path.write_text("1")
    for text in ("{", "[]", '{"format": 0, "files": {}}', '{"format": 1, "files": {"a": 1}}'):
        (tmp_path / "memory.json").write_text(text)
        assert Contents(tmp_path / "memory.json").file(path) == Contents().file(path)


def test_a_table_that_is_not_there_is_named(tmp_path):
    with pytest.raises(StudyError, match=r"study.toml: patients.csv: there is no such file"):
        Contents().of_folder(Folder(root=tmp_path, files=("patients.csv",)))


def test_many_small_files_are_looked_up_quickly(tmp_path):
    """A cohort has tens of thousands of slices; a plan may not read them again."""
    for k in range(2000):
        (tmp_path / f"{k}").write_bytes(b"x" * 1000)
        aged(tmp_path / f"{k}")
    contents = Contents()
    contents.of(tmp_path)
    begun = time.process_time()
    contents.of(tmp_path)
    assert contents.read_files == 2000
    assert time.process_time() - begun < 2


def test_a_path_that_no_system_can_hold_is_the_steps_to_refuse(tmp_path):
    """A name of 300 characters: one bad row of a table does not stop the planning of the others."""
    too_long = tmp_path / ("x" * 300)
    assert Contents().file(too_long) == "OSError"
    assert Contents().of(too_long) == Contents().of(tmp_path / ("y" * 300))
    with pytest.raises(StudyError, match="no such file"):
        Contents().of_folder(Folder(root=tmp_path, files=("x" * 300,)))
