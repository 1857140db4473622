import numpy as np
import pytest
from greenwood import CoxPH, Surv

from metasight.errors import EvaluationError
from oracles.hazard_fit import fine_gray_robust_se, fit_hazard

from .conftest import make


@pytest.mark.parametrize("efron", [True, False])
def test_cox_is_that_of_greenwood(efron):
    c = make(100, 1, competing=False)
    x = np.column_stack([c.risk, c.strata])
    want = CoxPH(ties="efron" if efron else "breslow").fit(Surv(c.time, event=c.status), x)
    got = fit_hazard(c.time, c.status, x, 10, efron=efron)
    assert np.allclose(got.coef, want.coef_, atol=1e-8)
    assert np.allclose(got.se, want.std_error_, atol=1e-8)


@pytest.mark.parametrize("fine_gray", [False, True])
@pytest.mark.parametrize("efron", [False, True])
def test_a_weight_is_a_repeated_row(cohort, fine_gray, efron):
    w = np.random.default_rng(1).integers(0, 3, 120)
    rows = np.repeat(np.arange(120), w)
    kinds = {"fine_gray": fine_gray, "efron": efron}
    a = fit_hazard(cohort.time, cohort.status, cohort.risk, 10, weights=w, **kinds)
    b = fit_hazard(cohort.time[rows], cohort.status[rows], cohort.risk[rows], 10, **kinds)
    assert a.coef == pytest.approx(b.coef, abs=1e-9)
    assert a.baseline == pytest.approx(b.baseline, abs=1e-9)


def test_without_competing_events_fine_gray_is_cox(survival):
    a = fit_hazard(survival.time, survival.status, survival.risk, 10, fine_gray=True)
    b = fit_hazard(survival.time, survival.status, survival.risk, 10)
    assert a.coef == pytest.approx(b.coef, abs=1e-10)
    assert (fine_gray_robust_se(survival.time, survival.status, survival.risk, a) > 0).all()


def test_risks_average_to_the_incidence(cohort):
    from metasight.validation.curves import aalen_johansen

    fit = fit_hazard(cohort.time, cohort.status, cohort.risk, 12, fine_gray=True)
    want = float(aalen_johansen(cohort.time, cohort.status).at(12))
    assert fit.risk(cohort.risk[:, None]).mean() == pytest.approx(want, abs=0.03)


def test_no_maximum(survival):
    with pytest.raises(EvaluationError, match="no maximum"):
        fit_hazard(survival.time, survival.status, np.ones(150), 10)
    with pytest.raises(EvaluationError, match="no maximum"):
        fit_hazard([1, 2, 3, 4], [1, 1, 0, 0], [4, 3, 0, 0], 3)
