"""Maps of a simulated study: painted by a generator that did not see the patient, and judged."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from metasight.cohort.canonical import pseudonym
from metasight.engine.progress import Silent
from metasight.engine.step import Input, Inputs, StepKind
from metasight.engine.store import Store
from metasight.errors import LeakageError, StudyError
from metasight.ledger import Fate
from metasight.maps.generator import load_generator
from metasight.maps.ome import read_density_map
from metasight.simulate.breast.cohort import simulate_breast
from metasight.simulate.breast.settings import BreastSettings
from metasight.steps.slides.maps import paint_patient
from metasight.study.file import read_study
from worked import image_steps, screened
from worked import measured as measured_store

MAPS = """
[slides.maps]
folds = 2
steps = 12
width = 8
draws = 2
most_tiles = 9
"""
SETTINGS = BreastSettings(
    tissue_mm=1.4,
    margin_mm=0.12,
    mpp=1.0,
    markers_mpp=1.0,
    patients=6,
    pair_fraction=0.8,
    defect_fraction=0.0,
)


def simulated(folder: Path, maps: str, settings: BreastSettings = SETTINGS) -> Path:
    simulate_breast(folder, settings, 5, jobs=1, progress=Silent())
    text = (folder / "study.toml").read_text("utf-8")
    before, _, after = text.partition("[slides.maps]")
    if after:  # the simulator's own choices are larger
        after = after[after.index("\n[") :]
    text = (before + after).replace('folder = "slides"\n', f'folder = "slides"\n{maps}', 1)
    (folder / "study.toml").write_text(text, "utf-8")
    return folder


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Store]:
    folder = simulated(tmp_path_factory.mktemp("maps") / "study", MAPS)
    study = read_study(folder)
    return folder, measured_store(study)


def steps(folder: Path, begins: str) -> dict:
    return {
        s.name.removeprefix(begins): s
        for s in image_steps(read_study(folder))
        if s.name.startswith(begins)
    }


def test_every_map_comes_from_a_generator_that_did_not_see_the_patient(measured):
    folder, store = measured
    generators = steps(folder, "generator ")
    everybody = load_generator(store.path(generators.pop("all").key)).trained_on
    saw = {k: load_generator(store.path(s.key)).trained_on for k, s in generators.items()}
    with_pairs = set().union(*saw.values())
    assert set(everybody) == with_pairs, "the bundle's learns from all, and paints none of them"
    assert len(with_pairs) >= 4
    painted = 0
    for patient, step in steps(folder, "map of ").items():
        told = json.loads((store.path(step.key) / "map.json").read_text("utf-8"))
        assert patient not in saw[str(told["fold"])]
        if patient in with_pairs:
            others = {f for f, seen in saw.items() if patient in seen}
            assert others == set(saw) - {str(told["fold"])}
        painted += "generator" in told
    assert painted == SETTINGS.patients


def test_painting_with_a_generator_that_saw_the_patient_is_refused(measured, tmp_path):
    from dataclasses import replace

    folder, store = measured
    saw = load_generator(store.path(steps(folder, "generator ")["0"].key)).trained_on
    patient = min(saw)
    step = steps(folder, "map of ")[patient]
    needs = [s for s in step.needs if s.kind is not StepKind.TRAIN_GENERATOR]
    needs.append(steps(folder, "generator ")["0"])
    inputs = Inputs(
        tuple(
            Input(name=s.name, kind=s.kind, subject=s.subject, folder=store.path(s.key))
            for s in needs
        )
    )
    with pytest.raises(LeakageError, match="learnt from the same patient"):
        paint_patient(inputs, tmp_path, replace(step.argument, fold=0))


def test_models_read_biomarkers_of_the_map_with_their_error(measured):
    folder, _ = measured
    cohort = screened(read_study(folder))
    table = pd.read_parquet(cohort / "modality_generated.parquet")
    assert "generated_t_cells_per_mm2" in table
    known = table.dropna(subset=["generated_t_cells_per_mm2"])
    assert len(known) >= 4
    assert (known["generated_t_cells_per_mm2_error"] > 0).all()


def test_the_tumours_share_rests_on_the_map_where_no_section_is_stained(measured):
    from metasight.ledger import Ledger
    from metasight.steps import artefacts

    folder, store = measured
    cohort = screened(read_study(folder))
    entries = Ledger.from_parquet(artefacts.LEDGER.path(cohort)).entries
    rows = {e.patient: e for e in entries if e.criterion == "E6"}
    stained = {
        patient: json.loads((store.path(s.key) / "patient.json").read_text("utf-8"))["tumour_from"]
        for patient, s in steps(folder, "slides of ").items()
    }
    assert {"", "marker"} == set(stained.values())
    for patient, step in steps(folder, "map of ").items():
        told = json.loads((store.path(step.key) / "map.json").read_text("utf-8"))
        reason = rows[patient].reason
        if stained[patient]:
            assert reason == "from Pan-CK"
        elif told["features"]:
            assert reason.startswith("from painted Pan-CK, between ")
            assert told["tumour_share"]["ledger"][0]["reason"] == reason
        else:  # unlike what the generator learnt from: its map is not used
            assert reason.startswith("from nuclei of the H&E, between ")


def test_agreement_is_told_beside_its_baselines(measured):
    folder, store = measured
    step = steps(folder, "agreement of maps")[""]
    told = json.loads((store.path(step.key) / "agreement.json").read_text("utf-8"))
    assert told["patients"] == told["painted"] == SETTINGS.patients
    assert 0 < told["compared"] < SETTINGS.patients
    markers = {r["marker"] for r in told["regions"]}
    assert markers == {"Pan-CK", "CD3", "CD20"}
    for row in told["regions"]:
        assert abs(row["pearson_shuffled"]) < 1
        assert 0 < row["ceiling"] <= 1
    assert {"name", "icc", "bias"} <= set(told["biomarkers"][0])
    assert told["examples"]
    tls = told["tls"]
    assert 0 <= tls["hit"] <= tls["measured"]
    assert 0 <= tls["confirmed"] <= tls["generated"]
    ids = pd.read_csv(folder / "patients.csv", dtype=str)["patient"]
    text = json.dumps(told)
    assert not any(i in text for i in ids)
    assert pseudonym(ids[0], read_study(folder).settings.key) not in ids.tolist()


def test_without_an_accepted_pair_training_is_refused_and_the_study_goes_on(tmp_path):
    settings = SETTINGS.model_copy(update={"patients": 2, "pair_fraction": 0.0, "tissue_mm": 1.0})
    folder = simulated(tmp_path / "study", MAPS, settings)
    study = read_study(folder)
    store = measured_store(study)
    for step in steps(folder, "map of ").values():
        told = json.loads((store.path(step.key) / "map.json").read_text("utf-8"))
        assert told["features"] == {}
        assert told["ledger"][0]["verdict"] == Fate.FAILED
        assert "no pair was accepted" in told["ledger"][0]["reason"]


def test_more_folds_than_patients_are_refused(measured, tmp_path):
    folder, _ = measured
    text = (folder / "study.toml").read_text("utf-8").replace("folds = 2", "folds = 20", 1)
    (tmp_path / "study.toml").write_text(text, "utf-8")
    for name in ("patients.csv", "slides.csv"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    with pytest.raises(StudyError, match="fewer patients with slides than folds"):
        image_steps(read_study(tmp_path))


# ------------------------------------------------------------------ a table of regions alone

REGIONS = """
[slides.regions]
path = "regions.csv"
id = "patient"
unit = "um"
counts = { CD3 = "T cells", "Pan-CK" = "epithelium", CD20 = "B cells" }
scores = { CD3 = "TIL" }
"""


def with_regions(folder: Path) -> Path:
    """The study without marker sections, with spots in their place."""
    slides = pd.read_csv(folder / "slides.csv", dtype=str, keep_default_na=False)
    slides = slides[slides["stain"] == "H&E"]
    slides.to_csv(folder / "slides.csv", index=False)
    rng = np.random.default_rng(0)
    rows = []
    for patient, file in zip(slides["patient"], slides["file"], strict=True):
        counted = read_density_map(folder / "truth" / patient / "density-HE.ome.tif")
        for _ in range(30):
            row, column = (int(rng.integers(0, n - 8)) for n in counted.support.shape)
            own = counted.support[row : row + 8, column : column + 8]
            square = counted.density[:, row : row + 8, column : column + 8]
            cells = np.nan_to_num(square).sum(axis=(1, 2)) * counted.spacing_um**2 / 1e6
            if not own.all():
                cells *= np.nan  # a spot off the tissue states nothing
            at = dict(zip(counted.markers, cells, strict=True))
            x0, y0 = column * 16.0, row * 16.0
            box = f"POLYGON (({x0} {y0}, {x0 + 128} {y0}, {x0 + 128} {y0 + 128}, {x0} {y0 + 128}"
            rows.append(
                {
                    "patient": patient,
                    "file": file,
                    "polygon": f"{box}, {x0} {y0}))",
                    "T cells": at["CD3"],
                    "epithelium": at["Pan-CK"],
                    "B cells": at["CD20"],
                    "TIL": at["CD3"] / 10,
                }
            )
    rows.append({**rows[0], "patient": "NOBODY"})
    pd.DataFrame(rows).to_csv(folder / "regions.csv", index=False)
    text = (folder / "study.toml").read_text("utf-8")
    text = text.replace("[slides.maps]", f"{REGIONS}\n[slides.maps]", 1)
    (folder / "study.toml").write_text(text, "utf-8")
    return folder


@pytest.fixture(scope="module")
def spots(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Store]:
    settings = SETTINGS.model_copy(update={"pair_fraction": 0.0, "patients": 4})
    folder = with_regions(simulated(tmp_path_factory.mktemp("spots") / "study", MAPS, settings))
    return folder, measured_store(read_study(folder))


def test_a_study_learns_from_regions_alone_without_seeing_the_patient(spots):
    folder, store = spots
    generators = steps(folder, "generator ")
    saw = {k: load_generator(store.path(s.key)).trained_on for k, s in generators.items()}
    assert len(saw.pop("all")) == 4
    for patient, step in steps(folder, "map of ").items():
        told = json.loads((store.path(step.key) / "map.json").read_text("utf-8"))
        assert {"CD3", "CD20", "Pan-CK"} <= set(told["markers"])
        assert patient not in saw[str(told["fold"])]
        rows = [r for r in told["ledger"] if r["stage"] == "region table"]
        assert sum(int(r["value"].split()[0]) for r in rows) == 30
        assert {r["verdict"] for r in rows} <= {Fate.KEPT, Fate.EXCLUDED}


def test_maps_are_compared_with_regions(spots):
    folder, store = spots
    step = steps(folder, "agreement of maps")[""]
    told = json.loads((store.path(step.key) / "agreement.json").read_text("utf-8"))
    assert told["regions"] == []
    rows = {(r["marker"], r["score"]): r for r in told["table_regions"]}
    assert set(rows) == {("CD20", False), ("CD3", False), ("CD3", True), ("Pan-CK", False)}
    counted, scored = rows["CD3", False], rows["CD3", True]
    assert counted["patients"] == scored["patients"] == 4
    assert counted["region_um"] == pytest.approx(128, abs=0.01)
    assert scored["covered"] is None
    # the score is the density in another unit
    assert scored["pearson"]["value"] == pytest.approx(counted["pearson"]["value"])
    assert 0 <= counted["covered"]["value"] <= 1


def test_the_ledger_tells_of_regions(spots):
    from metasight.ledger import Ledger
    from metasight.steps import artefacts

    folder, _ = spots
    cohort = screened(read_study(folder))
    entries = Ledger.from_parquet(artefacts.LEDGER.path(cohort)).entries
    assert any(e.item == "regions.csv row 122" and "no such patient" in e.reason for e in entries)
    assert sum(e.stage == "region table" and e.verdict is Fate.KEPT for e in entries) == 4
