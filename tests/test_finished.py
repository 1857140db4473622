"""What exports read of a finished run or prediction is there, checked, and never made."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pandas as pd
import pytest
from pydicom import dcmread

from metasight import pipeline
from metasight.cli import main
from metasight.engine.progress import Silent
from metasight.errors import StudyError
from metasight.exchange.fhir import values_in
from metasight.exchange.reading_back import measurements_in
from metasight.finished import FinishedPrediction, FinishedRun
from metasight.provenance import hash_file
from metasight.steps.files import read_json
from metasight.study.file import read_study
from metasight.study.vault import make_key

OUTCOMES = ("metastasis", "metastasis_date", "dead", "death_date", "last_seen")
MAPPED = ("distant_metastasis", "distant_metastasis_date", "death", "death_date", "followup_date")


@pytest.fixture(scope="module")
def predicted(exchange_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """New patients: the study's first four by other ids, without outcomes, with their scans."""
    folder = tmp_path_factory.mktemp("new") / "patients"
    folder.mkdir()
    table = pd.read_csv(exchange_folder / "patients.csv").head(4).drop(columns=list(OUTCOMES))
    table["id"] = table["id"].str.replace("MRN", "NEW")
    table.to_csv(folder / "patients.csv", index=False)
    scans = pd.read_csv(exchange_folder / "scans.csv")
    scans["id"] = scans["id"].str.replace("MRN", "NEW")
    scans.to_csv(folder / "scans.csv", index=False)
    for name in ("0", "1", "wide.toml"):
        source = exchange_folder / name
        (shutil.copytree if source.is_dir() else shutil.copy)(source, folder / name)
    text = (exchange_folder / "study.toml").read_text()
    text = text[: text.index("[analysis]")] + text[text.index("[scans]") :]
    for name in MAPPED:
        text = re.sub(rf"^{name} = .*\n", "", text, flags=re.M)
    (folder / "study.toml").write_text(text.replace("study.vault", "new.vault"))
    make_key(folder.with_name("new.vault"))
    out = folder.with_name("out")
    pipeline.predict(exchange_folder, folder, out, scheduler="inline", progress=Silent())
    return folder, out


def test_new_patients_have_the_prediction_s_risks_with_the_bundle_s_hash(
    exchange_folder: Path, predicted: tuple[Path, Path]
) -> None:
    folder, out = predicted
    found = FinishedPrediction(exchange_folder, folder)
    told = {p["patient"]: p for p in read_json(out / "predictions.json")["patients"]}
    assert set(found.patients(None)) == set(told) and len(told) == 4
    given = 0
    for patient, about in told.items():
        results = found.results(patient)
        assert bool(results.risks) != bool(results.why_no_risk)
        for risk, stated in zip(results.risks, about["risks"], strict=False):
            given += 1
            assert risk.value == stated["risk"]["value"]
            assert (risk.interval.lower, risk.interval.upper) == (
                stated["risk"]["lower"],
                stated["risk"]["upper"],
            )
        assert bool(results.notes) == bool(about["not_assessed"])
    assert given
    listing = exchange_folder / "results" / "latest" / "bundle" / "hashes.json"
    assert found.algorithm.bundle == hash_file(listing)
    assert "Locked models of run" in found.algorithm.evidence


def test_their_images_are_of_their_own_vault(
    exchange_folder: Path, predicted: tuple[Path, Path]
) -> None:
    found = FinishedPrediction(exchange_folder, predicted[0])
    (patient,) = (p for p in found.scans if found.results(p).measurements)
    assert found.source(patient, "CT").patient == patient
    assert found.source(patient, "PET").series_uid


def test_patients_that_were_not_predicted_are_refused(
    exchange_folder: Path, predicted: tuple[Path, Path], tmp_path: Path
) -> None:
    other = tmp_path / "patients"
    shutil.copytree(predicted[0], other, ignore=shutil.ignore_patterns(".metasight"))
    shutil.copytree(predicted[0].with_name("new.vault"), tmp_path / "new.vault")
    with pytest.raises(StudyError, match=r"not up to date.*Predict first"):
        FinishedPrediction(exchange_folder, other)
    assert not (other / ".metasight").exists()


def test_a_run_s_patients_are_those_of_its_results(exchange_folder: Path) -> None:
    run = FinishedRun(read_study(exchange_folder))
    assert len(run.patients(None)) == 150
    with pytest.raises(StudyError, match="no results of this patient"):
        run.patients(["P1"])
    assert run.algorithm.run == (exchange_folder / "results" / "latest").resolve().name


def test_they_are_exported_as_dicom_and_fhir(
    exchange_folder: Path, predicted: tuple[Path, Path], tmp_path: Path, capsys
) -> None:
    command = ["export", predicted[0], "-o", tmp_path / "out", "--bundle", exchange_folder]
    command += ["--as", "dicom", "--as", "fhir", "--source-images", "--patient", "NEW-00000"]
    with pytest.raises(SystemExit) as stop:
        main([*map(str, command)])
    assert stop.value.code == 0
    assert "NEW-00000" not in capsys.readouterr().out
    (path,) = (tmp_path / "out" / "fhir").glob("*.json")
    told = values_in(path)
    report = dcmread(next((tmp_path / "out" / "dicom").rglob("measurements-sr.dcm")))
    stated = measurements_in(report)
    assert {n: v for n, (v, _) in told.items()} == {n: m.value for n, m in stated.items()}
    assert "tumour_size_mm" in told
