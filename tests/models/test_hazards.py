import numpy as np

from metasight.models.hazards import CauseHazard, HazardHead, cumulative_incidence


def _cause(times, increments, coefficient):
    return CauseHazard(
        coefficients=np.array([coefficient]),
        times=np.array(times, dtype=float),
        increments=np.array(increments, dtype=float),
    )


def test_cumulative_hazard_counts_the_horizon_day_itself():
    cause = _cause([10, 20], [0.1, 0.3], 0.0)
    np.testing.assert_allclose(
        cause.cumulative(np.array([9, 10, 19, 20, 999])), [0, 0.1, 0.1, 0.4, 0.4]
    )


def test_incidence_is_the_product_integral_by_hand():
    causes = (_cause([10, 30], [0.1, 0.2], 0.0), _cause([20], [0.5], 0.0))
    found = cumulative_incidence(causes, np.zeros((1, 2)), np.array([5, 10, 25, 30]))
    np.testing.assert_allclose(found[0], [0, 0.1, 0.1, 0.1 + 0.9 * 0.5 * 0.2])


def test_incidence_stays_a_probability_for_extreme_patients():
    rng = np.random.default_rng(0)
    times = np.arange(1, 60)
    causes = (
        _cause(times, rng.uniform(0, 0.1, 59), 1.0),
        _cause(times + 0.5, rng.uniform(0, 0.1, 59), 1.0),
    )
    predictors = rng.normal(0, 4, (700, 2))
    first = cumulative_incidence(causes, predictors, np.arange(1, 80))
    second = cumulative_incidence(causes[::-1], predictors[:, ::-1], np.arange(1, 80))
    assert (np.diff(first, axis=1) >= 0).all()
    assert (first + second <= 1 + 1e-9).all()


def test_a_higher_predictor_never_lowers_a_single_risk():
    head = HazardHead(scale="survival", causes=(_cause([10, 20], [0.1, 0.3], 1.0),), fit={})
    risk = head.risk(np.linspace(-3, 3, 20)[:, None], np.array([15, 25]))
    assert (np.diff(risk, axis=0) > 0).all()
    np.testing.assert_allclose(head.risk(np.zeros((1, 1)), np.array([25])), 1 - np.exp(-0.4))


def test_no_horizon_gives_no_column():
    head = HazardHead(
        scale="product_integral",
        causes=(_cause([10], [0.1], 1.0), _cause([20], [0.1], 1.0)),
        fit={},
    )
    assert head.risk(np.zeros((4, 1)), np.array([], dtype=np.int64)).shape == (4, 0)
