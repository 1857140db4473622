"""Whether results are up to date, and why not."""

from __future__ import annotations

from pathlib import Path

from metasight.serve.standing import Looking
from metasight.study.file import read_study


def looked(folder: Path):
    looking = Looking(read_study(folder))
    assert looking.found.looking and not looking.found.is_current
    looking.again()
    return looking.wait()


def test_after_a_run_nothing_is_pending(finished_folder: Path) -> None:
    assert looked(finished_folder).is_current


def test_a_changed_table_is_seen_with_its_reason(study_folder: Path) -> None:
    table = study_folder / "patients.csv"
    table.write_text(table.read_text().replace("mastectomy", "breast-conserving", 1))
    found = looked(study_folder)
    assert not found.is_current and found.steps > 0
    assert found.pending[0][0] == "screen cohort"
    assert "changed" in found.pending[0][2][0]


def test_what_stops_a_run_is_said_without_a_patient(study_folder: Path) -> None:
    table = study_folder / "slides.csv"
    table.write_text(table.read_text().replace("H&E", "purple", 1))
    found = looked(study_folder)
    assert "slides.csv" in found.problem and "MRN-" not in found.problem
    (study_folder / "study.toml").write_text("nonsense")
    assert "TOML" in looked_again(study_folder)


def looked_again(folder: Path) -> str:
    from metasight.serve.standing import _looked_at

    class Gone:
        pass

    gone = Gone()
    gone.folder = folder
    return _looked_at(gone).problem
