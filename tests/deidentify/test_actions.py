"""The table: whole, and read as the standard writes it."""

from __future__ import annotations

import pytest
from pydicom.datadict import dictionary_VR

from metasight.deidentify.actions import Action, action_of, listed, safe_private, table


def test_the_table_is_whole():
    rows = table()
    assert len(rows) == 655
    assert {r.basic for r in rows.values()} == {
        *("X", "Z", "D", "U", "X/Z", "X/D", "Z/D", "X/Z/D", "X/Z/U*")
    }
    assert all(r.name for r in rows.values())


@pytest.mark.parametrize(
    ("tag", "action"),
    [
        (0x00100010, Action.EMPTY),  # patient's name
        (0x00100030, Action.EMPTY),  # birth date: not among the dates that are shifted
        (0x00080020, Action.SHIFT),
        (0x00181072, Action.SHIFT),  # tracer given, which SUV needs
        (0x00181204, Action.REMOVE),  # the scanner's date of manufacture
        (0x00101030, Action.KEEP),
        (0x0008103E, Action.REMOVE),  # series description
        (0x00181000, Action.DUMMY),  # device serial number
        (0x0020000D, Action.UID),
        (0x60003000, Action.REMOVE),
        (0x60100010, Action.REMOVE),
        (0x50FE3000, Action.REMOVE),
        (0x00280010, None),
    ],
)
def test_of_values(tag, action):
    assert action_of(tag, is_sequence=False) is action


def test_of_sequences():
    assert action_of(0x0040A730, is_sequence=True) is Action.WALK  # content of a report
    assert action_of(0x00082112, is_sequence=True) is Action.WALK  # source images
    assert action_of(0x00400275, is_sequence=True) is Action.REMOVE  # request attributes
    assert action_of(0x00081110, is_sequence=True) is Action.EMPTY


def test_what_is_shifted_is_a_date_or_a_time():
    shifted = [int(r.tag, 16) for r in table().values() if r.modified_dates]
    assert len(shifted) > 100
    assert {dictionary_VR(t) for t in shifted} == {"DA", "TM", "DT", "SH"}  # SH: offset from UTC


def test_private_elements_that_are_kept():
    kept = safe_private()
    assert (0x7053, "Philips PET Private Group", 0x00) in kept
    assert [s.creator for s in kept.values() if s.is_date] == ["GEMS_PETD_01"]
    assert all(g % 2 for g, _, _ in kept)


def test_words():
    assert listed("a b\n a") == {"a", "b"}
