import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metasight.models.hazards import (
    CauseHazard,
    HazardHead,
    cumulative_incidence,
    relative_hazard,
)


def _cause(times, increments, coefficient):
    return CauseHazard(
        coefficients=np.array([coefficient]),
        times=np.array(times, dtype=float),
        increments=np.array(increments, dtype=float),
    )


def test_cumulative_hazard_counts_the_horizon_day_itself():
    cause = _cause([10, 20], [0.1, 0.3], 0.0)
    np.testing.assert_allclose(
        cause.cumulative(np.array([9, 10, 19, 20, 999])), [0, 0.1, 0.1, 0.4, 0.4]
    )


def test_incidence_is_the_product_integral_by_hand():
    causes = (_cause([10, 30], [0.1, 0.2], 0.0), _cause([20], [0.5], 0.0))
    found = cumulative_incidence(causes, np.zeros((1, 2)), np.array([5, 10, 25, 30]))
    np.testing.assert_allclose(found[0], [0, 0.1, 0.1, 0.1 + 0.9 * 0.5 * 0.2])


def test_incidence_stays_a_probability_for_extreme_patients():
    rng = np.random.default_rng(0)
    times = np.arange(1, 60)
    causes = (
        _cause(times, rng.uniform(0, 0.1, 59), 1.0),
        _cause(times + 0.5, rng.uniform(0, 0.1, 59), 1.0),
    )
    predictors = rng.normal(0, 4, (700, 2))
    first = cumulative_incidence(causes, predictors, np.arange(1, 80))
    second = cumulative_incidence(causes[::-1], predictors[:, ::-1], np.arange(1, 80))
    assert (np.diff(first, axis=1) >= 0).all()
    assert (first + second <= 1 + 1e-9).all()


def test_a_higher_predictor_never_lowers_a_single_risk():
    head = HazardHead(scale="survival", causes=(_cause([10, 20], [0.1, 0.3], 1.0),), fit={})
    risk = head.risk(np.linspace(-3, 3, 20)[:, None], np.array([15, 25]))
    assert (np.diff(risk, axis=0) > 0).all()
    np.testing.assert_allclose(head.risk(np.zeros((1, 1)), np.array([25])), 1 - np.exp(-0.4))


def test_no_horizon_gives_no_column():
    head = HazardHead(
        scale="product_integral",
        causes=(_cause([10], [0.1], 1.0), _cause([20], [0.1], 1.0)),
        fit={},
    )
    assert head.risk(np.zeros((4, 1)), np.array([], dtype=np.int64)).shape == (4, 0)


@given(
    st.lists(st.tuples(st.integers(1, 6), st.floats(0, 0.3)), min_size=1, max_size=5),
    st.lists(st.tuples(st.integers(1, 6), st.floats(0, 0.3)), min_size=1, max_size=5),
    st.floats(-1, 1),
)
def test_incidence_is_a_walk_through_the_days(first, second, predictor):
    """Day by day: who is still free has the event, or competes, or goes on."""
    steps = [dict(first), dict(second)]
    causes = tuple(_cause(sorted(s), [s[t] for t in sorted(s)], 1.0) for s in steps)
    predictors = np.array([[predictor, -predictor]])
    free, total, want = 1.0, 0.0, []
    for day in range(1, 8):
        event, other = (
            s.get(day, 0.0) * np.exp(sign * predictor)
            for s, sign in zip(steps, (1, -1), strict=True)
        )
        excess = max(event + other, 1.0)
        total += free * event / excess
        free *= 1 - (event + other) / excess
        want.append(total)
    found = cumulative_incidence(causes, predictors, np.arange(1, 8))
    np.testing.assert_allclose(found[0], want, atol=1e-12)


def test_patients_are_independent_of_who_else_is_predicted():
    """More than one block of patients: each as if alone."""
    rng = np.random.default_rng(1)
    causes = (_cause([1, 2, 5], [0.1, 0.2, 0.1], 1.0), _cause([2, 3], [0.1, 0.3], 1.0))
    predictors = rng.normal(size=(600, 2))
    together = cumulative_incidence(causes, predictors, np.array([2, 4, 9]))
    for i in (0, 255, 256, 599):
        alone = cumulative_incidence(causes, predictors[[i]], np.array([2, 4, 9]))
        np.testing.assert_array_equal(alone[0], together[i])


def test_more_hazard_than_one_is_shared_between_the_causes():
    causes = (_cause([1], [3.0], 0.0), _cause([1], [1.0], 0.0))
    found = cumulative_incidence(causes, np.zeros((1, 2)), np.array([1, 2]))
    np.testing.assert_allclose(found[0], [0.75, 0.75])


def test_a_patient_far_beyond_all_others_is_certain():
    assert np.isfinite(relative_hazard(np.array([1e6, -1e6]))).all()
    head = HazardHead(scale="survival", causes=(_cause([10], [0.1], 1.0),), fit={})
    assert head.risk(np.array([[1e6], [-1e6]]), np.array([10])).ravel() == pytest.approx([1, 0])


def test_the_state_leads_back_to_the_same_head():
    head = HazardHead(
        scale="subdistribution", causes=(_cause([10, 20], [0.1, 0.3], 0.7),), fit={"n": 3}
    )
    again = HazardHead.from_state(json.loads(json.dumps(head.state)))
    assert again.state == head.state
    x, days = np.array([[0.3], [-2.0]]), np.array([5, 10, 30])
    np.testing.assert_array_equal(again.risk(x, days), head.risk(x, days))
