import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metasight.errors import EvaluationError
from metasight.validation.decision_curve import net_benefit, net_benefit_class
from oracles.product_limit import incidence

from .follow_ups import few


def test_by_hand():
    got = net_benefit_class([0.9, 0.6, 0.4, 0.1], [1, 0, 1, 0], [0.5])
    assert got.model[0] == pytest.approx(1 / 4 - 1 / 4)
    assert got.treat_all[0] == pytest.approx(0)
    assert got.treated[0] == 0.5


def test_a_threshold_below_every_risk_treats_all(cohort):
    got = net_benefit(cohort.time, cohort.status, cohort.risk, 12, [0.001])
    assert got.model == pytest.approx(got.treat_all)


def test_a_threshold_above_every_risk_treats_none(cohort):
    got = net_benefit(cohort.time, cohort.status, cohort.risk * 0.5, 12, [0.9])
    assert got.model.tolist() == [0]


def test_without_censoring_it_is_that_of_the_class():
    rng = np.random.default_rng(0)
    time, risk = rng.uniform(1, 20, 200), rng.random(200)
    a = net_benefit(time, np.ones(200, dtype=int), risk, 10, [0.2, 0.6])
    b = net_benefit_class(risk, (time <= 10).astype(int), [0.2, 0.6])
    assert a.model == pytest.approx(b.model)


@pytest.mark.parametrize("threshold", [0.0, 1.0, -0.1])
def test_thresholds_are_risks(threshold):
    with pytest.raises(EvaluationError, match="threshold"):
        net_benefit_class([0.1, 0.9], [0, 1], [threshold])


@given(few(3), st.integers(1, 4), st.randoms(use_true_random=False))
def test_what_is_treated_pays_by_its_own_incidence(patients, horizon, random):
    time, status = patients
    if not any(s == 1 and t <= horizon for t, s in zip(*patients, strict=True)):
        return
    if horizon >= max(time):
        return
    risk = [random.choice([0.1, 0.2, 0.3, 0.5]) for _ in time]
    got = net_benefit(time, status, risk, horizon, [0.2, 0.4])
    for k, limit in enumerate((0.2, 0.4)):
        own = [i for i, r in enumerate(risk) if r >= limit]
        part = [time[i] for i in own], [status[i] for i in own]
        rate = float(incidence(*part, horizon)) if own else 0.0
        share = len(own) / len(time)
        odds = limit / (1 - limit)
        assert got.treated[k] == pytest.approx(share)
        assert got.model[k] == pytest.approx(share * (rate - (1 - rate) * odds), abs=1e-12)
        whole = float(incidence(time, status, horizon))
        assert got.treat_all[k] == pytest.approx(whole - (1 - whole) * odds, abs=1e-12)


def test_a_risk_at_the_threshold_is_treated():
    got = net_benefit_class([0.2, 0.5, 0.1], [1, 1, 0], [0.2, 0.5])
    assert got.treated.tolist() == pytest.approx([2 / 3, 1 / 3])
    assert got.model.tolist() == pytest.approx([2 / 3, 1 / 3])


def test_where_treating_all_is_worth_nothing_the_odds_are_those_of_the_disease():
    y = np.array([1, 0, 0, 0])
    got = net_benefit_class([0.9, 0.1, 0.1, 0.1], y, [0.25])
    assert got.treat_all[0] == pytest.approx(0)
    assert got.model[0] == pytest.approx(0.25)  # only the one who has it: never more than that


def test_one_class_and_a_risk_above_one_are_refused():
    with pytest.raises(EvaluationError, match="one class"):
        net_benefit_class([0.1, 0.2], [0, 0], [0.2])
    with pytest.raises(EvaluationError, match="outside"):
        net_benefit_class([0.1, 1.2], [0, 1], [0.2])
