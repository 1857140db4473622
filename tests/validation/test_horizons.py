"""Which horizons a follow-up supports, and on which days risks are predicted."""

import numpy as np
import pytest

from metasight.errors import EvaluationError
from metasight.units import Days
from metasight.validation.horizons import prediction_days, supported_horizons, supported_plan

from .conftest import predictions
from .test_evaluate import plan

TIME = np.array([300.0, 800.0, 1500.0, 2000.0, 2000.0])
STATUS = np.array([1, 0, 1, 0, 0])


def supported(*wanted, insist=False, **kwargs):
    return supported_horizons(TIME, STATUS, [Days(w) for w in wanted], insist=insist, **kwargs)


def test_a_horizon_past_the_follow_up_is_left_out_with_its_reason():
    kept, refused = supported(1826, 365, 3652)
    assert kept == [365, 1826]
    assert len(refused) == 1
    assert refused[0].startswith("10-year")


def test_one_that_was_insisted_on_is_an_error():
    with pytest.raises(EvaluationError, match="longest follow-up is"):
        supported(365, 3652, insist=True)


def test_none_supported_is_an_error():
    with pytest.raises(EvaluationError, match="longest follow-up is"):
        supported(3652)
    with pytest.raises(EvaluationError, match="no event by the horizon"):
        supported_horizons(TIME, np.array([0, 0, 0, 1, 0]), [Days(200)], insist=False)


def test_the_earliest_that_fails_is_named():
    """Follow-up cut at 1825 days: it is the 5 years that fail, and 10 with them."""
    time = np.minimum(TIME, 1825.0)
    for insist in (False, True):
        with pytest.raises(
            EvaluationError, match=r"^5-year risk is not reported: the longest follow-up is"
        ):
            supported_horizons(time, STATUS, [Days(3652), Days(1826)], insist=insist)
    _, (refused,) = supported(1826, 3652)
    assert refused.startswith(
        "10-year risk is not reported: the longest follow-up is 5.5 years (2000 days)"
    )


def test_the_floor_of_being_followed_is_the_callers():
    # a fifth is censored at 800 days: G(1826) is 3/4
    assert supported(1826, min_censoring_survival=0.7)[0] == [1826]
    with pytest.raises(EvaluationError):
        supported(1826, min_censoring_survival=0.8)


def test_risks_are_predicted_every_half_year_before_the_last_day():
    assert prediction_days([Days(400)], Days(730)) == [182, 365, 400, 547]
    # a half year that ends on the last day is not before it
    assert prediction_days([Days(365)], Days(365)) == [182, 365]


def test_a_plan_keeps_the_horizons_that_later_patients_support():
    table, asked = predictions(120), plan(horizons_days=(1200, 1800, 90000), tau_days=90000.0)
    kept, notes = supported_plan(asked, table, "The later patients")
    assert kept.horizons_days == (1200, 1800)
    assert kept.tau_days == 1800
    assert notes[0].startswith("The later patients cannot be judged at 90000 days")
    with pytest.raises(EvaluationError, match="cannot be judged at 90000"):
        supported_plan(plan(horizons_days=(90000,), tau_days=90000.0), table, "They")
    nodal = plan("nodal")
    assert supported_plan(nodal, table, "They") == (nodal, [])


def test_half_years_are_predicted_for_thirty_years_at_most():
    found = prediction_days([Days(365)], Days(20_000))
    assert len(found) == 60
    assert found[-1] == 10_957  # 30 years
