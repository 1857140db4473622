"""Does recalibrating as recommended help patients of the new hospital who were not in it?

    python bench/recalibration.py --replicates 200

A finished model of ten columns is right, too low throughout, too extreme, or weighs two of its
columns otherwise than another hospital would. Each replicate draws external patients, takes the
recommendation of the validation, and judges the model as it is, recalibrated as recommended,
always by intercept and slope, and always refitted, by their true mean log loss in 20,000 fresh
patients of that hospital (their true risks are known). Beside it stands how far the held-out
difference was from the true one. Simulated; nothing of it is a study.
"""

from __future__ import annotations

import argparse
from collections import Counter

import numpy as np
import pandas as pd

from metasight.predictions import EXTERNAL_FOLD, Predictions
from metasight.validation.recalibration import (
    METHODS,
    REFIT,
    SLOPE,
    Recalibrations,
    recalibrations,
)
from metasight.validation.results import EvaluationPlan
from metasight.validation.table import align

HORIZON = 1826
FRESH = 20_000
PLAN = EvaluationPlan(
    endpoint="event",
    horizons_days=(HORIZON,),
    tau_days=HORIZON,
    reference_model="m",
    headline_model="m",
)
HOSPITALS = {
    "right": (0.0, 1.0, 0.0),
    "too low": (0.5, 1.0, 0.0),
    "too extreme": (0.0, 0.6, 0.0),
    "other weights": (0.0, 1.0, 0.5),
}
"""True intercept and slope on the log cumulative hazard that the model predicts, and what the first
column counts more and the second less, per SD."""
COLUMNS = 10


def patients(n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Ten columns, and the log cumulative hazard that the model predicts from them."""
    z = rng.normal(size=(n, COLUMNS))
    return z, -1.6 + 0.9 * z.sum(axis=1) / np.sqrt(COLUMNS)


def truth(hospital: tuple[float, float, float], z: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Log cumulative hazard in the hospital."""
    intercept, slope, other = hospital
    return intercept + slope * x + other * (z[:, 0] - z[:, 1])


def external(
    hospital: tuple[float, float, float], z: np.ndarray, x: np.ndarray, rng: np.random.Generator
) -> Predictions:
    """Patients with follow-up, and the risk that the model predicts."""
    n = len(x)
    onset = rng.exponential(HORIZON / np.exp(truth(hospital, z, x)))
    end = rng.uniform(600, 4000, n)
    return Predictions(
        pd.DataFrame(
            {
                "patient": [f"p{k:05d}" for k in range(n)],
                "centre": "A",
                "arm": None,
                "model": "m",
                "repeat": 0,
                "fold": EXTERNAL_FOLD,
                "endpoint": "event",
                "horizon_days": HORIZON,
                "label": None,
                "time_days": np.ceil(np.minimum(onset, end)),
                "status": (onset <= end).astype(float),
                "risk": -np.expm1(-np.exp(x)),
            }
        )
    )


def true_loss(eta: np.ndarray, true: np.ndarray) -> float:
    """Expected log loss of fresh patients of known risk."""
    risk = np.clip(-np.expm1(-np.exp(eta)), 1e-12, 1 - 1e-12)
    return float(-(true * np.log(risk) + (1 - true) * np.log1p(-risk)).mean())


def judged(name: str, n: int, replicates: int, seed: int) -> str:
    """One line of the table."""
    hospital = HOSPITALS[name]
    z, x = patients(FRESH, np.random.default_rng(seed))
    true = -np.expm1(-np.exp(truth(hospital, z, x)))
    as_is = true_loss(x, true)
    chosen: Counter[str] = Counter()
    gains: dict[str, list[float]] = {"recommended": [], SLOPE: [], REFIT: [], "error": []}
    for k in range(replicates):
        rng = np.random.default_rng([seed, k])
        own = patients(n, rng)
        aligned = align(external(hospital, *own, rng), PLAN)
        told = recalibrations(aligned, "m", seed=k, columns=own[0])
        if not isinstance(told, Recalibrations):
            chosen["not offered"] += 1
            continue
        chosen[told.recommended or "as it is"] += 1
        losses = {
            f.method: true_loss(
                f.intercept + f.slope * x + z[:, : len(f.coefficients)] @ f.coefficients, true
            )
            for f in told.fits
        }
        gains["recommended"].append(losses.get(told.recommended, as_is) - as_is)
        gains[SLOPE].append(losses.get(SLOPE, as_is) - as_is)
        gains[REFIT].append(losses.get(REFIT, losses.get(SLOPE, as_is)) - as_is)
        gains["error"] += [f.difference - (losses[f.method] - as_is) for f in told.fits]
    shares = [f"{100 * chosen[m] / replicates:.0f} %" for m in ("as it is", *METHODS)]
    told_gains = (
        f"{1000 * np.mean(v):+.1f} ± {1000 * np.std(v) / np.sqrt(len(v)):.1f}"
        for v in gains.values()
    )
    cells = [name.ljust(14), f"{n:>5}", *(s.rjust(9) for s in shares)]
    return "".join(cells) + "".join(f"{told:>16}" for told in told_gains)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--replicates", type=int, default=200)
    parser.add_argument("--seed", type=int, default=20250101)
    given = parser.parse_args()
    print("log loss × 1000 against the model as it is, in fresh patients; below 0 is better")
    print(
        f"{'hospital':14}{'n':>5}{'as it is':>9}{'large':>9}{'slope':>9}{'refit':>9}"
        f"{'recommended':>16}{'always slope':>16}{'always refit':>16}{'held-out error':>16}"
    )
    for name in HOSPITALS:
        for n in (150, 400, 1000):
            print(judged(name, n, given.replicates, given.seed), flush=True)


if __name__ == "__main__":
    main()
