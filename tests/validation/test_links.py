import numpy as np
import pytest

from metasight.validation.links import to_cloglog, to_logit


def test_the_links_are_undone_by_their_inverses():
    risk = np.array([1e-6, 0.1, 0.5, 0.9, 1 - 1e-6])
    assert 1 / (1 + np.exp(-to_logit(risk))) == pytest.approx(risk, rel=1e-9)
    assert -np.expm1(-np.exp(to_cloglog(risk))) == pytest.approx(risk, rel=1e-9)


def test_certain_risks_are_held_as_far_from_both_ends():
    low, high = to_logit([0, 1])
    assert (low, high) == pytest.approx((np.log(1e-8), -np.log(1e-8)), rel=1e-6)
    low, high = to_cloglog([0, 1])
    assert low == pytest.approx(np.log(1e-8), rel=1e-6)
    assert high == pytest.approx(np.log(-np.log(1e-8)), rel=1e-6)
