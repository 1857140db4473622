"""Splits: disjoint, complete, stratified, and the same whatever the order of the table."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metasight.cohort.splits import (
    Split,
    leave_one_centre_out,
    pairs_of_folds,
    repeated_kfold,
    temporal,
)
from metasight.errors import LeakageError, StudyError


@given(
    n=st.integers(12, 90),
    folds=st.integers(2, 5),
    seed=st.integers(0, 999),
    events=st.integers(1, 12),
)
def test_each_repeat_tests_everybody_once_and_spreads_events(n, folds, seed, events):
    patients = [f"P{i:03d}" for i in range(n)]
    strata = (np.arange(n) < events).astype(int)
    splits = repeated_kfold(patients, strata, folds=folds, repeats=2, seed=seed)
    status = dict(zip(patients, strata, strict=True))
    for repeat in (0, 1):
        mine = [s for s in splits if s.repeat == repeat]
        assert sorted(p for s in mine for p in s.test) == patients
        for split in mine:
            assert set(split.train) | set(split.test) == set(patients)
            assert not set(split.train) & set(split.test)
        counts = [sum(status[p] for p in s.test) for s in mine]
        assert max(counts) - min(counts) <= 1
        sizes = [len(s.test) for s in mine]
        assert max(sizes) - min(sizes) <= 1


def test_the_order_of_the_table_does_not_matter():
    patients = np.array([f"P{i:03d}" for i in range(40)])
    strata = np.arange(40) % 3
    order = np.random.default_rng(0).permutation(40)
    one = repeated_kfold(patients, strata, folds=4, repeats=1, seed=5)
    two = repeated_kfold(patients[order], strata[order], folds=4, repeats=1, seed=5)
    assert one == two
    assert one != repeated_kfold(patients, strata, folds=4, repeats=1, seed=6)


def test_too_few_patients():
    with pytest.raises(StudyError, match="7 patients cannot be divided into 4 folds"):
        repeated_kfold(list("abcdefg"), np.zeros(7, int), folds=4, repeats=1, seed=0)


def test_a_patient_on_both_sides_is_refused():
    with pytest.raises(LeakageError, match="1 patients are in training and test"):
        Split(scheme="kfold", repeat=0, fold=0, train=("a", "b"), test=("b",))


def test_leave_one_centre_out():
    centres = pd.Series({"p1": "A", "p2": "B", "p3": "A", "p4": "C"})
    splits = leave_one_centre_out(centres)
    assert [(s.held_out, s.test) for s in splits] == [
        ("A", ("p1", "p3")),
        ("B", ("p2",)),
        ("C", ("p4",)),
    ]
    with pytest.raises(StudyError, match="there is only one centre"):
        leave_one_centre_out(centres[centres == "A"])


def test_temporal():
    year = pd.Series({"p1": 2015.0, "p2": 2018.0, "p3": 2016.0, "p4": 2017.0})
    (split,) = temporal(year, first_test_year=2017)
    # patients of the first test year are tested, and nobody is lost between the two
    assert (split.train, split.test) == (("p1", "p3"), ("p2", "p4"))
    with pytest.raises(StudyError, match="Choose a year between 2016 and 2018"):
        temporal(year, first_test_year=2030)


def test_pairs_of_folds_leave_both_out():
    patients = [f"P{i}" for i in range(23)]
    division = repeated_kfold(patients, np.zeros(23, dtype=int), folds=4, repeats=1, seed=1)
    found = pairs_of_folds(division)
    assert len(found) == 6
    for first, second, both in found:
        assert set(both.test) == set(first.test) | set(second.test)
        assert set(both.train) == set(patients) - set(both.test)
        assert both.scheme == "pair"
    assert len({both.fold for _, _, both in found}) == 6
