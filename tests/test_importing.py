"""A study archived as a crate, taken in elsewhere and run again, gives the same bytes."""

from __future__ import annotations

import datetime as dt
import shutil
from pathlib import Path

import pytest

from metasight import exporting, importing
from metasight.engine.progress import Silent
from metasight.errors import StudyError
from metasight.exchange.forms import Form
from metasight.study.file import read_study

MADE = dt.datetime(2026, 11, 30, 10, 0, tzinfo=dt.UTC)


def exported(folder: Path, out: Path, *, with_inputs: bool) -> Path:
    request = exporting.Request(
        forms=(Form.CRATE,), made=MADE, licence="CC-BY-4.0", with_inputs=with_inputs
    )
    exporting.export(read_study(folder), out, request)
    return out / exporting.CRATE


@pytest.fixture(scope="module")
def crate(exchange_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return exported(exchange_folder, tmp_path_factory.mktemp("crate") / "out", with_inputs=True)


def test_it_gives_the_same_bytes_elsewhere(
    crate: Path, exchange_folder: Path, tmp_path: Path
) -> None:
    run, archived = importing.take_in(crate, tmp_path / "study")
    # the key goes another way than the crate
    shutil.copytree(exchange_folder.with_name("study.vault"), tmp_path / "study.vault")
    found = importing.run_again(
        tmp_path / "study", run, archived, scheduler="inline", progress=Silent()
    )
    assert found.predictions_agree
    assert found.run == found.archived_run
    assert found.other == ()
    assert {"report.html", "report.pdf", "bundle.zip", "ledger.parquet"} <= set(found.same)


def test_the_key_is_not_in_it(crate: Path, exchange_folder: Path) -> None:
    key = (exchange_folder.with_name("study.vault") / "key").read_text().strip().encode()
    assert not [p for p in crate.rglob("*") if p.is_file() and key in p.read_bytes()]


def test_only_what_the_run_was_made_from_is_in_it(exchange_folder: Path, tmp_path: Path) -> None:
    letter = exchange_folder / "letter.txt"
    letter.write_text("not of the study")
    try:
        place = exported(exchange_folder, tmp_path / "out", with_inputs=True)
    finally:
        letter.unlink()
    names = {p.name for p in (place / "study").rglob("*")}
    assert "letter.txt" not in names and {"patients.csv", "wide.toml", "rt.dcm"} <= names
    assert not [n for n in names if n in {"results", ".metasight"}]


def test_without_inputs_no_patient_is_named_and_nothing_can_be_taken_in(
    exchange_folder: Path, tmp_path: Path
) -> None:
    place = exported(exchange_folder, tmp_path / "out", with_inputs=False)
    assert not (place / "study").exists()
    with pytest.raises(StudyError, match="--with-inputs"):
        importing.take_in(place, tmp_path / "study")
    assert not (tmp_path / "study").exists()


def test_a_damaged_crate_and_a_folder_in_use_are_refused(crate: Path, tmp_path: Path) -> None:
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "a.txt").write_text("")
    with pytest.raises(StudyError, match="not empty"):
        importing.take_in(crate, tmp_path / "used")
    shutil.copytree(crate, tmp_path / "copy")
    (tmp_path / "copy" / "study" / "patients.csv").write_text("id\n")
    with pytest.raises(StudyError, match="not whole"):
        importing.take_in(tmp_path / "copy", tmp_path / "study")
    assert not (tmp_path / "study").exists()


@pytest.mark.parametrize("where", ["table", "scan"])
def test_a_study_that_reads_outside_its_folder_is_not_run(
    crate: Path, exchange_folder: Path, tmp_path: Path, where: str
) -> None:
    folder = tmp_path / "study"
    importing.take_in(crate, folder)
    shutil.copytree(exchange_folder.with_name("study.vault"), tmp_path / "study.vault")
    importing.require_inside(folder)
    if where == "table":
        toml = folder / "study.toml"
        (tmp_path / "else.csv").write_text((folder / "patients.csv").read_text())
        toml.write_text(toml.read_text().replace('"patients.csv"', '"../else.csv"'))
    else:
        table = folder / "scans.csv"
        table.write_text(table.read_text().replace("1/CT", "../../CT"))
    with pytest.raises(StudyError, match="outside its folder"):
        importing.run_again(folder, "r", {}, scheduler="inline", progress=Silent())
    assert not (folder / "results").exists()


def test_a_crate_needs_a_licence(exchange_folder: Path, tmp_path: Path) -> None:
    request = exporting.Request(forms=(Form.CRATE,), made=MADE)
    with pytest.raises(StudyError, match="--licence"):
        exporting.export(read_study(exchange_folder), tmp_path / "out", request)
