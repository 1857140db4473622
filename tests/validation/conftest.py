"""Small cohorts with every complication: ties, censoring, competing events, folds."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest

from metasight.predictions import Predictions


@dataclass(frozen=True)
class Cohort:
    time: np.ndarray
    status: np.ndarray
    risk: np.ndarray
    strata: np.ndarray


def make(n: int, seed: int, *, competing: bool = True, days: int = 40) -> Cohort:
    """Whole days up to ``days`` (many ties), risks on a grid (some ties)."""
    rng = np.random.default_rng(seed)
    score = rng.normal(size=n)
    onset = np.ceil(rng.exponential(np.exp(-score) * days / 2) + 0.5)
    censoring = np.ceil(rng.uniform(1, days, n))
    status = (onset <= censoring).astype(np.int64)
    if competing:
        status[(status == 1) & (rng.random(n) < 0.3)] = 2
    risk = np.clip(np.round(1 / (1 + np.exp(-score + rng.normal(size=n))), 2), 0.01, 0.99)
    return Cohort(np.minimum(onset, censoring), status, risk, rng.integers(0, 3, n))


@pytest.fixture
def cohort():
    return make(120, 1)


@pytest.fixture
def survival():
    return make(150, 2, competing=False)


def predictions(
    n: int,
    *,
    kind: str = "survival",
    models: int = 2,
    repeats: int = 2,
    folds: int = 3,
    seed: int = 0,
    by_centre: bool = False,
    horizons=(400, 800, 1200, 1800),
) -> Predictions:
    """Out-of-fold predictions of models whose risks get noisier with their number."""
    rng = np.random.default_rng(seed)
    score = rng.normal(size=n)
    onset = rng.exponential(np.exp(-score) * 3000) + 1
    censoring = rng.uniform(900, 5000, n)
    status = (onset <= censoring).astype(float)
    if kind == "competing":
        status[(status == 1) & (rng.random(n) < 0.25)] = 2
    days = np.ceil(np.minimum(onset, censoring))
    centre = np.array(["north", "south", "west"])[rng.integers(0, 3, n)]
    stage = np.digitize(score + rng.logistic(size=n), [0.8, 2.0]).astype(float)
    stage[:4] = np.nan
    parts = []
    for model in range(models):
        for repeat in range(repeats):
            fold = rng.permutation(n) % folds
            if by_centre:
                fold = np.unique(centre, return_inverse=True)[1]
            lp = score + rng.normal(size=n) * (0.2 + 0.5 * model)
            base = {
                "patient": [f"p{i:04d}" for i in range(n)],
                "centre": centre,
                "arm": None,
                "model": f"model{model}",
                "repeat": repeat,
                "fold": fold,
                "endpoint": "dm",
            }
            if kind == "nodal":
                one, two = 1 / (1 + np.exp(0.8 - lp)), 1 / (1 + np.exp(2.0 - lp))
                for label, p in zip(("N0", "N1", "N2"), (1 - one, one - two, two), strict=True):
                    extra = {"horizon_days": None, "label": label, "risk": p}
                    parts.append({**base, **extra, "time_days": np.nan, "status": stage})
            else:
                for h in horizons:
                    p = -np.expm1(-np.exp(lp) * h / 3000)
                    extra = {"horizon_days": h, "label": None, "risk": p}
                    parts.append({**base, **extra, "time_days": days, "status": status})
    return Predictions(pd.concat([pd.DataFrame(p) for p in parts], ignore_index=True))
