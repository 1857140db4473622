import numpy as np
import pytest

from metasight.validation.bootstrap import draw
from metasight.validation.calibration_bootstrap import resampled_hazard, resampled_logistic
from metasight.validation.ordering import follow_up
from oracles.hazard_fit import fit_hazard
from oracles.logistic_fit import fit_logistic

from .conftest import make


@pytest.mark.parametrize("competing", [False, True])
def test_hazards_equal_those_of_the_repeated_rows(competing):
    c = make(100, 6, competing=competing)
    x = np.column_stack([c.risk, c.risk**2])
    data, w = follow_up(c.time, c.status), draw(100, 3, 1)
    got = resampled_hazard(np.ascontiguousarray(w[:, data.order]), data, x[data.order], 12)
    for b in range(4):
        fit = fit_hazard(c.time, c.status, x, 12, fine_gray=competing, weights=w[b])
        assert got.coef[b] == pytest.approx(fit.coef, abs=1e-5)
        assert got.risk(x)[b] == pytest.approx(fit.risk(x), abs=1e-6)


def test_logistic_equals_that_of_the_repeated_rows():
    c = make(100, 7)
    y, w = (c.status == 1).astype(float), draw(100, 3, 1)
    got = resampled_logistic(w, y, c.risk[:, None])
    for b in range(4):
        fit = fit_logistic(c.risk, y, weights=w[b])
        assert [got.intercept[b], got.coef[b, 0]] == pytest.approx(fit.coef, abs=1e-7)


def test_a_resample_without_an_event_has_no_fit():
    c = make(50, 8, competing=False)
    data = follow_up(c.time, c.status)
    none = (data.status == 0).astype(np.int32)[None, :]
    got = resampled_hazard(none, data, c.risk[data.order][:, None], 12)
    assert np.isnan(got.coef).all()
