"""The table of slides: markers by the protocol's names, whatever the table calls them."""

from __future__ import annotations

from pathlib import Path

import pytest

from metasight.cohort.settings import CohortSettings
from metasight.cohort.slide_table import read_slide_table
from metasight.errors import TableError
from metasight.protocol.load import read_protocol

MARKERS = read_protocol("breast-dmfs").marker


def settings() -> CohortSettings:
    return CohortSettings.model_validate(
        {
            "salt": "a salt for tests",
            "patients": {"path": "patients.csv", "id": "id"},
            "columns": {},
            "slides": {"path": "slides.csv", "id": "patient"},
        }
    )


def write(folder: Path, *rows: str) -> None:
    (folder / "slides.csv").write_text("\n".join(["patient,file,stain,markers", *rows]) + "\n")


def test_spellings_become_the_protocols_names_and_others_stay(tmp_path: Path) -> None:
    write(tmp_path, "A,a.tif,fluorescence,panCK; cd3 (Opal 520) ;L26;Ki-67", "A,b.svs,H&E,")
    first, second = read_slide_table(tmp_path, settings(), MARKERS)
    assert first.markers == ("Pan-CK", "CD3", "CD20", "Ki-67")
    assert second.markers == ()
    # without a protocol's markers the table's own names stay
    assert read_slide_table(tmp_path, settings(), ())[0].markers[0] == "panCK"


def test_one_marker_under_two_spellings_is_named_twice(tmp_path: Path) -> None:
    write(tmp_path, "A,a.tif,fluorescence,PanCK;AE1/AE3")
    with pytest.raises(TableError, match="a marker is named twice"):
        read_slide_table(tmp_path, settings(), MARKERS)


def test_names_hold_no_file_and_count_within_a_patient_and_stain(tmp_path: Path) -> None:
    write(
        tmp_path,
        "Smith,smith.svs,H&E,",
        "Smith,s2.svs,IHC,CD3",
        "Smith,s3.svs,H&E,",
        "B,b.svs,H&E,",
    )
    rows = read_slide_table(tmp_path, settings(), MARKERS)
    endings = [r.name.removeprefix(f"{r.patient}-") for r in rows]
    assert endings == ["HE-1", "IHC-1", "HE-2", "HE-1"]
    assert not any("mith" in r.name for r in rows)
    assert [r.row for r in rows] == [2, 3, 4, 5]


def test_a_row_without_a_file_is_no_slide_and_no_table_of_slides_has_none(tmp_path: Path) -> None:
    write(tmp_path, "A,,H&E,")
    assert read_slide_table(tmp_path, settings(), MARKERS) == ()
    none = settings().model_copy(update={"slides": None})
    assert read_slide_table(tmp_path, none, MARKERS) == ()
