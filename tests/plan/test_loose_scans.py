"""Scans without a study: the numbers of a study, and options that contradict each other."""

from __future__ import annotations

import shutil
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from metasight.cohort.scan_table import SeriesRow
from metasight.engine.progress import Silent
from metasight.engine.step import StepKind
from metasight.errors import ProtocolError, StudyError
from metasight.plan.loose_scans import HowRead, Lesion, check, how_read, measure
from metasight.simulate.lung.cohort import simulate_lung
from metasight.simulate.lung.settings import LungSettings
from metasight.steps.files import read_json
from metasight.study.file import read_study
from metasight.volumes.mask_file import load_mask
from worked import image_steps, measured

SETTINGS = LungSettings(
    patients=2,
    pixel_mm=2.0,
    click_fraction=0.0,
    pet_fraction=1.0,
    ground_glass_fraction=0.0,
    ineligible_fraction=0.0,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of simulated scans of two-millimetre pixels, which its protocol allows."""
    folder = tmp_path_factory.mktemp("loose") / "study"
    simulate_lung(folder, SETTINGS, 4, jobs=1, progress=Silent())
    protocol = files("metasight.protocol").joinpath("nsclc_occult_node.toml").read_text("utf-8")
    limit = "pixel_spacing_mm = { high = 1.0 }"
    assert limit in protocol
    (folder / "own.toml").write_text(protocol.replace(limit, "pixel_spacing_mm = { high = 3.0 }"))
    text = (folder / "study.toml").read_text("utf-8")
    text = text.replace('"nsclc-occult-node"', '"own.toml"')
    text = text.replace('folder = "scans"', 'folder = "scans"\nradiomics = true')
    (folder / "study.toml").write_text(text, "utf-8")
    return folder


@pytest.fixture(scope="module")
def of_study(folder: Path) -> dict[Path, Path]:
    """Folder of each CT → folder of what the study found of it."""
    study = read_study(folder)
    store = measured(study)
    return {
        s.argument.scans.ct: store.path(s.key)
        for s in image_steps(study)
        if s.kind is StepKind.MEASURE_SCANS
    }


def without_names(found: dict[str, Any]) -> dict[str, Any]:
    ledger = [{**e, "patient": ""} for e in found["ledger"]]
    return {**found, "patient": "", "ledger": ledger}


def test_a_patient_has_the_numbers_of_the_study(
    folder: Path, of_study: dict[Path, Path], tmp_path: Path
) -> None:
    """Size, uptake and every radiomic feature to the last digit; mask and picture to the byte."""
    own = folder / "scans" / "SIM-0001"
    lesion = Lesion(ct=own / "CT", pet=own / "PT", mask=own / "lesion.dcm", region="GTV-1")
    found = measure(lesion, tmp_path, how_read(study=folder), progress=Silent())
    theirs = of_study[own / "CT"]
    studied = read_json(theirs / "scan.json")
    assert found["features"]["tumour_size_mm"] > 5
    assert found["features"]["suvmax"] > 0
    assert len(found["radiomics"]) > 100
    assert without_names(found) == without_names(studied)
    ours = tmp_path / "scan-001"
    assert (ours / "lesion.png").read_bytes() == (theirs / "lesion.png").read_bytes()
    masks = [load_mask(f / "lesion_mask.npz").array for f in (ours, theirs)]
    assert np.array_equal(*masks)


def test_a_check_has_the_verdicts_of_the_study(
    folder: Path, of_study: dict[Path, Path], tmp_path: Path
) -> None:
    cts = sorted(of_study)
    found = check(cts, tmp_path, how_read(study=folder), scheduler="inline", progress=Silent())
    for ct, told in zip(cts, found, strict=True):
        (scan,) = told["scans"]
        assert scan["findings"] == read_json(of_study[ct] / "scan.json")["quality"]["findings"]
        assert scan["quality"] == "sufficient"
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / ".metasight" / "store").rglob("*.json")}
    check(cts, tmp_path, how_read(study=folder), scheduler="inline", progress=Silent())
    assert {p: p.stat().st_mtime_ns for p in before} == before  # nothing is read again


# ------------------------------------------------------------------ how scans are read


def test_the_default_is_the_lung_protocol_with_its_radiomics() -> None:
    how = how_read()
    assert how.protocol.id == "nsclc-occult-node"
    assert how.recipe.radiomics and not how.reading.radiomics
    assert how_read("breast-dmfs").protocol.id == "breast-dmfs"
    with pytest.raises(ProtocolError, match="no such protocol"):
        how_read("lung")


def test_a_study_gives_protocol_and_settings_without_its_vault(tmp_path: Path) -> None:
    """The key of the pseudonyms is no business of a command that knows no patients."""
    text = 'protocol = "nsclc-occult-node"\nvault = "../gone"\n[scans]\npath = "s.csv"\nid = "p"\n'
    (tmp_path / "study.toml").write_text(text + 'lesion_parts = "largest"\ncrops = {}\n')
    how = how_read(study=tmp_path)
    assert how.settings.lesion_parts == "largest"
    assert not how.recipe.radiomics and how.recipe.crops is None
    row = Lesion(ct=tmp_path, mask=tmp_path / "m.nii").row("scan-001", how.settings)
    assert row.lesion is not None and row.lesion.parts == "largest"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (None, "no study.toml"),
        ("title = 'x'", "no section"),
        ("[scans]\npath = 's.csv'\nid = 'p'\nsuv = 'SUVx'", "entries of .scans. are wrong"),
    ],
)
def test_a_study_that_says_nothing_of_scans(tmp_path: Path, text: str | None, problem: str) -> None:
    if text is not None:
        (tmp_path / "study.toml").write_text(text)
    with pytest.raises(StudyError, match=problem):
        how_read(study=tmp_path)


def test_one_of_protocol_and_study(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="both given"):
        how_read("breast-dmfs", tmp_path)


# ------------------------------------------------------------------ one lesion

POINT = (1.0, 2.0, 3.0)


@pytest.mark.parametrize(
    ("told", "problem"),
    [
        ({}, "no lesion was given"),
        ({"box_mm": (POINT, POINT), "point_mm": POINT}, "a box is given beside"),
        ({"box_mm": (POINT, POINT), "mask": Path("m.nii")}, "a box is given beside"),
        ({"axis_mm": (POINT, POINT), "point_mm": POINT}, "an axis is given beside"),
        ({"axis_mm": (POINT, POINT), "box_mm": (POINT, POINT)}, "is given beside"),
        ({"point_mm": POINT, "region": "GTV"}, "--roi names a region of a mask"),
        ({"point_mm": (1.0, float("nan"), 3.0)}, "not a number"),
        ({"point_mm": POINT, "series": "Meier"}, "--series is not a series"),
    ],
)
def test_a_lesion_that_is_told_in_no_way_or_in_two(told: dict[str, Any], problem: str) -> None:
    with pytest.raises(StudyError, match=problem) as refusal:
        Lesion(ct=Path("ct"), **told)
    assert refusal.value.remedy
    assert "Meier" not in str(refusal.value)


def test_a_lesion_is_a_row_of_a_table_of_scans(tmp_path: Path) -> None:
    settings = how_read().settings
    told = Lesion(ct=tmp_path, mask=tmp_path / "m.nii", point_mm=POINT, series="4")
    row = told.row("scan-001", settings)
    assert row.patient == "scan-001" and row.pet is None
    assert row.ct_series == SeriesRow(series="4")
    assert row.lesion is not None
    assert (row.lesion.point_mm, row.lesion.corner_mm) == (POINT, None)
    boxed = Lesion(ct=tmp_path, box_mm=(POINT, (4.0, 5.0, 6.0))).row("scan-001", settings)
    assert boxed.lesion is not None
    assert (boxed.lesion.point_mm, boxed.lesion.corner_mm) == (POINT, (4.0, 5.0, 6.0))
    long = Lesion(ct=tmp_path, axis_mm=(POINT, (4.0, 5.0, 6.0))).row("scan-001", settings)
    assert long.lesion is not None and long.lesion.corner_mm is None
    assert (long.lesion.point_mm, long.lesion.end_mm) == (POINT, (4.0, 5.0, 6.0))


# ------------------------------------------------------------------ where results go


def silently(paths: list[Path], out: Path, how: HowRead) -> list[dict[str, Any]]:
    return check(paths, out, how, scheduler="inline", progress=Silent())


def test_results_do_not_lie_among_the_scans(tmp_path: Path) -> None:
    for out in (tmp_path, tmp_path / "deep" / "out"):
        with pytest.raises(StudyError, match="lies in the folder of a scan"):
            silently([tmp_path], out, how_read())
    with pytest.raises(StudyError, match="lies in the folder of a scan"):
        measure(Lesion(ct=tmp_path, point_mm=POINT), tmp_path / "o", how_read(), progress=Silent())
    assert not (tmp_path / "o").exists()


def test_a_folder_is_given_once(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="given twice"):
        silently([tmp_path, tmp_path / "x" / ".."], tmp_path / "o", how_read())


def test_a_changed_scan_is_read_again(folder: Path, tmp_path: Path) -> None:
    ct = tmp_path / "ct"
    shutil.copytree(folder / "scans" / "SIM-0001" / "CT", ct)
    how = how_read(study=folder)
    (before,) = silently([ct], tmp_path / "out", how)
    for file in sorted(ct.iterdir())[40:46]:
        file.unlink()
    (after,) = silently([ct], tmp_path / "out", how)
    assert [s["quality"] for s in (*before["scans"], *after["scans"])] == ["sufficient", "failed"]
    assert "slices are missing" in after["scans"][0]["reasons"][0]
