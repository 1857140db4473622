import numpy as np
import pytest

from metasight.errors import EvaluationError
from metasight.validation.smoothing import spline_basis, spline_knots

X = np.sort(np.random.default_rng(0).random(200))


def test_spline_is_linear_beyond_its_knots():
    knots = np.array([0.2, 0.5, 0.8])
    beyond = spline_basis(np.array([0.9, 1.0, 1.1]), knots)
    assert np.diff(beyond, n=2, axis=0) == pytest.approx(np.zeros((1, 2)), abs=1e-12)
    assert spline_basis([0.1], knots)[0].tolist() == [0.1, 0.0]


def test_knots():
    assert spline_knots(np.arange(101), 3).tolist() == [10, 50, 90]
    assert spline_knots(np.arange(50), 3)[[0, -1]].tolist() == [4, 45]
    with pytest.raises(EvaluationError, match="too few distinct"):
        spline_knots(np.ones(200), 3)


def test_the_spline_is_a_cubic_with_two_bends_between_knots():
    """Value, slope and bend go on over every knot; only the third difference jumps."""
    knots = np.array([1.0, 2, 4, 7])
    h = 1e-3
    for knot in knots:
        left, right = knot - 3 * h, knot + 3 * h
        around = spline_basis(
            np.array([left - h, left, left + h, right - h, right, right + h]), knots
        )
        bends = [around[i - 1] - 2 * around[i] + around[i + 1] for i in (1, 4)]
        assert bends[0] / h**2 == pytest.approx(bends[1] / h**2, abs=0.03)


def test_harrells_formula_term_by_term():
    """Regression Modeling Strategies, equation 2.25, at one value and by hand."""
    knots = np.array([0.0, 1, 3])
    x = 2.0
    term = (2.0**3 - 1.0**3 * (3 - 0) / (3 - 1) + 0) / (3 - 0) ** 2
    assert spline_basis([x], knots)[0].tolist() == pytest.approx([2.0, term])
    x = 4.0
    term = (4.0**3 - 3.0**3 * 3 / 2 + 1.0**3 * 1 / 2) / 9
    assert spline_basis([x], knots)[0].tolist() == pytest.approx([4.0, term])


@pytest.mark.parametrize(
    ("n", "ends"), [(9, (0.8, 7.2)), (10, (4, 5)), (99, (4, 94)), (100, (9.9, 89.1))]
)
def test_the_outer_knots_of_few_values_are_the_fifth_from_either_end(n, ends):
    knots = spline_knots(np.arange(n), 3)
    assert (knots[0], knots[-1]) == pytest.approx(ends)


def test_a_refusal_counts_the_distinct_risks():
    with pytest.raises(EvaluationError, match="too few distinct") as error:
        spline_knots([0.1] * 100 + [0.2] * 20, 3)
    assert error.value.value == "2 distinct values"
    assert "grouped calibration" in error.value.remedy


@pytest.mark.parametrize(
    ("k", "shares"),
    [(3, (0.1, 0.5, 0.9)), (4, (0.05, 0.35, 0.65, 0.95)), (5, (0.05, 0.275, 0.5, 0.725, 0.95))],
)
def test_harrells_quantiles(k, shares):
    assert spline_knots(np.arange(1001), k) == pytest.approx([1000 * s for s in shares])
