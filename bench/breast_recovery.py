"""Is a planted prognostic effect recovered, and nothing found where nothing is? Feature level.

    python bench/breast_recovery.py --replicates 100 [--null] [--missing 0.2]

Every replicate draws a cohort of 400 (about 60 events), cross-fits the clinical model and the
stack of clinical, spatial and slide scores (5 folds), and takes the increment in C with its
interval from the same code as a study's report. Beside it the increment of the truth (oracle)
on the same patients, and the increment that the very same fitted fold models have in 4,000 new
patients: what the interval should hold.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np
import pandas as pd

from metasight.cohort.outcome import SurvivalOutcome
from metasight.cohort.splits import repeated_kfold
from metasight.features.columns import Feature, FeatureTable, Kind
from metasight.models import crossfit
from metasight.models.registry import ModelSettings, build
from metasight.predictions import Predictions
from metasight.simulate.breast.settings import BreastSettings
from metasight.simulate.breast.table import SimulatedTable, simulate_table
from metasight.validation.discrimination import harrell_c
from metasight.validation.evaluate import evaluate
from metasight.validation.results import Contrast, EvaluationPlan

HORIZON = 5 * 365
MODELS = {
    "clinical": ModelSettings(
        kind="elastic_net_cox", name="clinical", inner_folds=5, l1_ratios=(0.05,)
    ),
    "fused": ModelSettings(
        kind="stacked",
        name="fused",
        modalities=("clinical", "spatial", "slide"),
        inner_folds=5,
        l1_ratios=(0.05,),
    ),
}


def data_of(cohort: SimulatedTable) -> crossfit.Data:
    """As a study hands it to its models."""
    n = len(cohort.time_days)
    names = [f"P{i:05d}" for i in range(n)]
    parts = (
        ("clinical", cohort.clinical),
        ("spatial", cohort.spatial),
        ("slide", cohort.embeddings),
    )
    values = pd.concat([t for _, t in parts], axis=1).set_axis(pd.Index(names, name="patient"))
    features = tuple(
        Feature(name=c, kind=Kind.CONTINUOUS, modality=m) for m, t in parts for c in t.columns
    )
    outcome = SurvivalOutcome(cohort.time_days, cohort.status.astype(np.int8))
    centre = pd.Series([f"C{c}" for c in cohort.centre], index=values.index)
    arm = pd.Series(["all"] * n, index=values.index)
    return crossfit.Data(tuple(names), FeatureTable(values, features), outcome, centre, arm, "dmfs")


def replicate(settings: BreastSettings, seed: int, bootstrap: int) -> dict[str, float]:
    """One cohort: increment, interval, oracle's increment, increment in new patients."""
    cohort = simulate_table(settings, seed)
    data = data_of(cohort)
    fresh = data_of(simulate_table(settings.model_copy(update={"patients": 4000}), seed + 500_000))
    splits = repeated_kfold(data.patients, data.outcome.status, folds=5, repeats=1, seed=seed)
    parts, new = [], {name: [] for name in MODELS}
    horizons = np.array([HORIZON])
    for split in splits:
        for name, asked in MODELS.items():
            fold = crossfit.fit_fold(build(asked), data, split, horizons, seed=seed)
            parts.append(fold.predictions)
            risk = fold.fitted.predict(fresh.features, horizons)[:, 0]
            new[name].append(harrell_c(fresh.outcome.time_days, fresh.outcome.status, risk).c)
    plan = EvaluationPlan(
        endpoint="dmfs",
        horizons_days=(HORIZON,),
        tau_days=HORIZON,
        reference_model="clinical",
        headline_model="fused",
        n_bootstrap=bootstrap,
        seed=seed,
    )
    found = evaluate(Predictions.concat(parts), plan)
    gain = found.comparisons[0].harrell_c
    assert isinstance(gain, Contrast)
    return {
        "events": float(data.outcome.n_events),
        "clinical": found.models["clinical"].harrell_c.value,
        "gain": gain.difference,
        "lower": gain.lower,
        "upper": gain.upper,
        "oracle": cohort.oracle.increment,
        "fresh": float(np.mean(new["fused"]) - np.mean(new["clinical"])),
    }


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--replicates", type=int, default=100)
    parser.add_argument("--patients", type=int, default=400)
    parser.add_argument("--bootstrap", type=int, default=200)
    parser.add_argument("--missing", type=float, default=0.0)
    parser.add_argument("--null", action="store_true")
    parser.add_argument("--first", type=int, default=1)
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    settings = BreastSettings(patients=asked.patients, missing_fraction=asked.missing)
    if asked.null:
        none = settings.effects.model_copy(update={"tls": 0.0, "t_cells": 0.0, "mixing": 0.0})
        settings = settings.model_copy(update={"effects": none})
    began, rows = time.perf_counter(), []
    for number in range(asked.replicates):
        rows.append(replicate(settings, asked.first + number, asked.bootstrap))
        if asked.out:
            asked.out.write_text(json.dumps(rows))
        if (number + 1) % 10 == 0:
            report(pd.DataFrame(rows), time.perf_counter() - began)


def report(rows: pd.DataFrame, seconds: float) -> None:
    """The figures so far."""
    n = len(rows)
    held = ((rows["lower"] <= rows["fresh"]) & (rows["fresh"] <= rows["upper"])).mean()
    zero = ((rows["lower"] <= 0) & (rows["upper"] >= 0)).mean()
    error = rows["gain"].std() / np.sqrt(n)
    print(
        f"{n} replicates, {seconds:.0f} s: events {rows['events'].mean():.0f}, "
        f"C clinical {rows['clinical'].mean():.3f}\n"
        f"  increment {rows['gain'].mean():.4f} ± {1.96 * error:.4f}; oracle "
        f"{rows['oracle'].mean():.4f}; recovered {rows['gain'].mean() / rows['oracle'].mean():.2f};"
        f" in new patients {rows['fresh'].mean():.4f}\n"
        f"  interval holds the increment in new patients {held:.3f}, holds 0 {zero:.3f}",
        flush=True,
    )


if __name__ == "__main__":
    main()
