"""What a fitted model checks at the door, and outcomes that no model can learn from."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from metasight.cohort.outcome import NodalOutcome, SurvivalOutcome
from metasight.errors import FitError
from metasight.features.columns import Feature, FeatureTable, Kind
from metasight.models.fitted import AbstainingModel, require_nodal, require_survival
from metasight.models.registry import build, load
from metasight.models.settings import ModelSettings

HORIZONS = np.array([400, 900])


def cohort(n: int = 150, seed: int = 0):
    rng = np.random.default_rng(seed)
    values = pd.DataFrame(
        rng.normal(size=(n, 3)), columns=list("abc"), index=[f"P{i:03d}" for i in range(n)]
    )
    event = rng.exponential(1000 * np.exp(-values["a"].to_numpy())) + 1
    censor = rng.uniform(200, 2000, n)
    outcome = SurvivalOutcome(np.minimum(event, censor), (event <= censor).astype(np.int8))
    return FeatureTable(
        values, tuple(Feature(name=c, kind=Kind.CONTINUOUS) for c in "abc")
    ), outcome


COX = build(ModelSettings(kind="cox", name="cox"))


def test_horizons_ascend():
    table, outcome = cohort()
    fitted = COX.fit(table, outcome, seed=1)
    with pytest.raises(FitError, match="horizons must ascend"):
        fitted.predict(table, np.array([900, 400]))
    risk = fitted.predict(table, HORIZONS)
    assert (np.diff(risk, axis=1) >= 0).all()


def test_a_score_orders_patients_as_the_risk_does():
    table, outcome = cohort()
    fitted = COX.fit(table, outcome, seed=1)
    score, risk = fitted.score(table)[:, 0], fitted.predict(table, HORIZONS)[:, 1]
    assert (np.argsort(score) == np.argsort(risk)).all()


def test_patients_are_predicted_one_by_one():
    """A patient's risk does not depend on who is predicted beside him."""
    table, outcome = cohort()
    fitted = COX.fit(table, outcome, seed=1)
    whole = fitted.predict(table, HORIZONS)
    for name in table.values.index[:5]:
        alone = fitted.predict(table.rows([name]), HORIZONS)
        np.testing.assert_array_equal(alone[0], whole[table.values.index.get_loc(name)])


@pytest.mark.parametrize(
    ("time", "status", "problem"),
    [
        ([10.0, 20.0], [0, 2], "no patient has the event"),
        ([10.0, 10.0], [1, 0], "the same follow-up time"),
    ],
)
def test_follow_up_that_teaches_nothing(time, status, problem):
    with pytest.raises(FitError, match=problem):
        require_survival(SurvivalOutcome(np.array(time), np.array(status, np.int8)), "cox")


@pytest.mark.parametrize("stages", [[0, 0, -1], [1, 2, -1], [-1, -1]])
def test_stages_that_teach_nothing(stages):
    with pytest.raises(FitError, match="both negative and positive") as error:
        require_nodal(NodalOutcome(np.array(stages, np.int8)), "logistic")
    assert error.value.value.startswith(f"{sum(s >= 0 for s in stages)} examined")


def test_an_outcome_of_the_other_kind():
    nodal = NodalOutcome(np.array([0, 1], np.int8))
    survival = SurvivalOutcome(np.array([1.0, 2.0]), np.array([1, 0], np.int8))
    with pytest.raises(FitError, match="needs follow-up") as error:
        require_survival(nodal, "cox")
    assert "logistic" in error.value.remedy
    with pytest.raises(FitError, match="needs a nodal stage") as error:
        require_nodal(survival, "logistic")
    assert "Cox" in error.value.remedy
    assert require_nodal(nodal, "x") is nodal
    assert require_survival(survival, "x") is survival


def test_a_model_that_abstains_gives_the_same_risks_and_says_who_is_strange():
    table, outcome = cohort()
    careful = AbstainingModel(model=COX, modalities=("clinical",))
    assert careful.name == "cox"
    fitted, plain = careful.fit(table, outcome, seed=1), COX.fit(table, outcome, seed=1)
    np.testing.assert_array_equal(fitted.predict(table, HORIZONS), plain.predict(table, HORIZONS))
    assert plain.unlike(table) is None
    strange = FeatureTable(table.values.iloc[:2] + np.array([[0.0], [40.0]]), table.features)
    known, far = fitted.unlike(strange)
    assert known < 1 < far
    again = load(fitted.state)
    np.testing.assert_array_equal(again.unlike(strange), fitted.unlike(strange))
    assert again.state == fitted.state
