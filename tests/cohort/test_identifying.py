"""Ids of every table, and names and birth dates where a column is called so."""

from __future__ import annotations

from pathlib import Path

import pytest

from conftest import BREAST, breast_table
from metasight.cohort.identifying import Named, identifying_texts
from metasight.cohort.joined import named_rows
from metasight.cohort.settings import CohortSettings
from metasight.study.file import read_study


@pytest.fixture
def study(tmp_path: Path) -> Path:
    (tmp_path / "patients.csv").write_text(
        "MRN,Last name,firstName,born,dateOfBirth,hospital name,surname,age\n"
        "A-1,Kanarius-Specht,Jo,3.2.1952,19520203,Finkenstein,Meise,70\n"
        "A-2,,Li,unknown,,Finkenstein,Meise,60\n"
    )
    (tmp_path / "more.csv").write_text("id,insurance no,x\nA-1,K123456,1\nB-7,,2\n")
    return tmp_path


def test_texts_by_what_they_are(study: Path) -> None:
    settings = CohortSettings.model_validate(
        {
            "key": "ab12" * 16,
            "patients": {"path": "patients.csv", "id": "MRN"},
            "tables": {"more": {"path": "more.csv", "id": "id"}},
            "columns": {"centre": "surname", "age_years": "age"},
        }
    )
    found = identifying_texts(study, settings)
    by_kind = {k: {t for t, kind in found.items() if kind is k} for k in Named}
    assert by_kind[Named.ID] == {"A-1", "A-2", "B-7", "K123456"}
    # a column that the study reads as a value is none of names: it will be published
    assert by_kind[Named.NAME] == {"Kanarius-Specht", "Kanarius", "Specht"}
    assert by_kind[Named.BIRTH] == {"1952-02-03", "19520203", "03.02.1952"}


def test_a_table_that_is_not_there_and_numbers_of_rows_are_passed_over(study: Path) -> None:
    settings = CohortSettings.model_validate(
        {
            "key": "ab12" * 16,
            "patients": {"path": "patients.csv", "id": "row", "ids": "row"},
            "tables": {"more": {"path": "gone.csv", "id": "id"}},
            "columns": {},
        }
    )
    found = identifying_texts(study, settings)
    # a row's number is no id
    assert {t for t, kind in found.items() if kind is Named.ID} == {"A-1", "A-2"}


def test_a_table_that_waits_for_its_first_row_names_nobody(tmp_path: Path) -> None:
    folder = tmp_path
    breast_table(20).to_csv(folder / "patients.csv", index=False)
    asked = '\n[reader_decisions]\npath = "reader_decisions.csv"\nid = "id"\n'
    (folder / "study.toml").write_text(BREAST + asked, "utf-8")
    (folder / "reader_decisions.csv").write_text("id,file,about,verdict\n")
    study = read_study(folder)
    assert len(list(named_rows(folder, study.settings))) == 20
    assert identifying_texts(folder, study.settings)
