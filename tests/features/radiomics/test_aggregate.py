"""Values of several matrices become one: a mean of those that are defined."""

from __future__ import annotations

import math

import numpy as np

from metasight.features.radiomics.aggregate import Averaged, padded, slices_of

NAN = math.nan


def test_the_mean_is_over_the_matrices_that_define_a_feature():
    average = Averaged(("a", "b", "c"))
    average.add(np.array([[1.0, NAN, NAN], [3.0, 4.0, NAN]]))
    average.add(np.array([[8.0, 6.0, NAN]]))
    told = average.mean()
    assert (told["a"], told["b"]) == (4.0, 5.0)
    assert math.isnan(told["c"])


def test_matrices_one_by_one_or_all_at_once():
    rows = np.random.default_rng(0).normal(size=(7, 3))
    one, other = Averaged(("a", "b", "c")), Averaged(("a", "b", "c"))
    one.add(rows)
    for row in rows:
        other.add(row[None])
    np.testing.assert_allclose(list(one.mean().values()), rows.mean(axis=0))
    np.testing.assert_allclose(list(other.mean().values()), rows.mean(axis=0))


def test_no_matrix_no_value():
    average = Averaged(("a",))
    average.add(np.empty((0, 1)))
    assert math.isnan(average.mean()["a"])


def test_a_border_is_outside():
    levels = np.full((1, 2, 2), 3, dtype=np.int32)
    wide = padded(levels, 2)
    assert wide.shape == (5, 6, 6)
    assert wide.sum() == levels.sum()
    np.testing.assert_array_equal(wide[2:3, 2:4, 2:4], levels)


def test_slices_without_a_voxel_are_none():
    levels = np.zeros((4, 2, 2), dtype=np.int32)
    levels[1, 0, 0], levels[3, 1, 1] = 5, 7
    assert [s.max() for s in slices_of(levels)] == [5, 7]
    assert {s.shape for s in slices_of(levels)} == {(1, 2, 2)}
