import numpy as np
import pytest

from metasight.errors import EvaluationError
from oracles.logistic_fit import fit_logistic

RNG = np.random.default_rng(0)


def test_weights_are_repeated_rows():
    x, y = RNG.normal(size=50), RNG.integers(0, 2, 50)
    w = RNG.integers(0, 3, 50)
    a = fit_logistic(x, y, weights=w)
    b = fit_logistic(np.repeat(x, w), np.repeat(y, w))
    assert a.coef == pytest.approx(b.coef, abs=1e-9)


def test_two_groups_are_their_log_odds():
    """3 of 4 against 1 of 4: odds of 3 and 1/3, a log odds ratio of log 9."""
    fit = fit_logistic([0, 0, 0, 0, 1, 1, 1, 1], [0, 0, 0, 1, 1, 1, 1, 0])
    assert fit.coef == pytest.approx([-np.log(3), np.log(9)])
    assert fit.se[1] == pytest.approx((1 / 3 + 1 + 1 / 3 + 1) ** 0.5)  # Woolf
    assert fit.risk([[0], [1]]) == pytest.approx([0.25, 0.75])


def test_refusals():
    with pytest.raises(EvaluationError, match="one class"):
        fit_logistic([0.1, 0.2], [1, 1])
    with pytest.raises(EvaluationError, match="no maximum"):
        fit_logistic([1.0, 2, 3, 4], [0, 0, 1, 1])
