"""The file that says what columns are."""

from __future__ import annotations

import pytest

from metasight.deidentify.flags import read_flags
from metasight.errors import StudyError

GOOD = """
[[table]]
file = "Kanarius.xlsx"
name = "patients"
patient = "mrn"
sheet = "Blatt 1"
[table.columns]
surname = "drop"
operated = "date"
"""


def test_a_good_one(tmp_path):
    path = tmp_path / "flags.toml"
    path.write_text(GOOD)
    (flags,) = read_flags(path)
    assert flags.columns == {"surname": "drop", "operated": "date"}
    assert (flags.settings.id, flags.settings.sheet) == ("mrn", "Blatt 1")


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ('"drop"', '"maybe"', "as they must be"),
        ('name = "patients"', 'name = "../up"', "as they must be"),
        ('patient = "mrn"', "", "as they must be"),
        ("[[table]]", "[[tables]]", "as they must be"),
        ('file = "K', 'file = "../K', "outside of the source"),
        ('file = "K', 'file = "/K', "outside of the source"),
        ("[[table]]", "[[table", "cannot be read"),
        (GOOD, GOOD + GOOD, "two tables have one name"),
        (GOOD, GOOD + GOOD.replace("patients", "others"), "two tables have one file"),
    ],
)
def test_a_bad_one(old, new, problem, tmp_path):
    path = tmp_path / "flags.toml"
    path.write_text(GOOD.replace(old, new))
    with pytest.raises(StudyError, match=problem):
        read_flags(path)
    with pytest.raises(StudyError, match="cannot be read"):
        read_flags(tmp_path / "none")
