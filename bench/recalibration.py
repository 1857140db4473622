"""Does recalibrating as recommended help patients of the new hospital who were not in it?

    python bench/recalibration.py --replicates 200

A finished model is right, too low throughout, or too extreme in another hospital. Each replicate
draws external patients, takes the recommendation of the validation, and judges the model as it is,
recalibrated as recommended, and always recalibrated with intercept and slope by their true mean
log loss in 20,000 fresh patients of that hospital (their true risks are known). Beside it stands
how far the held-out difference was from the true one. Simulated; nothing of it is a study.
"""

from __future__ import annotations

import argparse
from collections import Counter

import numpy as np
import pandas as pd

from metasight.predictions import EXTERNAL_FOLD, Predictions
from metasight.validation.recalibration import METHODS, SLOPE, Recalibrations, recalibrations
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
HOSPITALS = {"right": (0.0, 1.0), "too low": (0.5, 1.0), "too extreme": (0.0, 0.6)}
"""True intercept and slope on the log cumulative hazard that the model predicts."""


def external(n: int, intercept: float, slope: float, rng: np.random.Generator) -> Predictions:
    """Patients with follow-up, and the risk that the model predicts."""
    x = rng.normal(-1.6, 0.9, n)
    onset = rng.exponential(HORIZON / np.exp(intercept + slope * x))
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


def true_loss(x: np.ndarray, true: np.ndarray, line: tuple[float, float]) -> float:
    """Expected log loss of fresh patients of known risk."""
    risk = np.clip(-np.expm1(-np.exp(line[0] + line[1] * x)), 1e-12, 1 - 1e-12)
    return float(-(true * np.log(risk) + (1 - true) * np.log1p(-risk)).mean())


def judged(name: str, n: int, replicates: int, seed: int) -> str:
    """One line of the table."""
    intercept, slope = HOSPITALS[name]
    x = np.random.default_rng(seed).normal(-1.6, 0.9, FRESH)
    true = -np.expm1(-np.exp(intercept + slope * x))
    as_is = true_loss(x, true, (0.0, 1.0))
    chosen: Counter[str] = Counter()
    gains, always, errors = [], [], []
    for k in range(replicates):
        rng = np.random.default_rng([seed, k])
        told = recalibrations(align(external(n, intercept, slope, rng), PLAN), "m", seed=k)
        if not isinstance(told, Recalibrations):
            chosen["not offered"] += 1
            continue
        chosen[told.recommended or "as it is"] += 1
        losses = {f.method: true_loss(x, true, (f.intercept, f.slope)) for f in told.fits}
        gains.append(losses.get(told.recommended, as_is) - as_is)
        always.append(losses.get(SLOPE, as_is) - as_is)
        errors += [f.difference - (losses[f.method] - as_is) for f in told.fits]
    shares = [f"{100 * chosen[m] / replicates:.0f} %" for m in ("as it is", *METHODS)]
    told_gain, told_always, told_error = (
        f"{1000 * np.mean(v):+.1f} ± {1000 * np.std(v) / np.sqrt(len(v)):.1f}"
        for v in (gains, always, errors)
    )
    cells = [name.ljust(12), f"{n:>5}", *(s.rjust(9) for s in shares)]
    return "".join(cells) + f"{told_gain:>16}{told_always:>16}{told_error:>16}"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--replicates", type=int, default=200)
    parser.add_argument("--seed", type=int, default=20250101)
    given = parser.parse_args()
    print("log loss × 1000 against the model as it is, in fresh patients; below 0 is better")
    print(
        f"{'hospital':12}{'n':>5}{'as it is':>9}{'large':>9}{'slope':>9}"
        f"{'recommended':>16}{'always slope':>16}{'held-out error':>16}"
    )
    for name in HOSPITALS:
        for n in (150, 400, 1000):
            print(judged(name, n, given.replicates, given.seed), flush=True)


if __name__ == "__main__":
    main()
