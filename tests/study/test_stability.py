"""Reliability and the centres' share against what was drawn."""

import numpy as np
import pandas as pd
import pytest

from metasight.cohort.outcome import NodalOutcome
from metasight.features.columns import Feature, FeatureTable, Kind
from metasight.models.crossfit import Data
from metasight.steps.after.stability import stability_of


def test_both_shares_are_those_that_were_drawn():
    rng = np.random.default_rng(0)
    n, centres = 4000, 40
    centre = np.repeat(np.arange(centres), n // centres)
    drawn = rng.normal(size=centres)
    of_centre = drawn[centre]
    values = pd.DataFrame(
        {
            "stable": rng.normal(size=n),
            "stable_error": 0.1,
            "loose": rng.normal(size=n),
            "loose_error": 0.8,
            "local": rng.normal(size=n) + of_centre,
            "constant": 1.0,
        },
        index=[f"p{i}" for i in range(n)],
    )
    values.iloc[:100, 0] = np.nan
    features = tuple(
        Feature(
            name=c,
            kind=Kind.CONTINUOUS,
            modality="radiomics",
            error_of=c.removesuffix("_error") if c.endswith("_error") else "",
        )
        for c in values
    )
    names = pd.Series([f"C{c}" for c in centre], index=values.index)
    data = Data(
        tuple(values.index),
        FeatureTable(values, features),
        NodalOutcome(np.zeros(n, dtype=np.int8)),
        names,
        names,
        "nodal_stage",
    )
    found = stability_of(data)
    assert list(found.index) == ["stable", "loose", "local", "constant"]
    assert found.loc["stable", "reliability"] == pytest.approx(0.99, abs=0.002)
    assert found.loc["stable", "n"] == n - 100
    assert found.loc["loose", "reliability"] == pytest.approx(1 - 0.64, abs=0.03)
    assert found.loc["loose", "centre_share"] < 0.02
    expected = drawn.var(ddof=1) / (1 + drawn.var(ddof=1))
    assert found.loc["local", "centre_share"] == pytest.approx(expected, abs=0.02)
    assert np.isnan(found.loc["local", "reliability"])
    assert np.isnan(found.loc["constant", "centre_share"])
