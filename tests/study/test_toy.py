"""A study is a protocol: a third one, with slides and scans, runs under its own ids and markers."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from canaries import PLACES, found_in, plant
from made_up_sections import MPP, POSITIVE, block, cells, he, painted
from metasight import pipeline, upkeep
from metasight.cli import main
from metasight.cohort.canonical import pseudonym
from metasight.cohort.slide_table import SlideRow
from metasight.engine.progress import Silent
from metasight.engine.step import Input, Inputs, StepKind
from metasight.ledger import Ledger
from metasight.protocol.load import BUILT_IN, read_protocol
from metasight.protocol.study import Protocol
from metasight.simulate.lung.cohort import simulate_lung
from metasight.simulate.lung.settings import LungSettings
from metasight.slides.quality import quality_definitions
from metasight.steps.files import read_json
from metasight.steps.slides.patient import (
    CheckArgument,
    PatientArgument,
    check_slide,
    measure_patient,
)
from metasight.study.file import read_study
from slide_files import write_fluorescence, write_pyramid

IMAGED = ("SIM-0001", "SIM-0002")
# a laboratory's own spellings, in the file and in the table
CHANNELS = ("DAPI", "CAM5.2 (Opal 690)", "cd2", "PAX-5 Opal 520")
IN_TABLE = "Cytokeratin 8/18; CD2; BSAP"
STUDY = """
protocol = "toy_protocol.toml"
salt = "a salt for tests"
public_data = true
on_problem = "exclude"

[patients]
path = "patients.csv"
id = "id"

[slides]
path = "slides.csv"
id = "patient"
folder = "slides"

[scans]
path = "scans.csv"
id = "patient"
folder = "scans"

[columns]
centre = "centre"
removal_date = "removed"
imaged = "imaged"
age_years = "age"
tumour_size_mm = "size"
grade = "grade"
relapse = "relapse"
relapse_days = "relapse_days"
followup_days = "days"

[analysis]
folds = 2
repeats = 1
bootstrap = 100
instability_resamples = 3
noise_replicates = 1
reference_model = "clinical"
headline_model = "forest"

[[model]]
kind = "cox"
name = "clinical"

[[model]]
kind = "forest"
name = "forest"
n_trees = 20
"""


def patients(n: int = 120) -> pd.DataFrame:
    rng = np.random.default_rng(1)
    size = rng.uniform(8, 60, n).round(1)
    grade = rng.integers(1, 4, n)
    relapse = rng.exponential(2500 * np.exp(-0.03 * (size - 30) - 0.5 * (grade - 2)))
    end = rng.uniform(1200, 2500, n)
    had, last = relapse < end, np.minimum(relapse, end).round() + 1
    return pd.DataFrame(
        {
            "id": [*IMAGED, *(f"T-{i}" for i in range(2, n))],
            "centre": rng.choice(["North", "South"], n),
            "removed": "2018-05-04",
            "imaged": ["yes"] * len(IMAGED) + ["no"] * (n - len(IMAGED)),
            "age": rng.normal(60, 9, n).round(),
            "size": size,
            "grade": grade,
            "relapse": np.where(had, "yes", "no"),
            "relapse_days": np.where(had, last, np.nan),
            "days": last,
        }
    )


def write_slides(folder: Path) -> None:
    """H&E and fluorescence of one made-up block; markers under the laboratory's own names."""
    folder.mkdir()
    b = block(4, side_px=150)
    rng = np.random.default_rng(0)
    write_pyramid(folder / "he.svs", he(painted(b, cells(b, rng), rng), rng), mpp=MPP, levels=2)
    p = painted(b, cells(b, rng), rng)
    glow = 0.02 + 0.03 * p["tissue"]
    planes = [0.6 * p["nuclei"] + glow]
    planes += [0.5 * np.clip(p[m] - 0.4 * p["nuclei"], 0, 1) + glow for m in POSITIVE]
    counts = np.stack(planes) + rng.normal(0, 0.004, (4, *b.size))
    data = (np.clip(counts, 0, 1) * 40_000).astype(np.uint16)
    write_fluorescence(folder / "if.ome.tif", data, list(CHANNELS), mpp=MPP)
    shutil.copy(folder / "he.svs", folder / "he2.svs")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("toy") / "study"
    settings = LungSettings(
        patients=2, pixel_mm=2.0, click_fraction=0.0, pet_fraction=0.0, ineligible_fraction=0.0
    )
    simulate_lung(folder, settings, 4, jobs=1, progress=Silent())
    shutil.copy(Path(__file__).with_name("toy_protocol.toml"), folder)
    write_slides(folder / "slides")
    rows = [
        (IMAGED[0], "he.svs", "H&E", ""),
        (IMAGED[0], "if.ome.tif", "fluorescence", IN_TABLE),
        (IMAGED[1], "he2.svs", "H&E", ""),
    ]
    table = pd.DataFrame(rows, columns=["patient", "file", "stain", "markers"])
    table.to_csv(folder / "slides.csv", index=False)
    patients().to_csv(folder / "patients.csv", index=False)
    (folder / "study.toml").write_text(STUDY, "utf-8")
    folder = plant(folder)
    results, _ = pipeline.run(read_study(folder), scheduler="inline", progress=Silent())
    return folder, results


