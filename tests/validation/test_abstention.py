"""Who gets no risk: the distance beyond the limit, and nothing measured at all."""

import numpy as np
import pandas as pd
import pytest

from metasight.validation.abstention import (
    headline_figures,
    is_silent,
    median_distance,
    silence_by_centre,
)

from .conftest import predictions
from .test_evaluate import plan


@pytest.mark.parametrize(
    ("distance", "silent"), [(0.0, False), (1.0, False), (1.0001, True), (np.nan, True)]
)
def test_an_unmeasured_patient_is_not_taken_to_be_like_training(distance, silent):
    assert is_silent(distance) == silent
    assert is_silent([0.5, distance])[1] == silent


def test_counts_by_centre():
    centre = pd.Series(["North", "East", "North"], index=["A", "B", "C"])
    silent = pd.Series([True, False, False], index=["A", "B", "C"])
    east, north = silence_by_centre(silent, centre)
    assert (east.centre, east.patients, east.silent) == ("East", 1, 0)
    assert (north.centre, north.patients, north.silent) == ("North", 2, 1)


def test_the_median_over_fits_leaves_out_those_that_measured_nothing():
    rows = pd.DataFrame(
        {"distance": [0.2, 0.6, 0.7, np.nan, np.nan], "furthest": ["a", "b", "c", None, None]},
        index=["A", "A", "A", "B", "B"],
    )
    found = median_distance(rows)
    assert found.loc["A", "distance"] == 0.6
    assert found.loc["A", "furthest"] == "a"
    assert np.isnan(found.loc["B", "distance"])


def test_figures_are_those_of_the_headline_model_or_a_reason():
    table, asked = predictions(120), plan()
    found = headline_figures(table, asked)
    assert found.patients == table.table["patient"].nunique()
    assert "Harrell’s C" in found.measures
    assert not found.skipped
    few = headline_figures(table.select(patients=list(table.table["patient"].unique()[:2])), asked)
    assert few.skipped or few.patients == 2
