"""A patient's interval rests on refits that did not see the patient."""

import numpy as np
import pytest
from scipy.special import logit

from metasight.decisions.refit_interval import FEWEST_UNSEEN, refit_interval, unseen_spread


def test_refits_that_held_the_patient_do_not_count():
    # ten refits; patient 0 is in the even ones, where the risk is wild, and in none of the odd
    odd = np.array([0.10, 0.20, 0.15, 0.12, 0.18])
    risk = np.empty((10, 2))
    risk[1::2, 0], risk[::2, 0] = odd, [0.99, 0.01, 0.9, 0.5, 0.999]
    risk[:, 1] = 0.3
    drawn = np.array([[0, 0], [1, 1]] * 5)
    spread = unseen_spread(risk, drawn)
    assert spread[0] == pytest.approx(np.std(logit(odd), ddof=1))
    assert spread[1] == pytest.approx(0.0)


def test_too_few_refits_without_a_patient_give_no_spread():
    refits = FEWEST_UNSEEN + 3
    risk = np.linspace(0.1, 0.5, refits)[:, None].repeat(3, axis=1)
    drawn = np.zeros((refits, 1), dtype=int)  # patient 0 is in every one
    drawn[: FEWEST_UNSEEN - 1] = 2  # and not in these four
    spread = unseen_spread(risk, drawn)
    assert np.isnan(spread[0])
    assert np.isfinite(spread[1])


def test_certain_risks_have_a_finite_log_odds():
    spread = unseen_spread(np.array([[0.0], [1.0]] * 5), np.full((10, 1), 7))
    assert np.isfinite(spread[0])


def test_the_interval_is_symmetric_in_log_odds():
    found = refit_interval(0.2, 0.5)
    low, high = found.ends
    assert found.value == pytest.approx(0.2)
    assert logit(0.2) - logit(low) == pytest.approx(1.959964 * 0.5, rel=1e-6)
    assert logit(high) - logit(0.2) == pytest.approx(1.959964 * 0.5, rel=1e-6)
    assert refit_interval(0.2, float("nan")) is None
    assert 0 < refit_interval(0.0, 1.0).ends[0] < refit_interval(1.0, 1.0).ends[1] < 1
