"""Agreement against worked examples in print."""

import numpy as np
import pytest

from metasight.errors import EvaluationError
from metasight.validation.agreement import agreement, kappa


def test_icc_of_a_pair_worked_by_hand():
    """x = (1, 3, 5), (2, 4, 9): mean squares rows 10.5+…; by the ANOVA table of McGraw and Wong."""
    first, second = np.array([1.0, 3.0, 5.0]), np.array([2.0, 4.0, 9.0])
    x = np.stack([first, second], axis=1)
    rows = 2 * ((x.mean(1) - 4) ** 2).sum() / 2
    columns = 3 * ((x.mean(0) - 4) ** 2).sum()
    rest = (((x - 4) ** 2).sum() - rows * 2 - columns) / 2
    expected = (rows - rest) / (rows + rest + 2 * (columns - rest) / 3)
    assert (rows, columns, rest) == pytest.approx((15.5, 6.0, 1.5))
    assert agreement(first, second).icc == pytest.approx(expected) == pytest.approx(0.7)


def test_shrout_and_fleiss_judges_two_and_four():
    """ICC(2,1) of raters 1 and 3 of Shrout and Fleiss's table (Psychol Bull 1979;86:420).

    psych::ICC in R gives, for the four raters, 0.29; two of them are checked here by the same
    variance components computed with another formula.
    """
    a, b = np.array([9, 6, 8, 7, 10, 6.0]), np.array([5, 3, 4, 2, 6, 4.0])
    n = 6
    cov = np.cov(a, b)
    between = cov[0, 1]
    raters = ((a.mean() - b.mean()) ** 2 - (cov[0, 0] + cov[1, 1] - 2 * cov[0, 1]) / n) / 2
    rest = (cov[0, 0] + cov[1, 1] - 2 * cov[0, 1]) / 2
    assert agreement(a, b).icc == pytest.approx(between / (between + raters + rest))


def test_limits_of_agreement():
    found = agreement([1.0, 2, 3, np.nan], [2.0, 2, 5, 1])
    assert found.n == 3
    assert found.bias == pytest.approx(1.0)
    assert found.limit_upper - found.limit_lower == pytest.approx(2 * 1.96 * 1.0)


def test_the_interval_of_icc_holds_the_truth_as_often_as_it_says():
    rng = np.random.default_rng(0)
    held = 0
    for _ in range(400):
        truth = rng.normal(size=25)
        found = agreement(truth + 0.5 * rng.normal(size=25), truth + 0.5 * rng.normal(size=25))
        held += found.icc_lower <= 0.8 <= found.icc_upper
    assert 0.92 <= held / 400 <= 0.98


def test_equal_measurements_agree_and_constant_ones_cannot_say():
    assert agreement([1.0, 2, 3], [1.0, 2, 3]).icc == pytest.approx(1)
    assert np.isnan(agreement([1.0, 1, 1], [1.0, 1, 1]).icc)
    with pytest.raises(EvaluationError, match="too few"):
        agreement([1.0, 2], [1.0, 2])


def test_two_constants_that_differ_say_nothing_of_patients():
    found = agreement([0.0, 0.0, 0.0, 0.0], [2.0, 2.0, 2.0, 2.0])
    assert np.isnan([found.icc, found.icc_lower, found.icc_upper]).all()
    assert (found.bias, found.limit_lower, found.limit_upper) == (2.0, 2.0, 2.0)


def test_kappa_of_cohens_table():
    """50 patients, both yes 20, both no 15, 5 and 10 apart: kappa 0.40 (Fleiss's example)."""
    pairs = [("y", "y")] * 20 + [("y", "n")] * 5 + [("n", "y")] * 10 + [("n", "n")] * 15
    found = kappa([a for a, _ in pairs], [b for _, b in pairs])
    assert found.kappa == pytest.approx(0.4)
    assert found.observed == pytest.approx(0.7)
    assert found.lower == pytest.approx(0.4 - 1.96 * 0.1271, abs=0.005)
    assert np.isnan(kappa(["a", "a"], ["a", "a"]).kappa)
    with pytest.raises(EvaluationError, match="no patient"):
        kappa([None], ["a"])


def test_kappa_of_readers_who_differ_in_how_often_they_say_yes():
    """25 yes-yes, 10 yes-no, 5 no-yes, 10 no-no: observed 0.7, by chance 0.7 · 0.6 + 0.3 · 0.4."""
    first = ["yes"] * 35 + ["no"] * 15
    second = ["yes"] * 25 + ["no"] * 10 + ["yes"] * 5 + ["no"] * 10
    found = kappa(first, second)
    assert found.observed == pytest.approx(0.7)
    assert found.kappa == pytest.approx((0.7 - 0.54) / (1 - 0.54))
    turned = kappa(second, first)
    assert (turned.kappa, turned.lower) == (pytest.approx(found.kappa), pytest.approx(found.lower))


def test_the_interval_of_kappa_lies_as_far_on_either_side():
    """Fleiss, Cohen and Everitt's error for the table above, by their formula 16."""
    share = np.array([[20, 5], [10, 15]]) / 50
    rows, columns = share.sum(axis=1), share.sum(axis=0)
    k, chance = 0.4, rows @ columns
    a = sum(share[i, i] * (1 - (rows[i] + columns[i]) * (1 - k)) ** 2 for i in range(2))
    b = (1 - k) ** 2 * sum(
        share[i, j] * (columns[i] + rows[j]) ** 2 for i in range(2) for j in range(2) if i != j
    )
    error = ((a + b - (k - chance * (1 - k)) ** 2) / 50) ** 0.5 / (1 - chance)
    pairs = [("y", "y")] * 20 + [("y", "n")] * 5 + [("n", "y")] * 10 + [("n", "n")] * 15
    found = kappa([a for a, _ in pairs], [b for _, b in pairs])
    assert found.upper - found.kappa == pytest.approx(1.96 * error)
    assert found.kappa - found.lower == pytest.approx(1.96 * error)


def test_the_interval_of_a_perfect_kappa_ends_at_one():
    found = kappa(["a", "b", "a", "b"], ["a", "b", "a", "b"])
    assert (found.kappa, found.upper) == (1, 1)
    assert found.lower <= 1


def test_two_readers_of_whom_one_says_more_do_not_agree_though_they_correlate():
    first = np.arange(10.0)
    assert agreement(first, first + 5).icc < 0.6
    assert agreement(first, first + 5).bias == 5
    assert np.corrcoef(first, first + 5)[0, 1] == pytest.approx(1)
    with pytest.raises(EvaluationError, match="differ in shape"):
        agreement(first, first[:5])
