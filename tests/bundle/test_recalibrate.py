"""A recalibrated bundle: names its parent, predicts like any bundle, and says what it is."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from json_schema import problems
from metasight import bundle, pipeline
from metasight.bundle.card import model_card
from metasight.bundle.content import Parent
from metasight.bundle.lock import LISTING
from metasight.bundle.predict import patient_features, predict
from metasight.bundle.recalibrate import line_of, recalibrated_bands, recalibrated_bundle
from metasight.engine.progress import Silent
from metasight.errors import FitError, StoreError, StudyError
from metasight.features.columns import FeatureTable
from metasight.features.images import ImageFolders
from metasight.models.patient_interval import Band
from metasight.provenance import hash_file
from metasight.steps.risk.predicting import to_json

SCHEMAS = Path(__file__).parents[2] / "docs" / "schema"
PARENT = Parent(
    content="ab" * 32,
    run="abc123",
    method="slope",
    intercept=0.4,
    slope=0.8,
    horizon_days=1826,
    coefficients=(),
    covariance=((0.04, 0.0), (0.0, 0.01)),
    patients=150,
    events=31,
    log_loss_change=-0.012,
    se=0.004,
    recommended="slope",
)
CERTAIN = ((0.0, 0.0), (0.0, 0.0))
NOTHING = np.zeros((1, 0))
"""What the head reads: of a line alone nothing is asked."""


@pytest.fixture(scope="module")
def locked(developed):
    return bundle.read(developed / "results" / "latest" / "bundle")


@pytest.fixture(scope="module")
def parent(locked):
    return replace(PARENT, horizon_days=locked.horizons_days[-1])


def one_patient(locked) -> FeatureTable:
    known = {"age_years": 60.0, "tumour_size_mm": 25.0, "positive_nodes": 1.0, "grade": 2.0}
    row = {f.name: known.get(f.name, 1.0) for f in locked.features}
    frame = pd.DataFrame([row], index=["P1"])[[f.name for f in locked.features]]
    return FeatureTable(frame, locked.features)


def cloglog(risk):
    return np.log(-np.log1p(-risk))


def told_of(locked):
    table = patient_features(locked, one_patient(locked))
    (told,) = predict(locked, table, ImageFolders(), refused={}, unassessed={})
    return told


def test_it_is_saved_read_and_predicts_on_the_line(locked, parent, tmp_path):
    new = recalibrated_bundle(locked, parent, ["mark"])
    bundle.save(new, tmp_path / "new")
    read = bundle.read(tmp_path / "new")
    assert read.parent == parent
    assert "mark" in read.overlap["marks"]
    assert set(locked.overlap["marks"]) < set(read.overlap["marks"])
    before, after = told_of(locked), told_of(read)
    for old, moved in zip(before.risks, after.risks, strict=True):
        assert moved.risk.lower <= moved.risk.value <= moved.risk.upper
        assert 0 <= moved.percentile <= 100
        assert old.target == moved.target
    last, was = after.risks[-1].risk.value, before.risks[-1].risk.value
    expected = 0.4 + 0.8 * np.log(-np.log1p(-was))
    assert np.log(-np.log1p(-last)) == pytest.approx(expected, abs=1e-3)


def test_the_interval_is_the_parents_through_the_line(locked, parent):
    new = recalibrated_bundle(locked, parent, [])
    told = locked.patient_intervals().bands(one_patient(locked))
    bands = recalibrated_bands(told, parent, NOTHING)
    for r in told_of(new).risks:
        lower, upper = float(bands[r.target].lower[0]), float(bands[r.target].upper[0])
        assert r.risk.ends == (min(lower, r.risk.value), max(upper, r.risk.value))


@pytest.fixture(scope="module")
def refitted(locked, parent):
    """Every column gets a correction, one with a standard error of 0.3."""
    p = len(locked.model(locked.headline_model).reader.columns)
    z = locked.model(locked.headline_model).reader.matrix(one_patient(locked))[0]
    strongest = int(np.argmax(np.abs(z)))
    coefficients = np.full(p, -0.2)
    coefficients[strongest] = 0.5
    covariance = np.zeros((p + 2, p + 2))
    covariance[2 + strongest, 2 + strongest] = 0.09
    return replace(
        parent,
        method="refit",
        coefficients=tuple(coefficients.tolist()),
        covariance=tuple(tuple(row) for row in covariance.tolist()),
    )


def test_a_refit_adds_what_its_columns_say_and_widens_by_their_error(
    locked, parent, refitted, tmp_path
):
    bundle.save(recalibrated_bundle(locked, refitted, []), tmp_path / "new")
    read = bundle.read(tmp_path / "new")
    assert read.parent == refitted
    table = patient_features(locked, one_patient(locked))
    z = locked.model(locked.headline_model).reader.matrix(table)[0]
    was = told_of(locked).risks[-1].risk.value
    now = told_of(read).risks[-1]
    added = z @ np.array(refitted.coefficients)
    expected = 0.4 + 0.8 * cloglog(was) + added
    assert cloglog(now.risk.value) == pytest.approx(expected, abs=1e-3)
    assert now.percentile is None
    certain = replace(refitted, covariance=tuple(map(tuple, np.zeros((len(z) + 2,) * 2).tolist())))
    narrow = told_of(recalibrated_bundle(locked, certain, [])).risks[-1].risk
    assert now.risk.lower < narrow.lower < narrow.upper < now.risk.upper
    # the wider arm on the scale of the risk is the root of both squares
    bands = locked.patient_intervals().bands(one_patient(locked))
    sure, wide = (recalibrated_bands(bands, p, z[None])[now.target] for p in (certain, refitted))
    arms = [cloglog(b.upper[0]) - cloglog(b.centre[0]) for b in (sure, wide)]
    reach = 1.959964 * 0.3 * np.abs(z).max()
    assert arms[1] ** 2 - arms[0] ** 2 == pytest.approx(reach**2, rel=1e-4)


def test_a_refit_drops_refits_that_read_other_columns_and_the_card_counts_its_own(locked, refitted):
    new = recalibrated_bundle(locked, refitted, [])
    assert new.refits == ()
    assert new.standing.quantiles == {}
    assert f"and {len(refitted.coefficients)} corrections of the coefficients" in model_card(new)


@pytest.mark.parametrize("change", [{"coefficients": (0.1,)}, {"covariance": CERTAIN}])
def test_a_refit_of_another_width_is_refused(locked, refitted, change, tmp_path):
    new = recalibrated_bundle(locked, replace(refitted, **change), [])
    bundle.save(new, tmp_path / "new")
    with pytest.raises(StoreError):
        bundle.read(tmp_path / "new")


def test_other_models_are_the_parents(locked, parent):
    new = recalibrated_bundle(locked, parent, [])
    assert new.states[locked.reference_model] == locked.states[locked.reference_model]
    assert new.states[locked.headline_model] != locked.states[locked.headline_model]
    assert len(new.refits) == len(locked.refits)


def test_twice_is_refused(locked, parent):
    with pytest.raises(FitError, match="already"):
        recalibrated_bundle(recalibrated_bundle(locked, parent, []), parent, [])


def test_the_card_says_on_how_many_and_that_nobody_else_was_looked_at(locked, parent):
    card = model_card(recalibrated_bundle(locked, parent, []))
    assert card.startswith(f"# Model card: {locked.headline_model}, recalibrated")
    assert "150 external patients with 31 events" in card
    assert "has not been validated in any other patients" in card
    assert parent.content in card
    assert "before recalibration" in card
    assert "Recalibration" not in model_card(locked)


def test_a_damaged_parent_is_refused(locked, parent, tmp_path):
    bundle.save(recalibrated_bundle(locked, parent, []), tmp_path / "new")
    about = json.loads((tmp_path / "new" / "bundle.json").read_text())
    about["parent"]["slope"] = -1
    (tmp_path / "new" / "bundle.json").write_text(json.dumps(about))
    hashes = json.loads((tmp_path / "new" / LISTING).read_text())
    hashes["bundle.json"] = hash_file(tmp_path / "new" / "bundle.json")
    (tmp_path / "new" / LISTING).write_text(json.dumps(hashes))
    with pytest.raises(StoreError, match="incomplete or invalid"):
        bundle.read(tmp_path / "new")


def band(lower, centre, upper) -> Band:
    return Band(lower=np.array([lower]), centre=np.array([centre]), upper=np.array([upper]))


def test_a_patients_interval_goes_along_and_is_wider_by_the_lines_error():
    bands = {"1826": band(0.1, 0.2, 0.35), "913": band(0.05, 0.1, 0.2)}
    sure = recalibrated_bands(bands, replace(PARENT, covariance=CERTAIN), NOTHING)
    wide = recalibrated_bands(bands, PARENT, NOTHING)
    eta = 0.4 + 0.8 * np.log(-np.log1p(-np.array([0.1, 0.2, 0.35])))
    wanted = -np.expm1(-np.exp(eta))
    own = sure["1826"]
    assert [own.lower[0], own.centre[0], own.upper[0]] == pytest.approx(wanted.tolist())
    for target in bands:
        assert wide[target].lower[0] < sure[target].lower[0]
        assert wide[target].upper[0] > sure[target].upper[0]
        assert wide[target].centre[0] == pytest.approx(sure[target].centre[0])
    assert recalibrated_bands({"913": bands["913"]}, PARENT, NOTHING) == {}


def test_of_stages_n0_and_n2_have_an_interval_and_n1_a_difference_has_none():
    line = replace(PARENT, horizon_days=None, covariance=CERTAIN)
    bands = {"N0": band(0.6, 0.7, 0.8), "N1": band(0.1, 0.2, 0.3), "N2": band(0.05, 0.1, 0.2)}
    moved = recalibrated_bands(bands, line, NOTHING)
    assert set(moved) == {"N0", "N2"}
    assert moved["N2"].lower[0] == pytest.approx(float(line_of(line).odds(np.array(0.05))))
    assert moved["N0"].lower[0] == pytest.approx(1 - float(line_of(line).odds(np.array(0.4))))
    assert moved["N0"].lower[0] < moved["N0"].centre[0] < moved["N0"].upper[0]


def test_a_validation_writes_it_and_another_on_the_same_patients_is_refused(
    developed, others, tmp_path
):
    folder = others(outcomes=True)
    new = pipeline.NewBundle(method="in-the-large", folder=tmp_path / "new")
    pipeline.validate(developed, folder, scheduler="inline", progress=Silent(), recalibrated=new)
    read = bundle.read(new.folder)
    parent = developed / "results" / "latest" / "bundle"
    assert read.parent.content == hash_file(parent / LISTING)
    assert (read.parent.method, read.parent.slope) == ("in-the-large", 1.0)
    assert 0 < read.parent.events < read.parent.patients <= 60
    told = to_json(read, ())
    schema = json.loads((SCHEMAS / "predictions.json").read_text("utf-8"))
    assert problems(told, schema, schema) == []
    assert told["recalibrated"] == {
        "method": "in-the-large",
        "patients": read.parent.patients,
        "events": read.parent.events,
    }
    with pytest.raises(StudyError, match="exists already"):
        pipeline.validate(
            developed, folder, scheduler="inline", progress=Silent(), recalibrated=new
        )
    again = pipeline.NewBundle(method="refit", folder=tmp_path / "again")
    with pytest.raises(StudyError, match="recalibrated already"):
        pipeline.validate(
            new.folder, folder, scheduler="inline", progress=Silent(), recalibrated=again
        )
    with pytest.raises(StudyError, match="none of these patients"):
        pipeline.validate(new.folder, folder, scheduler="inline", progress=Silent())
