"""Tables: the protocol's codes, and a cohort without pixels that carries the planted effect."""

from __future__ import annotations

import numpy as np
import pytest
from lifelines import CoxPHFitter

from metasight.simulate.breast.settings import BreastSettings, Effects
from metasight.simulate.breast.table import SimulatedTable, simulate_table
from metasight.validation.discrimination import harrell_c

SETTINGS = BreastSettings(patients=400)


def cox_c(train: SimulatedTable, test: SimulatedTable, *, spatial: bool) -> float:
    """C on other patients of a Cox model with or without the image's features."""

    def frame(t: SimulatedTable):
        out = t.clinical[["grade", "er_positive"]].copy()
        out["size"] = np.log(t.clinical["tumour_size_mm"])
        out["nodes"] = np.log1p(t.clinical["positive_nodes"])
        out["age"] = t.clinical["age_years"]
        if spatial:
            for c in ("tls_per_mm2", "t_cells_per_mm2", "mixing_score_ratio"):
                out[c] = np.log(t.spatial[c])
        return out

    x = frame(train)
    fit = CoxPHFitter(penalizer=0.01).fit(x.assign(t=train.time_days, e=train.status), "t", "e")
    risk = fit.predict_log_partial_hazard(frame(test)).to_numpy()
    return harrell_c(test.time_days, test.status, risk).c


def test_the_same_seed_is_the_same_cohort() -> None:
    one, two, other = (simulate_table(SETTINGS, s) for s in (1, 1, 2))
    assert one.spatial.equals(two.spatial)
    assert (one.time_days == two.time_days).all()
    assert not one.spatial.equals(other.spatial)


def test_planted_effect_can_be_recovered_and_a_null_cannot() -> None:
    """Over replicates a model that reads the features gains most of the oracle's increment."""
    train = simulate_table(SETTINGS.model_copy(update={"patients": 2000}), 99)
    gains, oracle = [], []
    for seed in range(10):
        test = simulate_table(SETTINGS, seed)
        gains.append(cox_c(train, test, spatial=True) - cox_c(train, test, spatial=False))
        oracle.append(test.oracle.increment)
    assert np.mean(oracle) == pytest.approx(0.083, abs=0.025)
    assert 0.7 * np.mean(oracle) < np.mean(gains) < 1.1 * np.mean(oracle)
    null = SETTINGS.model_copy(update={"effects": Effects(tls=0, t_cells=0, mixing=0)})
    train = simulate_table(null.model_copy(update={"patients": 2000}), 99)
    gains = [
        cox_c(train, test, spatial=True) - cox_c(train, test, spatial=False)
        for test in (simulate_table(null, s) for s in range(10))
    ]
    assert abs(np.mean(gains)) < 0.015


def test_events_and_missing_modalities() -> None:
    many = [simulate_table(SETTINGS, s) for s in range(8)]
    assert np.mean([t.status.sum() for t in many]) == pytest.approx(60, abs=9)
    lacking = simulate_table(SETTINGS.model_copy(update={"missing_fraction": 0.3}), 1)
    whole = lacking.spatial.isna().all(axis=1)
    assert (lacking.spatial.isna().any(axis=1) == whole).all()  # a modality is there or not
    assert whole.mean() == pytest.approx(0.3, abs=0.08)
    assert lacking.embeddings.isna().all(axis=1).mean() == pytest.approx(0.3, abs=0.08)
    assert (lacking.time_days == many[1].time_days).all()  # missingness has no other effect


def test_measurement_error_blurs_the_latent() -> None:
    sharp, blurred = (
        simulate_table(SETTINGS.model_copy(update={"measurement_error": e}), 1) for e in (1e-6, 1.0)
    )
    r = np.corrcoef(np.log(sharp.spatial["tls_per_mm2"]), np.log(blurred.spatial["tls_per_mm2"]))
    assert r[0, 1] == pytest.approx(1 / np.sqrt(2), abs=0.08)
