import pytest

from metasight.errors import EvaluationError
from metasight.validation.curves import censoring_survival
from metasight.validation.ipcw import horizon_weights, require_horizon, require_tau


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
