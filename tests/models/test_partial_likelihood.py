import numpy as np

from metasight.models.partial_likelihood import PartialLikelihood


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
