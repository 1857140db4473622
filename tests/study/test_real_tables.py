"""What honest cross-validation reaches on real patients (issue 2, "What it must show")."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from metasight import pipeline
from metasight.cohort.outcome import SurvivalOutcome
from metasight.cohort.splits import repeated_kfold
from metasight.demonstration import write_demonstration
from metasight.engine.progress import Silent
from metasight.features.columns import Feature, FeatureTable, Kind
from metasight.models import crossfit
from metasight.models.registry import build
from metasight.models.settings import ModelSettings
from metasight.predictions import Predictions
from metasight.steps.files import read_json
from metasight.study.file import read_study
from metasight.validation.evaluate import evaluate
from metasight.validation.results import Evaluation, EvaluationPlan

SHORTER = {
    "repeats = 5": "repeats = 2",
    "= 40": "= 4",
    "= 500": "= 100",
    "replicates = 3": "replicates = 1\ninterval_refits = 0",
}
"""Of the demonstration's numbers of repeats, refits and resamples; its own take minutes."""


@pytest.fixture(scope="module")
def demonstration(tmp_path_factory) -> Path:
    """The demonstration's study with fewer repeats, run in this process.

    On local workers each of them would import and compile all anew; that the command runs on them
    is looked at in ``test_run.py``.
    """
    folder = tmp_path_factory.mktemp("demonstration") / "breast-dmfs"
    write_demonstration(folder)
    path = folder / "study.toml"
    text = path.read_text("utf-8")
    for whole, less in SHORTER.items():
        assert text.count(whole) == 1, whole
        text = text.replace(whole, less)
    path.write_text(text, "utf-8")
    pipeline.run(read_study(folder), scheduler="inline", progress=Silent())
    return folder


@pytest.fixture(scope="module")
def transbig(demonstration) -> Evaluation:
    found = [
        Evaluation.from_json(read_json(p))
        for p in (demonstration / ".metasight" / "store").glob("*/*/evaluation.json")
    ]
    return max(found, key=lambda e: e.data.n_patients)


def test_transbig_clinical_model(transbig):
    assert (transbig.data.n_patients, transbig.data.n_events) == (196, 51)
    assert transbig.data.n_folds == 10
    c = transbig.models["clinical"].harrell_c
    assert 0.60 <= c.value <= 0.65, c
    assert c.lower < c.value < c.upper


def five_years(evaluation: Evaluation, model: str):
    return next(t for t in evaluation.models[model].targets if t.horizon_days == 1826)


def test_transbig_with_genes(transbig):
    found = transbig.models["forest, clinical + genes"]
    assert found.harrell_c.value >= 0.67
    assert five_years(transbig, found.model).auc.value >= 0.72


def test_transbig_headline_model(transbig):
    # How far the folds alone move it: with five keys of the pseudonyms, which sort patients into
    # folds, C by ten years was 0.644, 0.678, 0.685, 0.700 and 0.708. A bar of 0.66 stood here that
    # only some of them pass; the key is not chosen by it.
    found = transbig.models["clinical + genes"]
    assert 0.60 <= found.harrell_c.value <= 0.75
    assert (
        found.harrell_c.value > transbig.models["clinical + genes, without genes"].harrell_c.value
    )


def test_transbig_checks_ran(demonstration):
    store = demonstration / ".metasight" / "store"
    checks = read_json(next(store.glob("*/*/checks.json")))
    verdicts = {c["id"]: c["verdict"] for c in checks}
    assert verdicts["folds-disjoint"] == "pass"
    assert verdicts["corrupt-test-rows"] == "pass"
    assert verdicts["noise-replay"] == "pass"
    assert verdicts["centre-shortcut"] == "not done"
    assert verdicts["windows"] == "warn"


def cross_validated(
    frame: pd.DataFrame, columns: dict[str, Kind], settings: ModelSettings, repeats: int
) -> Evaluation:
    values = frame[list(columns)].astype(float)
    values.index = pd.Index([f"P{i:05d}" for i in range(len(values))], name="patient")
    features = tuple(
        Feature(name=n, kind=k, spline=k is Kind.CONTINUOUS) for n, k in columns.items()
    )
    outcome = SurvivalOutcome(frame["time"].to_numpy(float), frame["status"].to_numpy(np.int8))
    blank = pd.Series("all", index=values.index)
    data = crossfit.Data(
        tuple(values.index), FeatureTable(values, features), outcome, blank, blank, "e"
    )
    splits = repeated_kfold(data.patients, outcome.status, folds=5, repeats=repeats, seed=1)
    model = build(settings)
    horizons = np.array([365, 731, 1096, 1461, 1826])
    predictions = Predictions.concat(
        crossfit.fit_fold(model, data, s, horizons, seed=1).predictions for s in splits
    )
    plan = EvaluationPlan(
        endpoint="e",
        horizons_days=(1826,),
        tau_days=1826,
        reference_model=settings.name,
        headline_model=settings.name,
        n_bootstrap=50,
        n_curve_bootstrap=20,
    )
    return evaluate(predictions, plan)


def test_gbsg2(shared):
    frame = pd.read_csv(shared / "reference" / "statistics" / "data" / "gbsg2.csv")
    frame["status"] = frame["event"]
    columns = {
        "age": Kind.CONTINUOUS,
        "tsize": Kind.CONTINUOUS,
        "pnodes": Kind.CONTINUOUS,
        "progrec": Kind.CONTINUOUS,
        "estrec": Kind.CONTINUOUS,
        "tgrade": Kind.ORDINAL,
        "horTh": Kind.BINARY,
        "post": Kind.BINARY,
    }
    settings = ModelSettings(kind="cox", name="cox", splines=True)
    found = cross_validated(frame, columns, settings, repeats=5).models["cox"]
    assert found.harrell_c.value >= 0.69


def test_rotterdam_competing_risks(shared):
    frame = pd.read_csv(shared / "reference" / "statistics" / "data" / "rotterdam.csv")
    columns = {
        "age": Kind.CONTINUOUS,
        "nodes": Kind.CONTINUOUS,
        "pgr": Kind.CONTINUOUS,
        "er": Kind.CONTINUOUS,
        "size2": Kind.BINARY,
        "size3": Kind.BINARY,
        "grade3": Kind.BINARY,
        "meno": Kind.BINARY,
        "hormon": Kind.BINARY,
        "chemo": Kind.BINARY,
    }
    settings = ModelSettings(kind="fine_gray", name="fine-gray", splines=True)
    evaluation = cross_validated(frame, columns, settings, repeats=3)
    assert evaluation.kind == "competing"
    (target,) = evaluation.models["fine-gray"].targets
    assert target.auc.value >= 0.73
    assert target.ipa.value >= 0.15
