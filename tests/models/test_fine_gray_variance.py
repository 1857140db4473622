"""The variance of Fine–Gray coefficients; equality with crr is in test_coefficient_intervals.py."""

from __future__ import annotations

import numpy as np

from metasight.cohort.outcome import SurvivalOutcome
from metasight.models.fine_gray import fit_subdistribution
from metasight.models.fine_gray_variance import subdistribution_covariance


def drawn(n: int, seed: int, *, censored: bool):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 2))
    first = rng.exponential(np.exp(-0.5 * x[:, 0]))
    other = rng.exponential(1.5, n)
    end = rng.exponential(2.0, n) if censored else np.full(n, np.inf)
    time = np.minimum(np.minimum(first, other), end)
    status = np.where(time == first, 1, np.where(time == other, 2, 0)).astype(np.int8)
    return x, SurvivalOutcome(time, status)


def test_it_is_the_spread_of_the_coefficients_over_samples():
    found, errors = [], []
    for seed in range(120):
        x, follow_up = drawn(200, seed, censored=True)
        b = fit_subdistribution(x, follow_up, model="fg").coefficients
        found.append(b)
        errors.append(np.diag(subdistribution_covariance(x, follow_up, b)))
    np.testing.assert_allclose(np.mean(errors, axis=0), np.var(found, axis=0, ddof=1), rtol=0.3)


def test_where_nobody_is_censored_there_is_nothing_of_the_censoring():
    x, follow_up = drawn(150, 1, censored=False)
    b = fit_subdistribution(x, follow_up, model="fg").coefficients
    found = subdistribution_covariance(x, follow_up, b)
    assert np.all(np.linalg.eigvalsh(found) > 0)
    np.testing.assert_allclose(found, found.T, atol=1e-15)
