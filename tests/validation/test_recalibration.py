import numpy as np
import pytest

from metasight.errors import EvaluationError
from metasight.validation.brier import observed_risk
from metasight.validation.recalibration import (
    Recalibration,
    fit_logistic,
    recalibrate_class,
    recalibrate_horizon,
    to_cloglog,
    to_logit,
)

from .conftest import make

RNG = np.random.default_rng(0)


def test_class_recalibration_undoes_a_distortion():
    p = RNG.uniform(0.05, 0.95, 4000)
    y = (RNG.random(4000) < p).astype(int)
    distorted = Recalibration(link="logit", intercept=0.7, slope=2.0).apply(p)
    got = recalibrate_class(distorted, y, slope=True)
    assert got.apply(distorted) == pytest.approx(p, abs=0.05)
    shift = recalibrate_class(distorted, y, slope=False)
    assert shift.slope == 1
    assert shift.apply(distorted).mean() == pytest.approx(y.mean(), abs=1e-9)


@pytest.mark.parametrize("competing", [False, True])
def test_horizon_recalibration_matches_the_incidence(competing):
    c = make(300, 3, competing=competing)
    want = observed_risk(c.time, c.status, 12)
    shift = recalibrate_horizon(c.time, c.status, c.risk, 12, slope=False)
    assert shift.apply(c.risk).mean() == pytest.approx(want, abs=1e-9)
    both = recalibrate_horizon(c.time, c.status, c.risk, 12, slope=True)
    assert both.apply(c.risk).mean() == pytest.approx(want, abs=0.03)
    assert (np.diff(both.apply(np.sort(c.risk))) >= 0).all()


def test_nothing_to_change():
    p = np.array([0.1, 0.5, 0.9])
    for link in ("logit", "cloglog"):
        same = Recalibration(link=link, intercept=0.0, slope=1.0)
        assert same.apply(p) == pytest.approx(p)
    assert np.isfinite(to_logit([0, 1])).all()
    assert np.isfinite(to_cloglog([0, 1])).all()


def test_weights_are_repeated_rows():
    x, y = RNG.normal(size=50), RNG.integers(0, 2, 50)
    w = RNG.integers(0, 3, 50)
    a = fit_logistic(x, y, weights=w)
    b = fit_logistic(np.repeat(x, w), np.repeat(y, w))
    assert a.coef == pytest.approx(b.coef, abs=1e-9)


def test_refusals():
    with pytest.raises(EvaluationError, match="one class"):
        recalibrate_class([0.1, 0.2], [1, 1], slope=True)
    with pytest.raises(EvaluationError, match="no maximum"):
        fit_logistic([1.0, 2, 3, 4], [0, 0, 1, 1])
    with pytest.raises(EvaluationError, match="0 or 1"):
        recalibrate_horizon([1, 2], [0, 0], [0.1, 0.2], 1, slope=False)
