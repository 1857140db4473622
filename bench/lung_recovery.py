"""Is a planted image effect on nodal stage recovered, and nothing where nothing is? Feature level.

    python bench/lung_recovery.py --replicates 60 [--null] [--patients 400]

Every replicate draws a cohort (a quarter SBRT, whose nodes are not examined), cross-fits the
clinical model and the stack of clinical and image features where nodes are known, and takes the
difference in AUC for any nodal disease with DeLong's interval. Beside it what verification
correction makes of the headline model's accuracy in everybody, and the naive estimate, against the
truth: the same risks judged by the stages that the simulation knows. Simulated.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import pandas as pd

from metasight.cohort.outcome import NodalOutcome
from metasight.cohort.splits import repeated_kfold
from metasight.errors import EvaluationError
from metasight.features.columns import Feature, FeatureTable, Kind
from metasight.models import crossfit
from metasight.models.registry import ModelSettings, build
from metasight.predictions import Predictions
from metasight.simulate.lung.settings import LungSettings
from metasight.simulate.lung.table import SimulatedNodalTable, simulate_nodal_table
from metasight.validation.binary import binary_auc, delong_test
from metasight.validation.verification import METHODS, Verified, corrected_accuracy

MODELS = {
    "clinical": ModelSettings(kind="ordinal", name="clinical"),
    "fused": ModelSettings(
        kind="stacked", name="fused", modalities=("clinical", "scan"), inner_folds=5
    ),
}
THRESHOLD = 0.20
OF_IMAGE = ("solid", "spiculation", "heterogeneity", "uptake")
JUDGED = ("sensitivity", "specificity", "auc")


def data_of(cohort: SimulatedNodalTable) -> crossfit.Data:
    """As a study hands it to its models."""
    n = len(cohort.stage)
    names = [f"P{i:05d}" for i in range(n)]
    parts = (("clinical", cohort.clinical), ("scan", cohort.image.add_prefix("ct_")))
    values = pd.concat([t for _, t in parts], axis=1).set_axis(pd.Index(names, name="patient"))
    features = tuple(
        Feature(name=c, kind=Kind.CONTINUOUS, modality=m) for m, t in parts for c in t.columns
    )
    outcome = NodalOutcome(cohort.stage.astype(np.int8))
    centre = pd.Series([f"C{c}" for c in cohort.centre], index=values.index)
    arm = pd.Series(np.where(cohort.sbrt, "sbrt", "surgery"), index=values.index)
    return crossfit.Data(
        tuple(names), FeatureTable(values, features), outcome, centre, arm, "nodal_stage"
    )


def replicate(settings: LungSettings, seed: int) -> dict[str, float]:
    """One cohort: increment with its interval, and corrected accuracy beside the truth."""
    cohort = simulate_nodal_table(settings, seed)
    data = data_of(cohort)
    splits = repeated_kfold(data.patients, data.outcome.stage, folds=5, repeats=1, seed=seed)
    parts = [
        crossfit.fit_fold(
            build(asked), data, split, np.array([], dtype=np.int64), seed=seed
        ).predictions
        for split in splits
        for asked in MODELS.values()
    ]
    table = Predictions.concat(parts).table
    free = table[table["label"] == "N0"].pivot_table(
        index="patient", columns="model", values="risk"
    )
    risk = 1 - free.reindex(list(data.patients))
    known = cohort.stage >= 0
    positive = (cohort.stage[known] > 0).astype(int)
    test = delong_test(risk["fused"][known], risk["clinical"][known], positive)
    row = {
        "events": float(positive.sum()),
        "clinical": binary_auc(risk["clinical"][known], positive).auc,
        "gain": test.difference,
        "lower": test.lower,
        "upper": test.upper,
        "oracle": cohort.oracle.full - cohort.oracle.clinical,
    }
    return row | _verified(cohort, risk["fused"].to_numpy(dtype=np.float64), seed)


def _verified(cohort: SimulatedNodalTable, risk: np.ndarray, seed: int) -> dict[str, float]:
    true = cohort.true_stage > 0
    high = risk >= THRESHOLD
    truth = {
        "sensitivity": high[true].mean(),
        "specificity": (~high)[~true].mean(),
        "auc": binary_auc(risk, true.astype(int)).auc,
    }
    disease = np.where(cohort.stage >= 0, (cohort.stage > 0).astype(float), np.nan)
    covariates = cohort.clinical.fillna(cohort.clinical.median())
    data = Verified(risk=risk, disease=disease, covariates=covariates.to_numpy())
    found = {}
    for method in METHODS:
        try:
            told = corrected_accuracy(data, THRESHOLD, method, seed=seed, resamples=200)
        except EvaluationError:
            continue
        for name in JUDGED:
            e = getattr(told, name)
            found[f"{method} {name} bias"] = e.value - truth[name]
            found[f"{method} {name} held"] = float(e.lower <= truth[name] <= e.upper)
    return found


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--replicates", type=int, default=60)
    parser.add_argument("--patients", type=int, default=400)
    parser.add_argument("--null", action="store_true")
    parser.add_argument("--first", type=int, default=1)
    asked = parser.parse_args()
    settings = LungSettings(patients=asked.patients)
    if asked.null:
        none = settings.effects.model_copy(update=dict.fromkeys(OF_IMAGE, 0.0))
        settings = settings.model_copy(update={"effects": none})
    began = time.perf_counter()
    rows = pd.DataFrame([replicate(settings, asked.first + k) for k in range(asked.replicates)])
    n = len(rows)
    error = 1.96 * rows["gain"].std() / np.sqrt(n)
    print(
        f"{n} replicates of {asked.patients}, {time.perf_counter() - began:.0f} s: "
        f"{rows['events'].mean():.0f} with nodal disease, AUC clinical "
        f"{rows['clinical'].mean():.3f}"
    )
    print(
        f"increment {rows['gain'].mean():.4f} ± {error:.4f}, oracle {rows['oracle'].mean():.4f}, "
        f"recovered {rows['gain'].mean() / max(rows['oracle'].mean(), 1e-9):.2f}; interval above "
        f"0 in {(rows['lower'] > 0).mean():.2f}, holds 0 in "
        f"{((rows['lower'] <= 0) & (rows['upper'] >= 0)).mean():.2f}"
    )
    for method in METHODS:
        cells = [c for c in rows.columns if c.startswith(method)]
        print(
            f"  {method:22s}",
            *(f"{c.removeprefix(method)[1:]} {rows[c].mean():+.3f}" for c in cells),
        )


if __name__ == "__main__":
    main()
