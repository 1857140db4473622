"""Two hospitals find their common patients without showing their lists."""

from __future__ import annotations

from metasight.cohort.overlap import key_from, mark, shared, table_of


def test_both_sides_make_the_same_mark_and_only_with_the_key():
    key = key_from("a study's secret")
    assert mark("0017", key) == mark(" 0017 ", key)
    assert mark("Ab17", key) == mark("aB17", key)
    assert mark("0017", key) != mark("17", key)
    assert mark("0017", key) != mark("0017", key_from("another secret"))
    assert len(mark("0017", key)) == 10


def test_the_key_does_not_tell_the_secret():
    assert "secret" not in key_from("secret")
    assert key_from("a") != key_from("b")


def test_common_patients_alone_are_found():
    key = key_from("x")
    table = table_of((mark(i, key) for i in ("1", "2", "3")), key)
    theirs = {"PA": mark("2", table["key"]), "PB": mark("9", table["key"])}
    assert shared(table, theirs) == ("PA",)
    assert shared({}, theirs) == ()
