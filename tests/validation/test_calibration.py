import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare

from metasight.errors import EvaluationError
from metasight.validation.calibration import d_calibration, risk_groups


def test_fifths_of_the_risk_keep_ties_together():
    assert np.bincount(risk_groups(np.arange(10))).tolist() == [2] * 5
    assert len(set(risk_groups([0.1] * 9))) == 1


def test_d_calibration():
    even = d_calibration((np.arange(100) + 0.5) / 100, np.ones(100))
    assert even.bins.tolist() == [10] * 10
    assert even.p == 1
    censored = d_calibration([1.0] * 10 + [0.5], [0] * 10 + [1])
    assert censored.bins.sum() == pytest.approx(11)
    with pytest.raises(EvaluationError, match="every patient is censored"):
        d_calibration([0.5], [0])


@given(
    st.lists(
        st.tuples(st.floats(0, 1, allow_subnormal=False), st.booleans()), min_size=1, max_size=30
    ),
    st.integers(2, 10),
)
def test_a_censored_patient_is_spread_over_the_survival_he_may_still_reach(patients, n_bins):
    survival = np.array([s for s, _ in patients])
    event = np.array([e for _, e in patients])
    if not event.any():
        with pytest.raises(EvaluationError, match="every patient is censored"):
            d_calibration(survival, event, n_bins=n_bins)
        return
    want = np.zeros(n_bins)
    for s, dead in patients:
        if dead or s == 0:
            want[min(int(s * n_bins), n_bins - 1)] += 1
            continue
        for k in range(n_bins):  # the part of [0, s] that lies in the bin
            want[k] += max(min(s, (k + 1) / n_bins) - k / n_bins, 0) / s
    got = d_calibration(survival, event, n_bins=n_bins)
    assert got.bins == pytest.approx(want, abs=1e-9)
    assert got.bins.sum() == pytest.approx(len(patients))
    assert got.chisq == pytest.approx(chisquare(got.bins).statistic)
    assert got.p == pytest.approx(chisquare(got.bins).pvalue)


def test_a_survival_outside_0_and_1_is_refused():
    with pytest.raises(EvaluationError, match="outside") as error:
        d_calibration([0.5, 1.2], [1, 1])
    assert error.value.value == "1.2"


@given(st.lists(st.floats(0, 1), min_size=1, max_size=40), st.integers(2, 6))
def test_a_group_is_how_many_cuts_a_risk_lies_above(risk, k):
    got = risk_groups(risk, k)
    cuts = [np.quantile(risk, j / k) for j in range(1, k)]
    assert got.tolist() == [sum(r > c for c in cuts) for r in risk]
    order = np.argsort(risk)
    assert (np.diff(got[order]) >= 0).all()
