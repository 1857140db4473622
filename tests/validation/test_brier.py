import numpy as np
import pytest

from metasight.errors import EvaluationError
from metasight.validation.brier import (
    brier_score,
    integrated_brier,
    observed_risk,
    prediction_error_curve,
)


def test_without_censoring_it_is_the_mean_squared_error():
    time, risk = np.arange(1.0, 11.0), np.linspace(0.9, 0.1, 10)
    got = brier_score(time, np.ones(10, dtype=int), risk, 5)
    assert got.brier.value == pytest.approx((((time <= 5) - risk) ** 2).mean())
    assert got.null.value == pytest.approx(0.25)
    assert got.ipa == pytest.approx(1 - got.brier.value / 0.25)


def test_the_null_is_the_best_single_risk(cohort):
    flat = observed_risk(cohort.time, cohort.status, 12)
    best = brier_score(cohort.time, cohort.status, np.full(120, flat), 12)
    assert best.ipa == pytest.approx(0)
    for shift in (-0.05, 0.05):
        other = brier_score(cohort.time, cohort.status, np.full(120, flat + shift), 12)
        assert other.ipa < 0


def test_curve_and_single_scores_agree(cohort):
    risk = np.column_stack([cohort.risk, cohort.risk])
    curve = prediction_error_curve(cohort.time, cohort.status, risk, [8, 12])
    for k, h in enumerate((8, 12)):
        single = brier_score(cohort.time, cohort.status, cohort.risk, h).brier
        assert curve[k] == pytest.approx(single.value)


def test_integrals_by_hand():
    assert integrated_brier([2, 4], [0.1, 0.2], tau=4) == pytest.approx((0.1 + 0.3) / 4)
    assert integrated_brier([2, 4], [0.1, 0.2], tau=4, step=True) == pytest.approx(0.2 / 4)
    # the last score is held up to tau
    assert integrated_brier([2], [0.1], tau=4) == pytest.approx((0.1 + 0.2) / 4)


def test_refusals(cohort):
    with pytest.raises(EvaluationError, match="outside"):
        brier_score(cohort.time, cohort.status, cohort.risk * 5, 12)
    with pytest.raises(EvaluationError, match="beyond the follow-up"):
        brier_score(cohort.time, cohort.status, cohort.risk, 1e6)
    with pytest.raises(EvaluationError, match="needs tau"):
        integrated_brier([1], [0.1], tau=None)
    with pytest.raises(EvaluationError, match="no predicted horizon"):
        integrated_brier([9], [0.1], tau=5)
