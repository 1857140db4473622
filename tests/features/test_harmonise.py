"""Harmonisation against neuroCombat 0.2.12, and what it must and must not take away."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from metasight.errors import FitError
from metasight.features.harmonise import fit

FEATURES = [f"f{i}" for i in range(6)]


def made(n: int = 300, seed: int = 0) -> tuple[pd.DataFrame, np.ndarray, pd.DataFrame]:
    """Three centres with a stated shift and spread; ``stage`` differs between them and matters."""
    rng = np.random.default_rng(seed)
    centre = rng.choice(["a", "b", "c"], n)
    stage = rng.normal((centre == "b") * 1.0, 1.0)
    clean = rng.normal(size=(n, 8)) + 0.8 * stage[:, None]
    shift = np.select([centre == "b", centre == "c"], [1.5, -1.0], 0.0)[:, None]
    spread = np.select([centre == "b", centre == "c"], [2.0, 0.5], 1.0)[:, None]
    values = 10 + 0.8 * stage[:, None] + (clean - 0.8 * stage[:, None]) * spread + shift
    return pd.DataFrame(values).rename(columns=str), centre, pd.DataFrame({"stage": stage})


def test_it_is_neurocombat() -> None:
    # centres, a covariate, features and neuroCombat's answer with its convergence set to 1e-13
    table = pd.read_csv(Path(__file__).with_name("neurocombat.csv"))
    centre, size = table["centre"].to_list(), table[["size"]]
    fitted = fit(table[FEATURES], centre, size)
    found = fitted.apply(table[FEATURES], centre, size, unseen="refuse")
    assert found.notes == ()
    theirs = table[[f"neurocombat{i}" for i in range(6)]].to_numpy()
    np.testing.assert_allclose(found.values.to_numpy(), theirs, rtol=1e-7, atol=1e-7)


def test_the_centre_goes_and_the_covariate_stays() -> None:
    table, centre, stage = made()
    found = fit(table, centre, stage).apply(table, centre, stage, unseen="refuse").values
    rest = found - 0.8 * stage["stage"].to_numpy()[:, None]
    means = rest.groupby(centre).mean()
    spreads = rest.groupby(centre).std()
    # 2.5 before; the standard error of a centre's difference is up to 0.2
    assert (means.max() - means.min()).max() < 0.4
    assert (spreads.max() / spreads.min()).max() < 1.15  # 4 before
    for name in found:
        slope = np.polyfit(stage["stage"], found[name], 1)[0]
        assert slope == pytest.approx(0.8, abs=0.25)


def test_what_was_fitted_on_one_half_helps_the_other() -> None:
    table, centre, stage = made(600, seed=3)
    half = np.arange(600) < 300
    fitted = fit(table[half], centre[half], stage[half])
    rest = table[~half], centre[~half], stage[~half]
    found = fitted.apply(*rest, unseen="refuse").values
    means = (found - 0.8 * rest[2]["stage"].to_numpy()[:, None]).groupby(rest[1]).mean()
    assert (means.max() - means.min()).max() < 0.6


def test_an_unseen_centre_is_refused_or_passes_with_a_note() -> None:
    table, centre, stage = made()
    seen = centre != "c"
    fitted = fit(table[seen], centre[seen], stage[seen])
    with pytest.raises(FitError, match="not in the training data"):
        fitted.apply(table, centre, stage, unseen="refuse")
    found = fitted.apply(table, centre, stage, unseen="pass")
    assert found.notes == ("centre c: not in the training data, unchanged",)
    pd.testing.assert_frame_equal(found.values[~seen], table[~seen])
    assert not np.allclose(found.values[seen], table[seen])


def test_undefined_values_and_flat_features_pass_through() -> None:
    table, centre, stage = made()
    table.iloc[5, 0] = np.nan
    table["1"] = np.where(centre == "a", 1.0, table["1"])
    found = (fitted := fit(table, centre, stage)).apply(table, centre, stage, unseen="refuse")
    assert np.isnan(found.values.iloc[5, 0])
    assert np.isfinite(np.delete(found.values.to_numpy(), 5, axis=0)).all()
    assert fitted.untouched == {"1": "all values of a centre are equal"}
    pd.testing.assert_series_equal(found.values["1"], table["1"])


@pytest.mark.parametrize("problem", ["one centre", "confounded", "nan", "length", "columns"])
def test_what_cannot_be_fitted_is_refused(problem: str) -> None:
    table, centre, stage = made()
    with pytest.raises(FitError):
        if problem == "one centre":
            fit(table, ["a"] * len(table))
        elif problem == "confounded":
            fit(table, centre, pd.DataFrame({"scanner": (centre == "a").astype(float)}))
        elif problem == "nan":
            fit(table, centre, stage.mask(stage > 1))
        elif problem == "length":
            fit(table, centre[:-1])
        else:
            fit(table, centre).apply(table[["0", "1"]], centre, unseen="pass")
