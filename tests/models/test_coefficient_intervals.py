"""Standard errors of coefficients are those of R; a penalised fit has none."""

from __future__ import annotations

import numpy as np
import pytest

from metasight.cohort.outcome import NodalOutcome, SurvivalOutcome
from metasight.models.coefficient_intervals import coefficient_intervals
from metasight.models.registry import ModelSettings, build
from models.conftest import TERMS


def survival(frame, *, competing: bool) -> SurvivalOutcome:
    status = frame["status"].to_numpy(np.int8)
    return SurvivalOutcome(
        frame["time"].to_numpy(float), status if competing else (status == 1).astype(np.int8)
    )


def intervals(kind: str, table, outcome, **settings):
    fitted = build(ModelSettings(kind=kind, name="m", **settings)).fit(table, outcome, seed=0)
    return fitted, coefficient_intervals(fitted, table, outcome)


@pytest.mark.parametrize(
    ("kind", "competing", "named"),
    [("cox", False, "cox"), ("cause_specific_cox", True, "cox"), ("fine_gray", True, "crr")],
)
def test_they_are_those_of_coxph_and_crr(kind, competing, named, made_up, by_r):
    table, frame = made_up
    _, found = intervals(kind, table, survival(frame, competing=competing))
    np.testing.assert_allclose([found[t].value for t in TERMS], by_r[f"{named} coef"], atol=1e-6)
    np.testing.assert_allclose([found[t].se for t in TERMS], by_r[f"{named} se"], rtol=1e-6)
    for one in found.values():
        low, high = one.ends
        assert (low, high) == pytest.approx(
            (one.value - 1.959963985 * one.se, one.value + 1.959963985 * one.se), abs=1e-8
        )


def test_transbig_and_gbsg2_have_the_errors_of_coxph(reference, values, continuous_table):
    for study, file in (("transbig_clinical", "transbig.csv"), ("gbsg2", "gbsg2.csv")):
        expected = values[study]["cox_efron"]
        table, outcome, _ = continuous_table(reference / "data" / file, expected["terms"], "event")
        _, found = intervals("cox", table, outcome)
        errors = [found[t].se for t in expected["terms"]]
        np.testing.assert_allclose(errors, expected["se"], rtol=1e-6)


def test_errors_of_crr_on_rotterdam(reference, values, continuous_table):
    expected = values["rotterdam"]["crr_cause1"]
    table, outcome, _ = continuous_table(
        reference / "data" / "rotterdam.csv", expected["terms"], "status"
    )
    _, found = intervals("fine_gray", table, outcome)
    errors = [found[t].se for t in expected["terms"]]
    np.testing.assert_allclose(errors, expected["se"], rtol=1e-6)


@pytest.mark.parametrize("kind", ["elastic_net_cox", "forest"])
def test_a_penalised_model_or_a_forest_has_none(kind, made_up):
    table, frame = made_up
    _, found = intervals(kind, table, survival(frame, competing=False))
    assert found == {}


@pytest.mark.parametrize("kind", ["ordinal", "logistic"])
def test_a_penalised_regression_of_stage_has_none(kind, made_up):
    table, frame = made_up
    stage = frame["positive"].to_numpy(np.int8) * (1 + (frame["stage"] == "c").to_numpy(np.int8))
    _, found = intervals(kind, table, NodalOutcome(stage))
    assert found == {}


def test_the_order_of_the_patients_changes_nothing(made_up):
    table, frame = made_up
    outcome = survival(frame, competing=False)
    fitted, found = intervals("cox", table, outcome)
    turned = np.arange(len(frame))[::-1]
    again = coefficient_intervals(
        fitted, table.rows(table.values.index[turned]), outcome.take(turned)
    )
    assert again == found
