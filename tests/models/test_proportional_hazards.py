"""The test of proportional hazards is R's cox.zph."""

from __future__ import annotations

import numpy as np
import pytest

from metasight.cohort.outcome import SurvivalOutcome
from metasight.models.coefficient_intervals import risk_sets_of
from metasight.models.proportional_hazards import (
    GLOBAL,
    kaplan_meier_time,
    proportional_hazards,
)
from metasight.models.registry import ModelSettings, build
from metasight.models.risk_sets import RiskSets

ORDER = ["size", "marker", "node", "stage", GLOBAL]


@pytest.mark.parametrize("transform", ["km", "identity"])
def test_it_is_that_of_cox_zph(transform, made_up, by_r):
    table, frame = made_up
    status = (frame["status"] == 1).to_numpy(np.int8)
    outcome = SurvivalOutcome(frame["time"].to_numpy(float), status)
    fitted = build(ModelSettings(kind="cox", name="m")).fit(table, outcome, seed=0)
    sets = risk_sets_of(fitted, table, outcome)
    owners = [c.partition("=")[0] for c in fitted.reader.columns]
    found = {t.term: t for t in proportional_hazards(sets, owners, transform=transform)}
    assert list(found)[-1] == GLOBAL
    for name in ("chisq", "df", "p"):
        np.testing.assert_allclose(
            [getattr(found[t], name) for t in ORDER],
            by_r[f"zph {transform} {name}"],
            rtol=1e-6,
            atol=1e-8,
        )


def test_time_by_kaplan_meier_is_that_before_the_day():
    time = np.array([1.0, 2.0, 2.0, 3.0, 4.0])
    event = np.array([True, True, False, False, True])
    found = kaplan_meier_time(time, event)
    assert found == pytest.approx([0.0, 0.2, 0.2, 0.4, 0.4])


@pytest.mark.parametrize(
    ("study", "file"), [("transbig_clinical", "transbig.csv"), ("gbsg2", "gbsg2.csv")]
)
def test_real_tables_have_r_s_values(study, file, reference, values, continuous_table):
    terms = values[study]["cox_efron"]["terms"]
    table, outcome, _ = continuous_table(reference / "data" / file, terms, "event")
    fitted = build(ModelSettings(kind="cox", name="m")).fit(table, outcome, seed=0)
    sets = risk_sets_of(fitted, table, outcome)
    found = {t.term: t for t in proportional_hazards(sets, fitted.reader.owners)}
    expected = values[study]["cox_zph"]
    order = expected["terms"]
    np.testing.assert_allclose([found[t].chisq for t in order], expected["chisq"], rtol=1e-6)
    np.testing.assert_allclose([found[t].p for t in order], expected["p"], rtol=1e-6)


def test_events_that_cannot_tell_the_columns_apart_give_no_test():
    rng = np.random.default_rng(2)
    x, time = rng.normal(size=(40, 4)), np.arange(1.0, 41.0)
    late = RiskSets.of(x, time, time > 38, np.zeros(4))  # two at risk, then one
    assert proportional_hazards(late, list("abcd")) == ()
    one = RiskSets.of(x[:, :1], time, time == 5, np.zeros(1))
    assert proportional_hazards(one, ["a"]) == ()
