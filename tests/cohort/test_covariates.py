"""Columns that an estimator may take: numbers, complete, and not the same in everybody."""

import numpy as np
import pandas as pd

from metasight.cohort.covariates import complete_covariates


def test_missing_values_stand_at_the_median_and_what_never_varies_is_left_out():
    table = pd.DataFrame(
        {
            "age": [50.0, np.nan, 70.0, 90.0],
            "female": [True, False, True, True],
            "kps": [90, 90, 90, 90],
            "text": ["a", "b", "c", "d"],
            "nothing": [np.nan] * 4,
        }
    )
    names, values = complete_covariates(
        table, ("female", "age", "age", "kps", "text", "nothing", "not there")
    )
    assert names == ["female", "age"]
    assert values.tolist() == [[1, 50], [0, 70], [1, 70], [1, 90]]


def test_no_covariate_is_an_empty_matrix():
    names, values = complete_covariates(pd.DataFrame({"a": [1, 1]}), ("a",))
    assert names == []
    assert values.shape == (2, 0)
