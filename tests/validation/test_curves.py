import numpy as np
import pytest

from metasight.validation.curves import (
    aalen_johansen,
    censoring_survival,
    kaplan_meier,
    median_follow_up,
)


def test_kaplan_meier_by_hand():
    curve = kaplan_meier([1, 2, 2, 3], [1, 1, 0, 1])
    assert curve.at([0.5, 1, 2, 3]).tolist() == pytest.approx([1, 0.75, 0.5, 0])
    assert curve.before([1, 2]).tolist() == pytest.approx([1, 0.75])
    assert curve.se_at(1) == pytest.approx((0.75 * 0.25 / 4) ** 0.5)


@pytest.mark.parametrize("estimate", [kaplan_meier, aalen_johansen, censoring_survival])
def test_a_weight_is_a_repeated_row(cohort, estimate):
    w = np.random.default_rng(0).integers(0, 3, 120)
    rows = np.repeat(np.arange(120), w)
    times = np.arange(1, 40)
    weighted = estimate(cohort.time, cohort.status, weights=w).at(times)
    repeated = estimate(cohort.time[rows], cohort.status[rows]).at(times)
    assert np.allclose(weighted, repeated, atol=1e-12)


def test_incidences_and_survival_add_to_one(cohort):
    times = np.arange(1, 40)
    total = kaplan_meier(cohort.time, cohort.status).at(times)
    for cause in (1, 2):
        curve = aalen_johansen(cohort.time, cohort.status, cause=cause)
        assert (np.diff(curve.values) >= 0).all()
        total = total + curve.at(times)
    assert np.allclose(total, 1, atol=1e-12)


def test_incidence_without_competitors_is_one_minus_kaplan_meier(survival):
    times = np.arange(1, 40)
    a = aalen_johansen(survival.time, survival.status).at(times)
    b = 1 - kaplan_meier(survival.time, survival.status).at(times)
    assert np.allclose(a, b, atol=1e-12)


def test_median_follow_up():
    assert median_follow_up([1, 2, 3, 4], [0, 0, 0, 0]) == 2
    assert median_follow_up([1, 2, 3, 4], [1, 1, 1, 1]) is None
