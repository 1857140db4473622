"""The next patient gets the study's own answer, with its interval and what it rests on."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from json_schema import problems
from metasight import bundle, pipeline
from metasight.bundle.predict import PatientPrediction, patient_features, predict
from metasight.engine.progress import Silent
from metasight.errors import StudyError
from metasight.features.columns import Feature, FeatureTable, Kind
from metasight.features.images import ImageFolders
from metasight.steps.risk.predicting import to_json

SCHEMAS = Path(__file__).parents[2] / "docs" / "schema"


@pytest.fixture(scope="module")
def locked(developed):
    return bundle.read(developed / "results" / "latest" / "bundle")


def table_of(locked, **values: object) -> FeatureTable:
    known = {"age_years": 60.0, "tumour_size_mm": 25.0, "positive_nodes": 1.0, "grade": 2.0}
    row = {f.name: known.get(f.name, 1.0) for f in locked.features}
    row |= values
    frame = pd.DataFrame([row], index=["P1"])[[f.name for f in locked.features]]
    return FeatureTable(frame, locked.features)


def one(locked, table, **said):
    told = predict(
        locked,
        patient_features(locked, table),
        ImageFolders(),
        refused=said.get("refused", {}),
        unassessed=said.get("unassessed", {}),
    )
    assert len(told) == 1
    return told[0]


def test_the_risk_is_the_models_own_and_lies_in_its_interval(locked):
    table = table_of(locked)
    told = one(locked, table)
    expected = locked.model("forest").predict(table, np.array(locked.horizons_days))[0]
    assert [r.risk.value for r in told.risks] == expected.tolist()
    for r in told.risks:
        assert r.risk.lower <= r.risk.value <= r.risk.upper
        assert r.risk.lower < r.risk.upper
        assert 0 <= r.percentile <= 100


def test_too_few_refits_give_no_interval(locked):
    from dataclasses import replace

    few = replace(locked, intervals=None, refits=locked.refits[:19])
    (risk,) = one(few, table_of(few)).risks
    assert risk.risk.lower is None
    assert risk.risk.upper is None


def test_its_interval_is_of_the_interval_refits_and_reaches_to_the_risk(locked):
    table = table_of(locked)
    bands = locked.patient_intervals().bands(table)
    for r in one(locked, table).risks:
        lower, upper = float(bands[r.target].lower[0]), float(bands[r.target].upper[0])
        assert r.risk.ends == (min(lower, r.risk.value), max(upper, r.risk.value))
    assert to_json(locked, [])["interval"] == "true risk"
    assert to_json(locked, [])["refits"] == 200


def test_a_bundle_without_them_has_the_spread_of_the_models_own_refits(locked):
    from dataclasses import replace

    old = replace(locked, intervals=None)
    ends = [r.risk.ends for r in one(old, table_of(old)).risks]
    assert ends != [r.risk.ends for r in one(locked, table_of(locked)).risks]
    assert to_json(old, [])["interval"] == "refits"
    assert to_json(old, [])["refits"] == 22


def test_a_feature_adds_what_the_risk_loses_without_it(locked):
    """By hand: the same model asked with and without the grade."""
    table = table_of(locked, grade=3.0)
    told = one(locked, table)
    without = table_of(locked, grade=np.nan)
    horizons = np.array(locked.horizons_days)
    model = locked.model("forest")
    by_hand = 100 * (model.predict(table, horizons) - model.predict(without, horizons))[0, -1]
    grade = next(c for c in told.contributions if c.name == "grade")
    assert grade.points == pytest.approx(by_hand, abs=1e-12)
    sizes = [abs(c.points) for c in told.contributions]
    assert sizes == sorted(sizes, reverse=True)


def test_what_is_missing_is_said_and_filled_in_as_in_training(locked):
    told = one(locked, table_of(locked, grade=np.nan))
    assert told.missing == ("grade",)
    assert told.risks
    assert "grade" not in {c.name for c in told.contributions}


def test_a_patient_without_any_value_gets_no_risk(locked):
    empty = table_of(locked, **{f.name: np.nan for f in locked.features})
    told = one(locked, empty)
    assert told.risks == ()
    assert told.why_none == ("none of the features that the model reads is known",)


def test_who_is_refused_is_told_why_and_nothing_else(locked):
    told = one(locked, table_of(locked), refused={"P1": ("not eligible: I1, female",)})
    assert told.risks == ()
    assert told.why_none == ("not eligible: I1, female",)


def test_a_modality_that_was_not_measured_is_missing_columns(locked):
    narrow = table_of(locked)
    kept = tuple(f for f in locked.features if f.name != "grade")
    table = FeatureTable(narrow.values[[f.name for f in kept]], kept)
    assert one(locked, table).missing == ("grade",)


def test_a_column_of_another_kind_is_refused(locked):
    text = Feature(name="grade", kind=Kind.CATEGORICAL, levels=("low", "high"))
    features = tuple(text if f.name == "grade" else f for f in locked.features)
    values = table_of(locked).values.assign(grade="low")
    with pytest.raises(StudyError, match="grade is categorical, the locked models read it as"):
        patient_features(locked, FeatureTable(values, features))


# ------------------------------------------------------------------ from a folder of patients


@pytest.fixture(scope="module")
def predicted(developed, others, tmp_path_factory):
    out = tmp_path_factory.mktemp("predicted") / "out"
    folder = others(outcomes=False, edit=lambda t: t.head(6))
    pipeline.predict(
        developed / "results" / "latest" / "bundle.zip",
        folder,
        out,
        scheduler="inline",
        progress=Silent(),
    )
    return folder, out, json.loads((out / "predictions.json").read_text())


def test_predict_and_validate_give_the_same_risks_to_the_last_bit(developed, others, predicted):
    """The bundle as a folder here and as a zip there; raw values on both sides."""
    external = others(outcomes=True)
    found = pipeline.validate(
        developed / "results" / "latest" / "bundle", external, scheduler="inline", progress=Silent()
    )
    table = pd.read_parquet(found / "predictions.parquet")
    table = table[table["model"] == "forest"]
    validated = {(r.patient, int(r.horizon_days)): r.risk for r in table.itertuples()}
    told = {
        (p["patient"], int(r["target"])): r["risk"]["value"]
        for p in predicted[2]["patients"]
        for r in p["risks"]
    }
    assert len(told) == 6
    assert {k: validated[k] for k in told} == told


def test_predictions_are_as_their_schema_says(predicted):
    schema = json.loads((SCHEMAS / "predictions.json").read_text("utf-8"))
    told = predicted[2]
    assert any(p["risks"] for p in told["patients"])
    assert problems(told, schema, schema) == []


def test_a_refused_patient_is_as_the_schema_says(locked):
    schema = json.loads((SCHEMAS / "predictions.json").read_text("utf-8"))
    refused = PatientPrediction(patient="P", why_none=("not eligible: I1",), unassessed=("I2",))
    told = json.loads(json.dumps(to_json(locked, [refused])))
    assert problems(told, schema, schema) == []
    del told["patients"][0]["distance"]
    assert problems(told, schema, schema) == ["$.patients[0] lacks distance"]


def test_a_page_for_every_patient_says_that_it_is_research(predicted):
    _, out, told = predicted
    for p in told["patients"]:
        page = (out / "pages" / f"{p['patient']}.html").read_text("utf-8")
        assert "not a medical device" in page
        assert (out / "pages" / f"{p['patient']}.pdf").read_bytes().startswith(b"%PDF")
        assert "OTHER-" not in page
    text = (out / "predictions.json").read_text()
    assert "OTHER-" not in text


def test_an_outcome_is_refused(developed, others, tmp_path):
    with pytest.raises(StudyError, match=r"an outcome is given .*distant_metastasis"):
        pipeline.predict(
            developed,
            others(outcomes=True),
            tmp_path / "out",
            scheduler="inline",
            progress=Silent(),
        )


def test_a_protocol_of_another_version_is_refused(developed, others, tmp_path):
    from importlib.resources import files

    folder = others(outcomes=False)
    text = files("metasight.protocol").joinpath("breast_dmfs.toml").read_text("utf-8")
    other = re.sub(r'^version = ".*"', 'version = "9.9.9"', text, count=1, flags=re.M)
    (folder / "own.toml").write_text(other)
    told = (folder / "study.toml").read_text()
    (folder / "study.toml").write_text(told.replace('"breast-dmfs"', '"own.toml"'))
    with pytest.raises(StudyError, match=r"another protocol \(value: breast-dmfs, version 9.9.9\)"):
        pipeline.predict(developed, folder, tmp_path / "out", scheduler="inline", progress=Silent())


def test_an_ineligible_patient_gets_no_risk(developed, others, tmp_path):
    def too_young(table):
        table = table.head(3).copy()
        table.loc[table.index[0], "age"] = 16
        return table

    out = tmp_path / "out"
    pipeline.predict(
        developed,
        others(outcomes=False, edit=too_young),
        out,
        scheduler="inline",
        progress=Silent(),
    )
    told = json.loads((out / "predictions.json").read_text())["patients"]
    why = [p["why_none"] for p in told]
    (young,) = (w for w in why if w)
    assert "not eligible: I1" in young[0]


def test_a_single_patient_is_no_reason_to_doubt_a_unit(developed, others, tmp_path):
    """A median of one patient of 88 years says nothing of units."""

    def old(table):
        return table.head(1).assign(age=89.0, size=70.0)

    out = tmp_path / "out"
    pipeline.predict(
        developed, others(outcomes=False, edit=old), out, scheduler="inline", progress=Silent()
    )
    assert json.loads((out / "predictions.json").read_text())["patients"][0]["risks"]


def test_another_output_folder_is_not_overwritten(developed, others, tmp_path):
    (tmp_path / "letters.txt").write_text("mine")
    with pytest.raises(StudyError, match="not empty"):
        pipeline.predict(
            developed,
            others(outcomes=False, edit=lambda t: t.head(1)),
            tmp_path,
            scheduler="inline",
            progress=Silent(),
        )
    assert (tmp_path / "letters.txt").read_text() == "mine"


# ------------------------------------------------------------------ validation


def test_training_patients_among_the_external_ones_are_left_out_and_said(developed, others):
    def some_again(table):
        known = pd.read_csv(developed / "patients.csv", dtype=str).head(5)
        known["id"] = [f"AGAIN-{k}" for k in range(5)]  # the other hospital's own numbers
        return pd.concat([table.iloc[5:], known])

    folder = others(outcomes=True, edit=some_again)
    found = pipeline.validate(developed, folder, scheduler="inline", progress=Silent())
    ledger = pd.read_parquet(found / "ledger.parquet")
    both = ledger[ledger["stage"] == "validation"]
    assert len(both) == 5
    assert both["reason"].str.contains("also among the training patients").all()
    early = ledger[ledger["reason"].str.contains("by day 120, on which patients enter")]
    left = len(set(early["patient"]) - set(both["patient"]))
    assert pd.read_parquet(found / "predictions.parquet")["patient"].nunique() == 55 - left


def test_the_other_hospitals_own_results_are_left_alone(developed, others):
    folder = others(outcomes=True)
    (folder / "results" / "mine").mkdir(parents=True)
    (folder / "results" / "latest").symlink_to("mine")
    found = pipeline.validate(developed, folder, scheduler="inline", progress=Silent())
    assert (folder / "results" / "latest").resolve().name == "mine"
    assert (folder / "results" / "latest-validation").resolve() == found.resolve()