def test_nothing_that_identifies_somebody_comes_out(
    finished: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    """Texts in 49 places of tables, headers and paths; no output and no message holds one."""
    assert PLACES >= 40
    folder, results = finished
    assert len(found_in(folder / "slides")) >= 11  # they are there, and the search finds them
    assert len(found_in(folder / "scans")) >= 25
    assert found_in(results) == {}
    assert found_in(folder / ".metasight") == {}
    assert (results / "report.pdf").is_file()
    ledger = Ledger.from_parquet(results / "ledger.parquet").to_frame()
    spoilt = ledger[(ledger["stage"] == "reading") & (ledger["verdict"] == "failed")]
    assert spoilt["value"].tolist() == ["(a text, not shown)"]
    for command in (["check"], ["run", "--dry-run"], ["check", "--json"]):
        with pytest.raises(SystemExit) as end:
            main([*command, str(folder)])
        assert end.value.code == 0
        said = capsys.readouterr()
        told = (said.out + said.err).casefold().replace(str(folder).casefold(), "")
        assert "kanari" not in told, command


@pytest.fixture(scope="module")
def ledger(finished: tuple[Path, Path]) -> pd.DataFrame:
    return Ledger.from_parquet(finished[1] / "ledger.parquet").to_frame()


@pytest.fixture(scope="module")
def toy() -> Protocol:
    return read_protocol("toy_protocol.toml", folder=Path(__file__).parent)


def built_in_ids() -> set[str]:
    return {i for name in BUILT_IN for i in read_protocol(name).criteria}


def test_the_ledger_holds_its_own_ids_and_none_of_another_protocol(
    ledger: pd.DataFrame, toy: Protocol
) -> None:
    found = set(ledger["criterion"])
    assert set(toy.criteria) <= found
    assert not found & built_in_ids()


def test_rows_of_slides_and_scans_stand_under_the_criterion_that_reads_their_evidence(
    ledger: pd.DataFrame,
) -> None:
    items = ledger[ledger["item"] != "patient"]
    by_stage = items.groupby("stage")["criterion"].agg(set).to_dict()
    assert by_stage["slide quality"] == {"I21", "E21"}
    assert by_stage["markers"] == {"I22"}
    assert by_stage["alignment"] == {"E22"}
    # two criteria read the tumour area: a row for each
    assert by_stage["tissue maps"] == {"E23", "E24"}
    of_he = items[(items["stage"] == "slide quality") & items["item"].str.contains("-HE-")]
    assert set(of_he["criterion"]) == {"I21"}
    apart = items[(items["stage"] == "scans") & items["reason"].str.contains("the table says")]
    assert set(apart["criterion"]) == {"E26"}


def test_markers_are_found_however_they_are_spelled(finished: tuple[Path, Path]) -> None:
    folder, results = finished
    patient = pseudonym(IMAGED[0], read_study(folder).settings.key)
    told = read_json(results / "slides" / patient / "patient.json")
    assert told["evidence"]["mihc_sections"] is True
    assert told["features"]["t_cells_per_mm2"] > 100
    counts = next(e for e in told["ledger"] if e["stage"] == "markers")["value"]
    assert counts.startswith("CK8/18 ")
    assert ", CD2 " in counts
    assert ", PAX5 " in counts
    assert (results / "slides" / patient / "sheet.html").is_file()


def test_the_patient_without_marker_sections_is_excluded_by_its_own_criterion(
    finished: tuple[Path, Path], ledger: pd.DataFrame
) -> None:
    patient = pseudonym(IMAGED[1], read_study(finished[0]).settings.key)
    own = ledger[(ledger["patient"] == patient) & (ledger["item"] == "patient")]
    verdicts = own.set_index("criterion")["verdict"]
    assert verdicts["I22"] == "excluded"
    assert verdicts["I21"] == "kept"
    assert verdicts["E25"] == "kept"


def test_the_report_names_its_criteria_and_no_other(finished: tuple[Path, Path]) -> None:
    page = (finished[1] / "report.html").read_text("utf-8")
    assert "All markers, where there are images" in page
    assert "H&amp;E whole-slide image of sufficient quality" not in page
    for marker in ("Pan-CK", "CD3", "CD20"):
        assert marker not in page


def test_slides_under_a_protocol_that_asks_nothing_of_them_have_rows_without_a_criterion(
    tmp_path: Path, toy: Protocol
) -> None:
    """The built-in lung study with slides: its I5 is about treatment, its E7 does not exist."""
    lung = read_protocol("nsclc-occult-node").model_copy(
        update={"definition": toy.definition}  # limits of slide quality alone
    )
    assert not lung.marker
    write_slides(tmp_path / "slides")
    argument = CheckArgument(
        slide=SlideRow(
            patient="P1",
            name="P1-HE-1",
            path=tmp_path / "slides" / "he.svs",
            stain="H&E",
            markers=(),
            mpp=None,
        ),
        reader="tiff",
        definitions=quality_definitions(lung.definition),
    )
    checked, out = tmp_path / "checked", tmp_path / "out"
    checked.mkdir()
    out.mkdir()
    check_slide(Inputs(), checked, argument)
    made = Input(name="check P1-HE-1", kind=StepKind.CHECK_SLIDE, subject="P1-HE-1", folder=checked)
    measure_patient(
        Inputs((made,)),
        out,
        PatientArgument(
            patient="P1", slides=(argument,), protocol=lung.for_slides, required=(), seed=1
        ),
    )
    rows = read_json(out / "patient.json")["ledger"]
    assert {r["stage"] for r in rows} == {"slide quality", "tissue maps"}
    assert {r["criterion"] for r in rows} == {""}


def test_of_a_patient_who_withdraws_no_image_result_is_left_and_others_keep_theirs(
    finished: tuple[Path, Path], tmp_path: Path
) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(finished[0], folder, symlinks=True)
    study = read_study(folder)
    gone, other = (pseudonym(i, study.settings.key) for i in IMAGED)
    found = upkeep.erasure(study, [IMAGED[0]])
    assert {r.table for r in found.rows} >= {"patients.csv", "slides.csv", "scans.csv"}
    assert found.kept >= 4  # checks and measurements of the other one's slide and scan
    upkeep.erase(study, found)
    left = [p for p in (folder / ".metasight").rglob("*") if p.is_file()]
    assert not [p for p in left if gone.encode() in p.read_bytes() or gone in str(p)]
    assert [p for p in left if other.encode() in p.read_bytes()]
