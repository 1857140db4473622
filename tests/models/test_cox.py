import numpy as np
import pytest

from metasight.cohort.outcome import SurvivalOutcome
from metasight.errors import FitError
from metasight.features.columns import Feature, FeatureTable, Kind
from metasight.models.cox import fit_hazard
from metasight.models.registry import ModelSettings, build


@pytest.mark.parametrize(
    ("study", "file"), [("transbig_clinical", "transbig.csv"), ("gbsg2", "gbsg2.csv")]
)
def test_coefficients_and_risks_are_those_of_coxph(
    study, file, reference, values, continuous_table
):
    expected = values[study]
    terms = expected["cox_efron"]["terms"]
    table, outcome, _ = continuous_table(reference / "data" / file, terms, "event")
    fitted = build(ModelSettings(kind="cox", name="cox")).fit(table, outcome, seed=0)
    found = fitted.state["head"]["fit"]["coefficients_per_unit"]
    np.testing.assert_allclose([found[t] for t in terms], expected["cox_efron"]["coef"], atol=1e-6)
    risk = fitted.predict(table, np.array([1826]))[:10, 0]
    np.testing.assert_allclose(risk, expected["apparent_pred_first10"]["risk5"], atol=1e-8)


@pytest.mark.parametrize(
    ("study", "file"), [("transbig_clinical", "transbig.csv"), ("gbsg2", "gbsg2.csv")]
)
def test_baseline_hazard_is_that_of_basehaz(study, file, reference, values, continuous_table):
    expected = values[study]
    terms = expected["cox_efron"]["terms"]
    table, outcome, _ = continuous_table(reference / "data" / file, terms, "event")
    fitted = build(ModelSettings(kind="cox", name="cox")).fit(table, outcome, seed=0)
    # basehaz(centered = FALSE): the cumulative hazard of a patient whose columns are all zero.
    nobody = FeatureTable(table.values.iloc[:1] * 0.0, table.features)
    hazard = -np.log1p(-fitted.predict(nobody, np.array(expected["times"]))[0])
    np.testing.assert_allclose(hazard, expected["basehaz0_at_times"], rtol=1e-7)


def test_held_out_risks_are_those_of_r(reference, values, continuous_table):
    expected = values["gbsg2"]["split"]
    table, outcome, frame = continuous_table(
        reference / "data" / "gbsg2.csv", expected["cox"]["terms"], "event"
    )
    test = np.flatnonzero(frame["test"] == 1)
    train = np.flatnonzero(frame["test"] == 0)
    fitted = build(ModelSettings(kind="cox", name="cox")).fit(
        table.rows(table.values.index[train]), outcome.take(train), seed=0
    )
    risk = fitted.predict(table.rows(table.values.index[test]), np.array([1826]))[:10, 0]
    np.testing.assert_allclose(risk, expected["risk5_first10"], atol=1e-8)


def test_separation_is_refused_not_reported_as_a_huge_ratio(simulated):
    x, time, event = simulated()
    marker = np.where(~event & (np.arange(len(event)) < 60), 1.0, 0.0)
    matrix = np.column_stack([x[:, :2], (marker - marker.mean()) / marker.std()])
    with pytest.raises(FitError, match="no reliable maximum"):
        fit_hazard(matrix, time, event, model="cox")


def test_aliased_columns_are_dropped_and_noted():
    rng = np.random.default_rng(0)
    import pandas as pd

    a = rng.normal(size=90)
    values = pd.DataFrame({"a": a, "b": 2 * a + 1, "c": rng.normal(size=90), "d": 1.0})
    values.index = [f"p{i:02d}" for i in range(90)]
    table = FeatureTable(values, tuple(Feature(name=c, kind=Kind.CONTINUOUS) for c in values))
    outcome = SurvivalOutcome(rng.exponential(size=90) + 0.1, np.ones(90, dtype=np.int8))
    fitted = build(ModelSettings(kind="cox", name="cox")).fit(table, outcome, seed=0)
    assert list(fitted.state["head"]["fit"]["coefficients_per_unit"]) == ["a", "c"]
    notes = " ".join(fitted.state["notes"])
    assert "b: determined by other columns" in notes
    assert "d: constant in training" in notes
