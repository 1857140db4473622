"""A study with patch features of another program, from the files to the report."""

from __future__ import annotations

import shutil
from pathlib import Path

import cv2
import h5py
import numpy as np
import pandas as pd
import pytest

from made_up_sections import MPP, block, cells, he, painted
from metasight import bundle, pipeline
from metasight.cli import main
from metasight.cohort.canonical import pseudonym
from metasight.engine.progress import Silent
from metasight.errors import EncoderError
from metasight.features.bags import BagFolder
from metasight.ledger import Ledger
from metasight.study.file import read_study
from slide_files import write_pyramid
from worked import image_steps, measured

WITH_SLIDES = 60
SLIDES = """
[slides]
path = "slides.csv"
id = "patient"
folder = "slides"

[slides.embeddings]
features = "features"
"""
MODELS = """
[[model]]
kind = "stacked"
name = "all"
modalities = ["clinical", "embedding"]
inner_folds = 3
network = { epochs = 15 }
l1_ratios = [0.05]
"""


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory, made_up) -> Path:
    folder = tmp_path_factory.mktemp("patches") / "study"
    (folder / "slides").mkdir(parents=True)
    (folder / "features").mkdir()
    patients, text = made_up
    patients.to_csv(folder / "patients.csv", index=False)
    ids = patients["id"].tolist()
    rng = np.random.default_rng(0)
    b = block(4, side_px=120)
    image = folder / "slides" / "0.svs"
    write_pyramid(image, he(painted(b, cells(b, rng), rng), rng), mpp=MPP, levels=2)
    rows = [
        (ids[0], "0.svs", "H&E", ""),
        (ids[0], "0b.svs", "H&E", ""),
        (ids[0], "0c.svs", "H&E", ""),
    ]
    for name in ("0b", "0c", *map(str, range(1, WITH_SLIDES))):
        shutil.copy(image, folder / "slides" / f"{name}.svs")
    rows += [(ids[i], f"{i}.svs", "H&E", "") for i in range(1, WITH_SLIDES)]
    pd.DataFrame(rows, columns=["patient", "file", "stain", "markers"]).to_csv(
        folder / "slides.csv", index=False
    )
    for path in sorted((folder / "slides").glob("*.svs")):
        features = rng.normal(size=(20, 12)).astype(np.float16)
        write_features(folder / "features" / f"{path.stem}.h5", features)
    bad = np.full((4, 12), np.nan)
    write_features(folder / "features" / "5.h5", bad)
    (folder / "features" / "6.h5").unlink()
    text = text.replace('headline_model = "forest"', 'headline_model = "all"')
    (folder / "study.toml").write_text(text + MODELS + SLIDES, "utf-8")
    return folder


def write_features(path: Path, features: np.ndarray) -> None:
    with h5py.File(path, "w") as file:
        file["features"] = features
        file["coords"] = np.zeros((len(features), 2), int)


@pytest.fixture(scope="module")
def finished(study: Path) -> tuple[Path, Path]:
    results, _ = pipeline.run(read_study(study), scheduler="inline", progress=Silent())
    return study, results


def patient(study: Path, number: int) -> str:
    ids = pd.read_csv(study / "patients.csv", dtype=str)["id"].tolist()
    return pseudonym(ids[number], read_study(study).settings.key)


def test_everybody_is_predicted_and_contributions_are_told(finished):
    _, results = finished
    predictions = pd.read_parquet(results / "predictions.parquet")
    counts = predictions[predictions["endpoint"] == "dmfs"].groupby("model")["patient"].nunique()
    assert counts["all"] == counts["clinical"]
    parts = pd.read_parquet(results / "contributions.parquet")
    assert list(parts.columns) == ["clinical", "embedding"]
    features = pd.read_parquet(results / "features.parquet")
    lacking = features.index[features["bags"].isna()]
    assert len(lacking) > 20
    assert (parts.loc[parts.index.intersection(lacking), "embedding"] == 0).all()
    html = (results / "report.html").read_text("utf-8")
    assert "What each modality adds to the log hazard by all" in html


def test_attention_is_drawn_for_patients_with_slides(finished):
    _, results = finished
    pictures = sorted((results / "attention").glob("*.png"))
    features = pd.read_parquet(results / "features.parquet")
    assert {p.stem for p in pictures} == set(features.index[features["bags"].notna()])


def test_three_slides_are_one_bag_and_bad_files_are_ledger_rows(finished):
    study, results = finished
    store = study / ".metasight" / "store"
    bags = next(s for s in image_steps(read_study(study)) if s.name == "bags")
    folder = store / bags.key[:2] / bags.key
    assert len(BagFolder(folder).read(patient(study, 0))) == 60
    rows = [
        e
        for e in Ledger.from_parquet(results / "ledger.parquet").entries
        if e.stage == "patch features"
    ]
    by_patient = {e.patient: e for e in rows}
    assert "no number" in by_patient[patient(study, 5)].reason
    assert "cannot be read" in by_patient[patient(study, 6)].reason
    assert not (folder / f"{patient(study, 5)}.h5").exists()


def test_the_bundle_predicts_again_over_its_bags(finished):
    _, results = finished
    locked = bundle.read(results / "bundle")
    assert locked.states["all"]["reader"]["modalities"] == ["clinical", "embedding"]


def test_features_of_two_encoders_stop_the_study(study, tmp_path):
    other = tmp_path / "study"
    shutil.copytree(study, other, ignore=shutil.ignore_patterns("results"))
    write_features(other / "features" / "7.h5", np.zeros((4, 13)))
    with pytest.raises(EncoderError, match="patch features of two encoders"):
        pipeline.run(read_study(other), scheduler="inline", progress=Silent())


def test_without_files_tiles_go_through_the_embedded_encoder(study, tmp_path):
    other = tmp_path / "study"
    other.mkdir()
    (other / "slides").mkdir()
    rng = np.random.default_rng(0)
    b = block(4, side_px=120)
    fine = cv2.resize(he(painted(b, cells(b, rng), rng), rng), None, fx=2, fy=2)
    for name in ("0", "0b", "1"):  # the encoder reads 0.5 µm a pixel
        write_pyramid(other / "slides" / f"{name}.svs", fine, mpp=MPP / 2, levels=2)
    (other / "patients.csv").write_bytes((study / "patients.csv").read_bytes())
    rows = pd.read_csv(study / "slides.csv", dtype=str).fillna("")
    rows[rows["file"].isin(["0.svs", "0b.svs", "1.svs"])].to_csv(other / "slides.csv", index=False)
    text = (study / "study.toml").read_text("utf-8")
    text = text.replace('features = "features"', "most_patches = 3")
    (other / "study.toml").write_text(text, "utf-8")
    read = read_study(other)
    store = measured(read)
    bags = next(s for s in image_steps(read) if s.name == "bags")
    bag = BagFolder(store.path(bags.key)).read(patient(study, 0))
    assert bag.features.shape == (6, 1280)
    assert bag.slides.tolist() == [0, 0, 0, 1, 1, 1]
    assert bag.encoder.startswith("efficientnet_lite0")


def test_a_missing_folder_is_said(study, tmp_path, capsys):
    other = tmp_path / "study"
    other.mkdir()
    for name in ("patients.csv", "slides.csv"):
        shutil.copy(study / name, other)
    text = (study / "study.toml").read_text("utf-8")
    (other / "study.toml").write_text(text.replace('"features"', '"elsewhere"'), "utf-8")
    with pytest.raises(SystemExit) as stopped:
        main(["check", str(other)])
    assert stopped.value.code == 2
    assert "no such folder of patch features" in capsys.readouterr().err
