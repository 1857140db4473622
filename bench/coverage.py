"""Do intervals of an increment hold what they are intervals of? Judged on fresh patients.

    python bench/coverage.py --replicates 200 [--null] [--patients 300] [--repeats 2]

Each replicate draws patients with clinical and image features and a time to an event, fits in
folds the headline (elastic net on both) and its nested reference (the same on clinical features),
and takes the difference in C with the bootstrap's interval and with the one that counts the
fitting. They are held against three truths from 4,000 fresh patients: the difference of the very
models that were fitted in the folds, its expectation (the mean over replicates), and zero. Monte
Carlo errors are printed beside. Simulated; nothing of it is a study.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import pandas as pd

from metasight.cohort.outcome import SurvivalOutcome
from metasight.cohort.splits import repeated_kfold
from metasight.features.columns import Feature, FeatureTable, Kind
from metasight.models import crossfit
from metasight.models.registry import ModelSettings, build
from metasight.predictions import Predictions
from metasight.validation.discrimination import harrell_c
from metasight.validation.evaluate import evaluate
from metasight.validation.fold_contrast import FoldContrast
from metasight.validation.results import EvaluationPlan

CLINICAL, IMAGE = 5, 8
TAU = 1826
FRESH = 4000
MODELS = (
    ModelSettings(kind="elastic_net_cox", name="nested", l1_ratios=(0.05,)),
    ModelSettings(
        kind="elastic_net_cox", name="headline", modalities=("clinical", "image"), l1_ratios=(0.05,)
    ),
)


def cohort(n: int, effect: float, rng: np.random.Generator) -> crossfit.Data:
    """Patients whose hazard rests on three clinical and, with ``effect``, four image features."""
    x = rng.normal(size=(n, CLINICAL + IMAGE))
    weights = np.zeros(CLINICAL + IMAGE)
    weights[:3] = 0.5, -0.4, 0.3
    weights[CLINICAL : CLINICAL + 4] = effect
    onset = rng.exponential(6000 * np.exp(-x @ weights))
    censoring = rng.uniform(700, 4000, n)
    names = [f"x{k:02d}" for k in range(CLINICAL + IMAGE)]
    patients = tuple(f"P{i:05d}" for i in range(n))
    table = FeatureTable(
        pd.DataFrame(x, columns=names, index=pd.Index(patients, name="patient")),
        tuple(
            Feature(
                name=name,
                kind=Kind.CONTINUOUS,
                modality="clinical" if k < CLINICAL else "image",
            )
            for k, name in enumerate(names)
        ),
    )
    outcome = SurvivalOutcome(
        np.ceil(np.minimum(onset, censoring)), (onset <= censoring).astype(np.int8)
    )
    same = pd.Series("one", index=table.values.index)
    return crossfit.Data(patients, table, outcome, same, same, "dm")


def replicate(n: int, effect: float, repeats: int, seed: int) -> dict[str, float]:
    """One cohort: the difference, both intervals, and the truth of the very fold models."""
    rng = np.random.default_rng(seed)
    data, fresh = cohort(n, effect, rng), cohort(FRESH, effect, rng)
    horizons = np.array([TAU])
    cut = np.minimum(fresh.outcome.time_days, TAU)
    known = np.where(fresh.outcome.time_days > TAU, 0, fresh.outcome.status)
    parts, truths = [], []
    for split in repeated_kfold(
        data.patients, data.outcome.status, folds=5, repeats=repeats, seed=seed
    ):
        c = {}
        for settings in MODELS:
            fold = crossfit.fit_fold(build(settings), data, split, horizons, seed=seed)
            parts.append(fold.predictions)
            risk = fold.fitted.predict(fresh.features, horizons)[:, 0]
            c[settings.name] = harrell_c(cut, known, risk).c
        truths.append(c["headline"] - c["nested"])
    plan = EvaluationPlan(
        endpoint="dm",
        horizons_days=(TAU,),
        tau_days=TAU,
        reference_model="nested",
        headline_model="headline",
        n_bootstrap=200,
        n_curve_bootstrap=20,
        seed=seed,
    )
    (found,) = evaluate(Predictions.concat(parts), plan).comparisons
    if not isinstance(found.refitted, FoldContrast):
        raise SystemExit("a fold without a pair: ask for more patients")
    return {
        "difference": found.harrell_c.difference,
        "truth": float(np.mean(truths)),
        "bootstrap lower": found.harrell_c.lower,
        "bootstrap upper": found.harrell_c.upper,
        "counting the fitting lower": found.refitted.lower,
        "counting the fitting upper": found.refitted.upper,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--replicates", type=int, default=200)
    parser.add_argument("--patients", type=int, default=300)
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--effect", type=float, default=0.2)
    parser.add_argument("--null", action="store_true")
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    effect = 0.0 if asked.null else asked.effect
    begun = time.perf_counter()
    rows = pd.DataFrame(
        replicate(asked.patients, effect, asked.repeats, asked.seed + k)
        for k in range(asked.replicates)
    )
    n = len(rows)
    expected = rows["truth"].mean()
    print(
        f"{n} replicates of {asked.patients} patients, {asked.repeats} × 5 folds, "
        f"{'null' if asked.null else f'effect {effect:g}'}; "
        f"{time.perf_counter() - begun:.0f} s. Difference in C {rows['difference'].mean():+.4f} "
        f"(SD {rows['difference'].std():.4f}); in fresh patients {expected:+.4f}"
    )
    for name in ("bootstrap", "counting the fitting"):
        low, high = rows[f"{name} lower"], rows[f"{name} upper"]
        truths = {"the fold models' own": rows["truth"], "expected": expected, "zero": 0.0}
        told = []
        for of, truth in truths.items():
            held = ((low <= truth) & (truth <= high)).mean()
            told.append(f"{of} {100 * held:.1f} ± {100 * np.sqrt(held * (1 - held) / n):.1f} %")
        point = ((low == 0) & (high == 0)).mean()
        print(
            f"{name}: holds {'; '.join(told)}; width {(high - low).mean():.3f}; "
            f"above zero {100 * (low > 0).mean():.1f} %; [0, 0] {100 * point:.1f} %"
        )


if __name__ == "__main__":
    main()
