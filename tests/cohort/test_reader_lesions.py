"""Lesions that readers accepted: the last of a patient counts; every bad row is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from metasight.cohort.canonical import pseudonym
from metasight.cohort.joined import named_rows
from metasight.cohort.reader_lesions import read_reader_lesions
from metasight.cohort.settings import CohortSettings
from metasight.errors import TableError

HEADER = "case,mask,replaces,reader,day,reason\n"
GOOD = "1,masks/a.nrrd,,AB,2026-03-01,the vessel was left out\n"


def settings_of(folder: Path, rows: str, **more: object) -> CohortSettings:
    (folder / "patients.csv").write_text("case,age\n1,60\n2,61\n")
    (folder / "l.csv").write_text(HEADER + rows)
    return CohortSettings(
        key="0123456789",
        patients={"path": "patients.csv", "id": "case"},
        reader_lesions={"path": "l.csv", "id": "case"},
        columns={"age_years": "age"},
        **more,
    )


def test_the_last_row_counts(tmp_path: Path) -> None:
    later = GOOD.replace("a.nrrd", "b.nii.gz").replace("AB", "CD")
    settings = settings_of(tmp_path, GOOD + later)
    ((patient, found),) = read_reader_lesions(tmp_path, settings).items()
    assert patient == pseudonym("1", settings.key)
    assert found.path == tmp_path / "masks" / "b.nii.gz" and found.reader == "CD"
    assert [r.id for r in named_rows(tmp_path, settings) if r.table == "l.csv"] == ["1", "1"]


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (GOOD.replace("1,", ",", 1), "no patient id"),
        (GOOD.replace("1,", "9,", 1), "no such patient"),
        (GOOD.replace("masks/a.nrrd", "/tmp/a.nrrd"), "no label map"),
        (GOOD.replace("masks/a.nrrd", "../a.nrrd"), "no label map"),
        (GOOD.replace("a.nrrd", "a.png"), "no label map"),
        (GOOD.replace("AB", ""), "nobody is named"),
        (GOOD.replace("2026-03-01", "1 March"), "not a day"),
        (GOOD.replace("the vessel was left out", "ok"), "no reason"),
        (GOOD.replace("the vessel", "on 2026-03-01 the vessel"), "a date"),
    ],
)
def test_a_bad_row_is_named(tmp_path: Path, row: str, said: str) -> None:
    with pytest.raises(TableError, match=said) as stopped:
        read_reader_lesions(tmp_path, settings_of(tmp_path, row))
    assert "row 2" in str(stopped.value)


def test_nothing_yet(tmp_path: Path) -> None:
    assert read_reader_lesions(tmp_path, settings_of(tmp_path, "")) == {}
    without = settings_of(tmp_path, GOOD).model_copy(update={"reader_lesions": None})
    assert read_reader_lesions(tmp_path, without) == {}


def test_a_column_is_missing(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, GOOD)
    (tmp_path / "l.csv").write_text("case,mask\n1,a.nrrd\n")
    with pytest.raises(TableError, match="reader"):
        read_reader_lesions(tmp_path, settings)
