import numpy as np
import pytest
from greenwood import CoxPH, Surv
from scipy.optimize import minimize_scalar

from metasight.errors import EvaluationError
from metasight.validation.partial_likelihood import solve_in_place
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


def partial_loglik(beta, c, *, efron):
    """Log partial likelihood as it is printed: every event over everybody at risk, day by day."""
    r = np.exp(beta * c.risk)
    total = 0.0
    for day in np.unique(c.time[c.status == 1]):
        dying = (c.time == day) & (c.status == 1)
        at_risk, tied, d = r[c.time >= day].sum(), r[dying].sum(), int(dying.sum())
        total += np.log(r[dying]).sum()
        for k in range(d):
            total -= np.log(at_risk - (k / d * tied if efron else 0.0))
    return total


@pytest.mark.parametrize("efron", [True, False])
def test_the_maximum_is_that_of_the_printed_likelihood(survival, efron):
    fit = fit_hazard(survival.time, survival.status, survival.risk, 10, efron=efron)
    best = minimize_scalar(
        lambda b: -partial_loglik(b, survival, efron=efron), bounds=(-5, 20), method="bounded"
    )
    assert fit.coef[0] == pytest.approx(best.x, abs=1e-4)
    assert fit.loglik[0] == pytest.approx(partial_loglik(0.0, survival, efron=efron))
    assert fit.loglik[1] == pytest.approx(
        partial_loglik(fit.coef[0], survival, efron=efron), abs=1e-8
    )
    step = 1e-3
    around = [partial_loglik(fit.coef[0] + s, survival, efron=efron) for s in (-step, 0.0, step)]
    curvature = -(around[0] - 2 * around[1] + around[2]) / step**2
    assert fit.se[0] == pytest.approx(curvature**-0.5, rel=1e-4)


def test_the_baseline_without_covariates_to_speak_of_is_nelson_and_aalens():
    """A covariate that the events do not depend on leaves Breslow's hazard of everybody."""
    time = np.array([1.0, 1, 2, 2, 3, 3, 4, 4])
    status = np.array([1, 1, 0, 0, 1, 1, 0, 0])
    x = np.array([-1.0, 1, -1, 1, -1, 1, -1, 1])
    fit = fit_hazard(time, status, x, 3, efron=False)
    assert fit.coef[0] == pytest.approx(0, abs=1e-9)
    assert fit.baseline == pytest.approx(2 / 8 + 2 / 4)
    assert fit_hazard(time, status, x, 2, efron=False).baseline == pytest.approx(2 / 8)
    tied = fit_hazard(time, status, x, 3)
    assert tied.baseline == pytest.approx(1 / 8 + 1 / 7 + 1 / 4 + 1 / 3)


def test_fine_gray_without_censoring_keeps_who_had_a_competing_event_at_risk_for_ever():
    c = make(80, 12)
    status = np.where(c.status == 0, 2, c.status)
    fit = fit_hazard(c.time, status, c.risk, 10, fine_gray=True, efron=False)
    never = c.time.max() + 1  # a competing event is a patient who never has the event
    plain = fit_hazard(
        np.where(status == 2, never, c.time), (status == 1).astype(int), c.risk, 10, efron=False
    )
    assert fit.coef[0] == pytest.approx(plain.coef[0], abs=1e-8)
    assert fit.baseline == pytest.approx(plain.baseline, abs=1e-10)


def test_a_scale_of_the_covariate_is_taken_back_by_its_coefficient(survival):
    a = fit_hazard(survival.time, survival.status, survival.risk, 10)
    b = fit_hazard(survival.time, survival.status, 10 * survival.risk + 3, 10)
    assert b.coef[0] == pytest.approx(a.coef[0] / 10, abs=1e-9)
    assert b.loglik[1] == pytest.approx(a.loglik[1])
    new = np.array([[0.2], [0.8]])
    assert b.risk(10 * new + 3) == pytest.approx(a.risk(new))


@pytest.mark.parametrize("p", [1, 2, 4])
def test_the_elimination_solves_what_numpy_solves(p):
    rng = np.random.default_rng(p)
    a, b = rng.normal(size=(p, p)), rng.normal(size=p)
    a[0, 0] = 0.0  # wants another row first
    want = np.linalg.solve(a, b) if p > 1 else None
    work, x = a.copy(), b.copy()
    assert solve_in_place(work, x) == (p > 1)
    if want is not None:
        assert x == pytest.approx(want)


def test_a_singular_system_is_said_to_be_one():
    assert not solve_in_place(np.ones((2, 2)), np.ones(2))
