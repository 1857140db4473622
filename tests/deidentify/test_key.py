"""Keys: who may read them, how strong they are, and what derives from them."""

from __future__ import annotations

import os
import re

import pytest

from metasight.deidentify.key import SHIFT_DAYS, Key, make_key_file, read_key_file
from metasight.errors import StudyError


def test_a_new_key_is_random_and_its_owner_s_alone(tmp_path):
    make_key_file(tmp_path / "a")
    make_key_file(tmp_path / "b")
    assert os.stat(tmp_path / "a").st_mode & 0o777 == 0o600
    a, b = (read_key_file(tmp_path / n) for n in "ab")
    assert len(a.secret) == 32
    assert a != b
    with pytest.raises(StudyError, match="cannot be made"):
        make_key_file(tmp_path / "a")


@pytest.mark.parametrize(
    ("text", "mode", "problem"),
    [
        ("5f" * 16, 0o600, "random"),
        ("0123456789abcdef" * 4, 0o600, "random"),
        ("f3a9c2e17b40d586f3a9c2e17b40d5", 0o600, "random"),
        ("a password that is long enough to be guessed", 0o600, "random"),
        ("", 0o600, "random"),
        ("f3a9c2e17b40d586a3c1907e2b4f6d58", 0o640, "others may read"),
        ("f3a9c2e17b40d586a3c1907e2b4f6d58", 0o604, "others may read"),
    ],
)
def test_a_weak_or_open_key_is_refused(text, mode, problem, tmp_path):
    path = tmp_path / "key"
    path.write_text(text)
    path.chmod(mode)
    with pytest.raises(StudyError, match=problem):
        read_key_file(path)


def test_a_key_does_not_lie_in_the_output(tmp_path):
    make_key_file(tmp_path / "out.key")
    (tmp_path / "out").mkdir()
    os.link(tmp_path / "out.key", tmp_path / "out" / "key")
    (tmp_path / "way").symlink_to(tmp_path / "out" / "key")
    for path in (tmp_path / "out" / "key", tmp_path / "way"):
        with pytest.raises(StudyError, match="in the folder of the output"):
            read_key_file(path, outside=tmp_path / "out")
    assert read_key_file(tmp_path / "out.key", outside=tmp_path / "out")


def test_no_key_no_file(tmp_path):
    with pytest.raises(StudyError, match="cannot be read"):
        read_key_file(tmp_path / "none")


def test_what_derives_is_the_key_s_and_the_purpose_s(key):
    other = Key(secret=bytes(range(1, 33)))
    assert key.patient("A1") == key.patient(" A1\u200b") == Key(secret=key.secret).patient("A1")
    assert len({key.patient("A1"), key.patient("A2"), other.patient("A1")}) == 3
    assert key.text("study", "A1") != key.text("series", "A1")
    assert key.uid("1.2.3") not in {other.uid("1.2.3"), key.uid("1.2.4")}
    assert re.fullmatch(r"P[a-z2-7]{16}", key.patient("A1"))
    assert "secret" not in repr(key)


def test_uids_are_uids_and_shifts_are_within_their_bounds(key):
    uids = {key.uid(f"1.2.{i}") for i in range(300)}
    assert len(uids) == 300
    for uid in uids:
        number = int(uid.removeprefix("2.25."))
        assert uid == f"2.25.{number}"
        assert len(uid) <= 64
        assert (number >> 76 & 0xF, number >> 62 & 0x3) == (8, 2)  # RFC 9562, version 8
    days = [key.shift_days(str(i)) for i in range(500)]
    assert -SHIFT_DAYS[1] <= min(days) < -3000
    assert -700 < max(days) <= -SHIFT_DAYS[0]
