import numpy as np
import pytest
from hypothesis import given
from scipy.stats import binom

from metasight.validation.curves import (
    StepCurve,
    aalen_johansen,
    censoring_before_and_at,
    censoring_survival,
    incidence_at,
    incidence_by,
    kaplan_meier,
    median_follow_up,
)
from metasight.validation.ordering import follow_up
from oracles.product_limit import incidence, repeated, survival, uncensored

from .follow_ups import few, weighted

DAYS = [0.5, 1, 2, 2.5, 3, 4, 5, 6, 7]


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


@given(few())
def test_survival_is_what_redistribution_to_the_right_leaves(patients):
    got = kaplan_meier(*patients).at(DAYS)
    assert got == pytest.approx([float(survival(*patients, d)) for d in DAYS], abs=1e-12)


@given(few())
@pytest.mark.parametrize("cause", [1, 2])
def test_incidence_is_the_mass_that_the_events_keep(cause, patients):
    got = aalen_johansen(*patients, cause=cause).at(DAYS)
    want = [float(incidence(*patients, d, cause)) for d in DAYS]
    assert got == pytest.approx(want, abs=1e-12)


@given(few())
def test_g_is_that_of_the_days(patients):
    curve = censoring_survival(*patients)
    assert curve.at(DAYS) == pytest.approx([float(uncensored(*patients, d)) for d in DAYS])
    want = [float(uncensored(*patients, d, before=True)) for d in DAYS]
    assert curve.before(DAYS) == pytest.approx(want)


@given(few())
def test_survival_times_g_is_the_share_still_followed(patients):
    """Whoever is no longer followed had an event or was censored, and nobody did both at once."""
    time = np.array(patients[0])
    both = kaplan_meier(*patients).at(DAYS) * censoring_survival(*patients).at(DAYS)
    assert both == pytest.approx([(time > d).mean() for d in DAYS], abs=1e-12)


@given(weighted())
def test_g_of_the_kernel_is_that_of_the_repeated_patients(patients):
    time, status, weight = patients
    data = follow_up(time, status)
    before, at = np.ones(data.n), np.ones(data.n)
    drawn = np.array(weight, dtype=float)[data.order]
    censoring_before_and_at(data.time, data.status, drawn, before, at)
    rows = repeated(time, weight), repeated(status, weight)
    for k in np.flatnonzero(drawn):
        day = float(data.time[k])
        assert before[k] == pytest.approx(float(uncensored(*rows, day, before=True)))
        assert at[k] == pytest.approx(float(uncensored(*rows, day)), abs=1e-12)


@given(weighted())
def test_incidence_of_some_is_that_of_them_alone(patients):
    time, status, weight = patients
    data = follow_up(time, status)
    chosen = data.order % 2 == 0
    drawn = np.array(weight, dtype=float)[data.order]
    got = incidence_at(data.time, data.status, drawn, chosen, np.array(DAYS))
    some = [w if i % 2 == 0 else 0 for i, w in enumerate(weight)]
    rows = repeated(time, some), repeated(status, some)
    if not rows[0]:
        assert np.isnan(got).all()
        return
    assert got == pytest.approx([float(incidence(*rows, d)) for d in DAYS], abs=1e-12)
    assert incidence_by(data.time, data.status, drawn, chosen, 3.0) == got[DAYS.index(3)]


def test_the_curve_stays_flat_past_the_last_follow_up():
    everyone = np.ones(2, dtype=bool)
    data = follow_up([1, 2], [1, 0])
    assert incidence_by(data.time, data.status, np.ones(2), everyone, 99.0) == 0.5


@pytest.mark.parametrize("n", [5, 40])
def test_without_censoring_the_errors_are_those_of_a_binomial_share(n):
    time = np.arange(1.0, n + 1)
    day = n // 2
    share = day / n
    want = binom.std(n, share) / n
    assert kaplan_meier(time, np.ones(n, int)).se_at(day) == pytest.approx(want)
    # with competing events Gray's variance is within 1/n of it
    status = np.where(np.arange(n) % 2 == 0, 1, 2)
    own = float((status[:day] == 1).sum()) / n
    got = float(aalen_johansen(time, status).se_at(day))
    assert got**2 == pytest.approx((binom.std(n, own) / n) ** 2, rel=1.5 / n)


def test_greenwood_by_hand():
    """Deaths at 1 (of 5) and 3 (of 3): S = 0.8 · 2/3, variance S² (1/20 + 1/6)."""
    curve = kaplan_meier([1, 2, 3, 4, 5], [1, 0, 1, 0, 0])
    s = 0.8 * 2 / 3
    assert curve.at(3) == pytest.approx(s)
    assert curve.se_at(3) == pytest.approx(s * (1 / 20 + 1 / 6) ** 0.5)
    assert curve.se_at(0.5) == 0


def test_a_step_is_taken_on_its_day_and_not_before():
    curve = StepCurve(
        times=np.array([2.0, 4.0]), values=np.array([0.7, 0.4]), start=1.0, se=np.array([0.1, 0.2])
    )
    assert curve.at([1.9, 2, 3.9, 4, 9]).tolist() == [1, 0.7, 0.7, 0.4, 0.4]
    assert curve.before([2, 2.1, 4, 4.1]).tolist() == [1, 0.7, 0.7, 0.4]
    assert curve.se_at([1, 2, 4]).tolist() == [0, 0.1, 0.2]


@pytest.mark.parametrize(
    ("time", "status", "want"),
    [
        ([5], [0], 5),  # one patient
        ([1, 2, 3, 4, 5], [0, 0, 0, 0, 0], 3),  # everybody is censored: the plain median
        ([1, 2, 3, 4, 5], [1, 0, 1, 0, 0], 4),  # 3/4 at 2; then 3/4 · 1/2 at 4
        ([3, 3, 3], [0, 0, 1], 3),  # all on one day
    ],
)
def test_median_follow_up_by_hand(time, status, want):
    assert median_follow_up(time, status) == want
