"""Two intraclass correlations, by hand."""

import numpy as np
import pytest

from metasight.validation.reliability import reliability, share_between


def test_error_takes_its_share_of_the_variance():
    values = np.array([1.0, 2.0, 3.0, 4.0])  # variance 5/3
    error = np.array([0.5, 0.5, 0.5, 0.5])  # mean square 1/4
    assert reliability(values, error) == pytest.approx(1 - 0.25 / (5 / 3))


def test_only_patients_of_whom_both_are_known_count():
    values = np.array([1.0, 2.0, 3.0, 4.0, np.nan, 100.0])
    error = np.array([0.5, 0.5, 0.5, 0.5, 0.5, np.nan])
    assert reliability(values, error) == pytest.approx(1 - 0.25 / (5 / 3))
    assert np.isnan(reliability(values[:3], np.array([0.5, 0.5, np.nan])))


def test_error_beyond_the_variance_leaves_nothing():
    assert reliability(np.array([1.0, 2.0, 3.0]), np.full(3, 9.0)) == 0.0
    assert np.isnan(reliability(np.ones(5), np.full(5, 0.1)))


def test_share_between_groups_of_equal_size():
    # groups {1, 3} and {5, 7}: means 2 and 6, mean square between 16, within 2
    share = share_between(np.array([1.0, 3.0, 5.0, 7.0]), np.array(["A", "A", "B", "B"]))
    assert share == pytest.approx((16 - 2) / (16 + (2 - 1) * 2))


def test_groups_of_unequal_size_are_worth_their_mean_size():
    # groups {0, 2, 4} and {9}: means 2 and 9, grand mean 3.75
    between = 3 * 1.75**2 + 5.25**2
    within = 8 / 2
    size = 4 - (9 + 1) / 4
    share = share_between(np.array([0.0, 2.0, 4.0, 9.0]), np.array(["A", "A", "A", "B"]))
    assert share == pytest.approx((between - within) / (between + (size - 1) * within))


def test_no_share_is_below_nothing_or_told_of_one_group():
    values = np.array([1.0, 9.0, 1.0, 9.0])
    assert share_between(values, np.array(["A", "A", "B", "B"])) == 0.0
    assert np.isnan(share_between(values, np.array(["A"] * 4)))
    assert np.isnan(share_between(values, np.array(["A", "B", "C", "D"])))
    assert np.isnan(share_between(np.ones(4), np.array(["A", "A", "B", "B"])))
