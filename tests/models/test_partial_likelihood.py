import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metasight.models.partial_likelihood import PartialLikelihood
from oracles.hazard_fit import fit_hazard


def test_gradient_and_curvature_are_the_derivatives_of_the_likelihood(simulated):
    x, time, event = simulated(n=40)
    likelihood = PartialLikelihood.of(time, event)
    eta = 0.3 * x[likelihood.order, 0]
    _, gradient, curvature = likelihood.terms(eta)
    step = 1e-4
    for i in range(len(eta)):
        up, down = eta.copy(), eta.copy()
        up[i] += step
        down[i] -= step
        above, here, below = (likelihood.terms(e)[0] for e in (up, eta, down))
        assert abs((above - below) / (2 * step) - gradient[i]) < 1e-6
        assert abs(-(above - 2 * here + below) / step**2 - curvature[i]) < 1e-5


def test_gradient_sums_to_zero_and_ignores_a_constant(simulated):
    x, time, event = simulated()
    likelihood = PartialLikelihood.of(time, event)
    eta = x[likelihood.order, 0]
    value, gradient, _ = likelihood.terms(eta)
    shifted, _, _ = likelihood.terms(eta + 7.0)
    assert abs(gradient.sum()) < 1e-9
    assert abs(value - shifted) < 1e-8


def test_baseline_without_features_is_close_to_nelson_aalen(simulated):
    _, time, event = simulated(ties=False)
    times, steps = PartialLikelihood.of(time, event).baseline(np.zeros(len(time)))
    at_risk = np.array([(time >= t).sum() for t in times])
    np.testing.assert_allclose(steps, 1.0 / at_risk)


@given(
    st.lists(st.tuples(st.integers(1, 4), st.booleans(), st.floats(-2, 2)), min_size=1, max_size=8)
)
def test_efrons_likelihood_and_steps_as_they_are_printed(patients):
    """Every event over those at risk, the tied ones counted off bit by bit."""
    time = np.array([float(t) for t, _, _ in patients])
    event = np.array([e for _, e, _ in patients])
    eta = np.array([x for _, _, x in patients])
    total, steps = 0.0, {}
    for day in np.unique(time[event]):
        dying = event & (time == day)
        d = int(dying.sum())
        at_risk, tied = np.exp(eta[time >= day]).sum(), np.exp(eta[dying]).sum()
        sizes = [at_risk - r / d * tied for r in range(d)]
        total += eta[dying].sum() - np.log(sizes).sum()
        steps[day] = sum(1 / s for s in sizes)
    likelihood = PartialLikelihood.of(time, event)
    ordered = eta[likelihood.order]
    value, gradient, curvature = likelihood.terms(ordered)
    assert value == pytest.approx(total, abs=1e-9)
    assert gradient.sum() == pytest.approx(0, abs=1e-9)
    assert (curvature > -1e-12).all()
    times, found = likelihood.baseline(ordered)
    assert dict(zip(times, found, strict=True)) == pytest.approx(steps)


def test_the_two_likelihoods_of_the_package_agree(simulated):
    """This one fits models, that of ``validation`` calibrates them; both are Efron's."""
    x, time, event = simulated(n=80)
    fit = fit_hazard(time, event.astype(int), x[:, 0], float(np.median(time)))
    likelihood = PartialLikelihood.of(time, event)
    eta = ((x[:, 0] - fit.centre[0]) * fit.coef[0])[likelihood.order]
    value, gradient, _ = likelihood.terms(eta)
    assert value == pytest.approx(fit.loglik[1])
    assert gradient @ x[likelihood.order, 0] == pytest.approx(0, abs=1e-6)
    times, steps = likelihood.baseline(eta)
    assert steps[times <= np.median(time)].sum() == pytest.approx(fit.baseline)


def test_one_patient_with_an_event_has_a_likelihood_of_one():
    value, gradient, curvature = PartialLikelihood.of(np.array([3.0]), np.array([True])).terms(
        np.array([0.7])
    )
    assert (value, gradient[0], curvature[0]) == (0, 0, 0)
