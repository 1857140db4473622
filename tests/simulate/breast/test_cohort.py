"""A simulated study folder: complete, repeatable, patient by patient, and says what it is."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import openslide
import pandas as pd
import pytest

from metasight.alignment.transform_file import load_transform
from metasight.cli import main
from metasight.cohort.slide_table import read_slide_table
from metasight.engine.progress import Silent
from metasight.errors import StudyError
from metasight.maps.ome import read_density_map
from metasight.simulate.breast.cohort import simulate_breast
from metasight.simulate.breast.settings import BreastSettings, read_settings
from metasight.slides.opening import open_slide
from metasight.study.file import read_study


def digest(folder: Path) -> dict[str, str]:
    return {
        str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in sorted(folder.rglob("*"))
        if p.is_file()
    }


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory, small: BreastSettings) -> Path:
    folder = tmp_path_factory.mktemp("cohort") / "study"
    simulate_breast(folder, small, 7, jobs=1, progress=Silent())
    return folder


def test_it_is_a_study(cohort: Path) -> None:
    study = read_study(cohort)
    slides = read_slide_table(study.folder, study.settings, study.protocol.marker)
    assert [s.stain for s in slides] == ["H&E", "fluorescence"] * 3
    for row in slides:
        with open_slide(row.path, name=row.name) as slide:
            assert slide.mpp == pytest.approx(1.0)
            assert len(slide.levels) >= 2
    table = pd.read_csv(cohort / "patients.csv")
    assert set(table["centre"]) == {"North", "South", "East"}
    vendor = openslide.OpenSlide(str(cohort / "slides" / "SIM-0001-HE.svs")).properties
    assert vendor["openslide.vendor"] == "aperio"


def test_it_says_everywhere_that_it_is_simulated(cohort: Path) -> None:
    for path in cohort.rglob("*"):
        if path.suffix in {".json", ".geojson", ".toml", ".svs"} or path.match("slides/*.tif"):
            assert b"imulated" in path.read_bytes(), path.name
    assert read_study(cohort).settings.demonstration.startswith("Simulated")


def test_truth_of_both_sections_in_the_frame_of_the_h_and_e(cohort: Path) -> None:
    truth = cohort / "truth" / "SIM-0001"
    he, other = (read_density_map(truth / f"density-{n}.ome.tif") for n in ("HE", "mIHC"))
    assert he.support.shape == other.support.shape
    both = he.support & other.support
    blocks = [
        np.add.reduceat(
            np.add.reduceat(np.where(both, m.plane("Pan-CK"), 0), range(0, 64, 8), 0),
            range(0, 64, 8),
            1,
        )
        for m in (he, other)
    ]
    assert np.corrcoef(blocks[0].ravel(), blocks[1].ravel())[0, 1] > 0.9
    told = json.loads((truth / "patient.json").read_text("utf-8"))
    cell = (he.spacing_um / 1000) ** 2
    for marker, kind in (("Pan-CK", "tumour"), ("CD3", "t_cell"), ("CD20", "b_cell")):
        total = float(np.nansum(he.plane(marker))) * cell
        assert total == pytest.approx(told["sections"]["HE"]["cells"][kind], rel=0.06)
    transform = load_transform(truth / "transform-mIHC.npz")
    middle = np.array([[520.0, 520.0]])
    assert np.hypot(*(transform.inverse().points(transform.points(middle)) - middle)[0]) < 0.01


def test_same_settings_and_seed_same_bytes_and_patients_stand_alone(
    cohort: Path, small: BreastSettings, tmp_path: Path
) -> None:
    simulate_breast(tmp_path / "again", small, 7, jobs=1, progress=Silent())
    assert digest(tmp_path / "again") == digest(cohort)
    fewer = small.model_copy(update={"patients": 1})
    simulate_breast(tmp_path / "fewer", fewer, 7, jobs=1, progress=Silent())
    alone, among = (digest(f / "slides") for f in (tmp_path / "fewer", cohort))
    assert alone.items() <= among.items()
    assert (tmp_path / "fewer" / "patients.csv").read_text().splitlines()[1] == (
        cohort / "patients.csv"
    ).read_text().splitlines()[1]


def test_a_killed_run_goes_on(cohort: Path, small: BreastSettings, tmp_path: Path) -> None:
    """kill -9 after the first patient; two processes finish it; the same bytes."""
    folder, toml = tmp_path / "study", tmp_path / "s.toml"
    plain = small.model_dump(mode="json", exclude={"effects"})
    toml.write_text("".join(f"{k} = {json.dumps(v)}\n" for k, v in plain.items() if v is not None))
    command = [
        sys.executable,
        "-m",
        "metasight",
        "simulate",
        "breast",
        str(folder),
        "--settings",
        str(toml),
        "--seed",
        "7",
    ]
    running = subprocess.Popen(
        [*command, "--jobs", "1"], stdout=subprocess.DEVNULL, start_new_session=True
    )
    for _ in range(1200):
        if running.poll() is not None or (folder / "truth" / "SIM-0001").is_dir():
            break
        time.sleep(0.05)
    os.killpg(running.pid, signal.SIGKILL)
    running.wait()
    assert not (folder / "study.toml").exists()
    first = (folder / "slides" / "SIM-0001-HE.svs").stat().st_mtime_ns
    subprocess.run([*command, "--jobs", "2"], check=True, stdout=subprocess.DEVNULL)
    assert (folder / "slides" / "SIM-0001-HE.svs").stat().st_mtime_ns == first
    assert digest(folder) == digest(cohort)


def test_a_folder_of_something_else_is_left_alone(
    cohort: Path, small: BreastSettings, tmp_path: Path
) -> None:
    with pytest.raises(StudyError, match="other settings or another seed"):
        simulate_breast(cohort, small, 8, jobs=1, progress=Silent())
    (tmp_path / "mine.txt").write_text("x")
    with pytest.raises(StudyError, match="not empty"):
        simulate_breast(tmp_path, small, 7, jobs=1, progress=Silent())


def test_oracle_and_hazards_are_written(cohort: Path) -> None:
    truth = json.loads((cohort / "truth" / "truth.json").read_text("utf-8"))
    assert truth["oracle"]["expected"]["increment"] == pytest.approx(0.1, abs=0.04)
    for p in truth["patients"]:
        parts = p["log_hazard_clinical"] + p["log_hazard_image"] + p["log_hazard_centre"]
        assert parts == pytest.approx(p["log_hazard"], abs=1e-6)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("patients = 0", "patients"),
        ("colour = 1", "colour"),
        ("[effects]\ntls = nan", "tls"),
        ("patients = ", "cannot be read"),
    ],
)
def test_wrong_settings_are_named(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "s.toml"
    path.write_text(text)
    with pytest.raises(StudyError, match=message):
        read_settings(path)


def test_command_line_refuses_wrong_settings(tmp_path: Path, capsys) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["simulate", "breast", str(tmp_path / "out"), "--tissue-mm", "0.1"])
    assert stop.value.code == 2
    assert "tissue_mm" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
