import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metasight.errors import EvaluationError
from metasight.validation.curves import censoring_before_and_at, censoring_survival
from metasight.validation.ipcw import (
    censoring_influence,
    horizon_weights,
    horizon_weights_sorted,
    require_horizon,
    require_tau,
)
from metasight.validation.ordering import follow_up
from oracles.product_limit import incidence, uncensored

from .follow_ups import few


def test_events_at_t_have_left_the_risk_set_of_g():
    # one event and one censoring on day 2 among three at risk: 1 − 1/(3 − 1), not 1 − 1/3
    g = censoring_survival([2, 2, 3], [1, 0, 1])
    assert g.at(2) == pytest.approx(0.5)
    assert g.before(2) == 1.0


def test_weights_by_hand():
    w = horizon_weights([1, 2, 2, 3, 5], [1, 0, 2, 1, 0], 4)
    assert w.case.tolist() == pytest.approx([1, 0, 0, 1.5, 0])
    assert w.control.tolist() == pytest.approx([0, 0, 1, 0, 1.5])


@pytest.mark.parametrize("horizon", [3, 10, 25])
def test_weights_add_up_to_the_patients(cohort, horizon):
    w = horizon_weights(cohort.time, cohort.status, horizon)
    assert (w.case + w.control).sum() == pytest.approx(120)


def test_weighted_cases_are_the_incidence(cohort):
    from metasight.validation.curves import aalen_johansen

    w = horizon_weights(cohort.time, cohort.status, 12)
    want = aalen_johansen(cohort.time, cohort.status).at(12)
    assert w.case.mean() == pytest.approx(float(want))


REFUSED = {
    "every patient is censored": ([1, 2, 3], [0, 0, 0], 2),
    "no event by the horizon": ([1, 2, 3], [0, 0, 1], 2),
    "beyond the follow-up": ([1, 2, 3], [1, 0, 1], 5),
    "too few patients are still followed": ([1] + [2] * 19 + [9], [1] + [0] * 20, 5),
    "above zero": ([1, 2], [1, 0], 0),
}


@pytest.mark.parametrize("problem", REFUSED)
def test_refused_horizons(problem):
    time, status, horizon = REFUSED[problem]
    with pytest.raises(EvaluationError, match=problem) as caught:
        require_horizon(time, status, horizon)
    assert caught.value.remedy
    assert caught.value.value


def test_tau_is_required():
    assert require_tau(5) == 5.0
    with pytest.raises(EvaluationError, match="needs tau"):
        require_tau(None)


@given(few(2), st.integers(1, 6))
def test_weights_are_one_over_g_patient_by_patient(patients, horizon):
    time, status = patients
    got = horizon_weights(time, status, horizon)
    for i, (t, s) in enumerate(zip(time, status, strict=True)):
        case = control = 0.0
        if t > horizon:
            control = 1 / float(uncensored(time, status, horizon))
        elif s == 1:
            case = 1 / float(uncensored(time, status, t, before=True))
        elif s == 2:
            control = 1 / float(uncensored(time, status, t, before=True))
        assert (got.case[i], got.control[i]) == pytest.approx((case, control))


@given(few(2), st.integers(1, 5))
def test_the_weights_of_cases_add_to_the_incidence(patients, horizon):
    got = horizon_weights(*patients, horizon)
    assert got.case.mean() == pytest.approx(float(incidence(*patients, horizon)))


def test_a_patient_who_was_not_drawn_has_no_weight():
    data = follow_up([1, 2, 3], [1, 0, 1])
    before, case, control = np.ones(3), np.empty(3), np.empty(3)
    drawn = np.array([0.0, 2, 3])
    horizon_weights_sorted(data.time, data.status, drawn, 2.5, before, case, control)
    assert case.tolist() == [0, 0, 0]
    assert control.tolist() == [0, 0, 3]


def test_the_influence_of_the_censoring_is_the_slope_of_the_weighted_mean():
    """One patient a little heavier: the mean of the weighted cases moves by his influence."""
    n, h, step = 400, 250.0, 1e-6
    rng = np.random.default_rng(3)
    time = rng.permutation(np.arange(1.0, n + 1))  # no day twice: G's convention does not matter
    data = follow_up(time, rng.integers(0, 2, n))

    def cases(weight):
        before, at = np.ones(n), np.ones(n)
        censoring_before_and_at(data.time, data.status, weight, before, at)
        case, control = np.empty(n), np.empty(n)
        horizon_weights_sorted(data.time, data.status, weight, h, before, case, control)
        return case

    own = cases(np.ones(n))
    extra = censoring_influence(data, h, own)
    found, slope = [], []
    for i in range(0, n, 13):
        heavier = np.ones(n)
        heavier[i] += step
        moved = cases(heavier).sum() / heavier.sum()
        slope.append((moved - own.mean()) / step * n)
        found.append(own[i] - own.mean() + extra[i])
    assert found == pytest.approx(slope, abs=0.01)  # of the order of 1 / patients still followed
    assert np.abs(extra).max() > 0.1  # so that it would be missed


@pytest.mark.parametrize("floor", [0.0, 0.24, 0.26])
def test_the_floor_of_g_is_the_callers(floor):
    time, status = [1, 2, 2, 2, 4], [1, 0, 0, 0, 1]  # G is 1/4 from day 2 on
    if floor < 0.25:
        require_horizon(time, status, 3, min_censoring_survival=floor)
        return
    with pytest.raises(EvaluationError, match="too few patients") as error:
        require_horizon(time, status, 3, min_censoring_survival=floor)
    assert error.value.value == "censoring survival 0.250 at 3, floor 0.26"


def test_a_competing_event_alone_is_no_event_by_the_horizon():
    with pytest.raises(EvaluationError, match="no event by the horizon") as error:
        require_horizon([1, 2, 3], [2, 2, 1], 2)
    assert error.value.value == "horizon 2, 1 events later"


def test_the_last_day_is_not_within_the_follow_up():
    require_horizon([1, 2, 3], [1, 0, 1], 2.9)
    with pytest.raises(EvaluationError, match="beyond the follow-up"):
        require_horizon([1, 2, 3], [1, 0, 1], 3)
    for horizon in (float("nan"), float("inf"), -1.0):
        with pytest.raises(EvaluationError, match="above zero"):
            require_horizon([1, 2, 3], [1, 0, 1], horizon)
