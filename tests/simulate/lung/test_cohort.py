"""A simulated lung study: complete, repeatable, patient by patient, and says what it is."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pandas as pd
import pytest

from metasight.cli import main
from metasight.engine.progress import Silent
from metasight.errors import StudyError
from metasight.simulate.lung import cohort as module
from metasight.simulate.lung.cohort import SCAN_COLUMNS, cohort_of, simulate_lung
from metasight.simulate.lung.defects import DEFECTS
from metasight.simulate.lung.settings import LungSettings, read_settings
from metasight.simulate.lung.specimen import nodule_of, plan_of
from metasight.study.file import read_study

SMALL = LungSettings(patients=2, pixel_mm=2.0, pet_fraction=0.5, centres=1)


def digest(folder: Path) -> dict[str, str]:
    return {
        str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in sorted(folder.rglob("*"))
        if p.is_file()
    }


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cohort") / "study"
    simulate_lung(folder, SMALL, 7, jobs=1, progress=Silent())
    return folder


def test_it_is_a_study(cohort: Path) -> None:
    study = read_study(cohort)
    assert study.settings.demonstration.startswith("Simulated")
    scans = pd.read_csv(cohort / "scans.csv", dtype={"path": str})
    assert tuple(scans.columns) == SCAN_COLUMNS
    for _, row in scans.iterrows():
        if isinstance(row["path"], str):
            assert (cohort / "scans" / row["path"]).exists()
        else:
            assert row[["x_mm", "y_mm", "z_mm"]].notna().all()
    assert set(scans["kind"]) == {"CT", "PET", "mask"}


def test_the_table_agrees_with_what_was_drawn(cohort: Path) -> None:
    table = pd.read_csv(cohort / "patients.csv").set_index("patient")
    for name, row in table.iterrows():
        truth = json.loads((cohort / "truth" / str(name) / "patient.json").read_text("utf-8"))
        whole = truth["lesion"]["whole"]
        longest = max(whole[k] for k in ("axial_mm", "coronal_mm", "sagittal_mm"))
        assert row["tumour_size_mm"] == pytest.approx(longest, abs=3)
        assert (row["upper_lobe"] == "yes") == (truth["lesion"]["place"]["lobe"] in {1, 4})
        if row["arm"] == "sbrt":
            assert pd.isna(row["pathological_n"])
        else:
            assert row["pathological_n"] == f"N{truth['n_stage']}"


def test_truth_has_the_oracle_and_every_patient(cohort: Path) -> None:
    truth = json.loads((cohort / "truth" / "truth.json").read_text("utf-8"))
    expected = truth["oracle_auc"]["expected"]
    assert 0.55 < expected["clinical"] < expected["full"] < 0.85
    assert len(truth["patients"]) == 2
    assert truth["simulated"].startswith("Simulated")


def test_a_killed_run_goes_on_to_the_same_bytes(
    cohort: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed while it writes the second patient; one more time before the truth is in place."""
    folder = tmp_path / "study"
    made = module.make_patient

    def stop(settings: LungSettings, seed: int, number: int, scans: Path, truth: Path) -> None:
        if number == 1:
            (scans / "half").write_text("x")
            raise KeyboardInterrupt
        made(settings, seed, number, scans, truth)

    monkeypatch.setattr(module, "make_patient", stop)
    with pytest.raises(KeyboardInterrupt):
        simulate_lung(folder, SMALL, 7, jobs=1, progress=Silent())
    monkeypatch.undo()
    (folder / "scans" / "SIM-0002").mkdir()
    (folder / "scans" / "SIM-0002" / "left over").write_text("x")
    simulate_lung(folder, SMALL, 7, jobs=1, progress=Silent())
    assert digest(folder) == digest(cohort)


def test_another_cohort_is_not_written_into_the_folder(cohort: Path, tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="other settings or another seed"):
        simulate_lung(cohort, SMALL, 8, jobs=1, progress=Silent())
    (tmp_path / "mine.txt").write_text("x")
    with pytest.raises(StudyError, match="not empty"):
        simulate_lung(tmp_path, SMALL, 7, jobs=1, progress=Silent())


def test_a_patient_depends_on_its_number_alone() -> None:
    few, _ = cohort_of(SMALL, 7)
    many, _ = cohort_of(SMALL.model_copy(update={"patients": 30}), 7)
    assert (many.size_mm[:2] == few.size_mm).all()
    assert (many.age_years[:2] == few.age_years).all()


def test_defects_come_in_turn() -> None:
    settings = LungSettings(patients=11, defect_fraction=1.0)
    assert {plan_of(settings, 1, i).defect for i in range(11)} == set(DEFECTS)
    assert plan_of(SMALL, 1, 0).defect == ""


def test_a_lesion_follows_its_latents() -> None:
    for i in range(40):
        plan = plan_of(SMALL, 2, i)
        nodule = nodule_of(plan.patients)
        assert nodule.diameter_mm == pytest.approx(plan.patients.size_mm[0])
        ctr = nodule.solid_diameter_mm / nodule.diameter_mm
        assert ctr == pytest.approx(plan.patients.ctr[0])
        assert (nodule.margin == "spiculated") == (plan.patients.spiculation[0] > 0.35)


def test_settings_are_read_and_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "s.toml"
    path.write_text("patients = 40\n[effects]\nsolid = 0.0\n")
    found = read_settings(path, centres=2)
    assert (found.patients, found.centres, found.effects.solid) == (40, 2, 0.0)
    path.write_text("pacients = 40\n")
    with pytest.raises(StudyError, match="pacients"):
        read_settings(path)
    path.write_text("n1_share = 0.9\n")
    with pytest.raises(StudyError, match="n1_share"):
        read_settings(path)


def test_the_command_says_what_it_made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = tmp_path / "s.toml"
    settings.write_text("pixel_mm = 2.0\ncentres = 1\npet_fraction = 0.0\n")
    with pytest.raises(SystemExit) as done:
        main(
            [
                "simulate",
                "lung",
                str(tmp_path / "out"),
                "--settings",
                str(settings),
                "--patients",
                "1",
                "--jobs",
                "1",
            ]
        )
    assert done.value.code == 0
    assert "Simulated by metasight" in capsys.readouterr().out
    assert (tmp_path / "out" / "scans" / "SIM-0001" / "CT").is_dir()
