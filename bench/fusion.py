"""Which fusion of modalities predicts best in fresh patients, and what it costs without an effect.

    python bench/fusion.py --study breast --replicates 30 [--plain] [--null] [--seed 1] [--out FILE]

Every replicate draws 400 patients (feature level, no images), fits each model to all of them, and
judges it on 5,000 fresh patients, the same for every model: Harrell's C for distant metastasis-free
survival (breast), AUC for any nodal disease by the true stage (lung). Beside them the ceiling: what
the ridge reaches when it has seen 20,000 patients, from the same features with their errors of
measurement. Differences are paired over replicates, with 95 % intervals of the mean (Monte Carlo
error only).

``--null`` takes the effect of every image latent away: what a fusion then loses against its own
procedure without the other modalities (the nested reference); ``--strength 0.5`` halves it.
``--plain`` gives features on a scale on which they are normal, so that no logarithm helps. The rule
by which the ridge weighs penalties was settled on seeds 1 to 330 and 1001 to 1150: judge it on
others. Simulated; nothing of it is a study.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

import breast_recovery
import lung_recovery
import numpy as np
import pandas as pd

from metasight.features.columns import FeatureTable
from metasight.models import crossfit
from metasight.models.base import FittedModel
from metasight.models.registry import ModelSettings, build
from metasight.simulate.breast.settings import BreastSettings, Effects
from metasight.simulate.breast.table import simulate_table
from metasight.simulate.lung.settings import LungSettings, NodalEffects
from metasight.simulate.lung.table import simulate_nodal_table
from metasight.validation.binary import binary_auc
from metasight.validation.discrimination import harrell_c

FRESH, CEILING = 5000, 20_000
AWAY = 500_000
"""Added to a replicate's seed for its fresh patients."""
CEILING_SEED = 900_001
HORIZON = np.array([1826])
Drawn = TypeVar("Drawn", Effects, NodalEffects)
REFERENCE, OURS = "stack", "ridge by modality"


@dataclass(frozen=True, kw_only=True)
class Study:
    """One simulator and what is fitted to it.

    Attributes
    ----------
    modalities
        The clinical one first.
    elastic
        Kind of the joint elastic net.
    draw
        From number of patients, seed, strength of the image's effects and whether plain: patients,
        and who truly has the outcome (lung).
    judge
        Measure of discrimination of a fitted model.
    """

    modalities: tuple[str, ...]
    elastic: str
    draw: Callable[[int, int, float, bool], tuple[crossfit.Data, np.ndarray]]
    judge: Callable[[FittedModel, crossfit.Data, np.ndarray], float]

    def models(self, imputation: Literal["median", "iterative"]) -> dict[str, ModelSettings]:
        """Fusions, and the clinical model and nested reference of each."""
        alone = self.modalities[:1]
        asked = {
            "elastic net, clinical": (self.elastic, alone),
            "elastic net, joint": (self.elastic, self.modalities),
            "stack, clinical": ("stacked", alone),
            REFERENCE: ("stacked", self.modalities),
            f"{OURS}, clinical": ("modality_ridge", alone),
            OURS: ("modality_ridge", self.modalities),
        }
        return {
            name: ModelSettings(
                kind=kind,
                name=name,
                modalities=read,
                l1_ratios=(0.05,),
                imputation=imputation,
            )
            for name, (kind, read) in asked.items()
        }


NESTED = {
    "elastic net, joint": "elastic net, clinical",
    REFERENCE: "stack, clinical",
    OURS: f"{OURS}, clinical",
}
"""Fusion → the same procedure without the other modalities."""


def breast(n: int, seed: int, strength: float, plain: bool) -> tuple[crossfit.Data, np.ndarray]:
    """Patients of the breast simulator."""
    effects = _scaled(Effects(), ("tls", "t_cells", "mixing"), strength)
    settings = BreastSettings(patients=n, effects=effects)
    data = breast_recovery.data_of(simulate_table(settings, seed))
    skewed = [c for c in data.features.values if c.endswith(("_per_mm2", "_ratio", "_size_mm"))]
    return (_without_skewness(data, skewed) if plain else data), np.zeros(0)


def lung(n: int, seed: int, strength: float, plain: bool) -> tuple[crossfit.Data, np.ndarray]:
    """Patients of the lung simulator, and who truly has nodal disease."""
    effects = _scaled(NodalEffects(), lung_recovery.OF_IMAGE, strength)
    settings = LungSettings(patients=n, effects=effects)
    cohort = simulate_nodal_table(settings, seed)
    data = lung_recovery.data_of(cohort)
    skewed = ["ct_suvmax", "ct_surface_irregularity", "ct_glcm_contrast"]
    return (_without_skewness(data, skewed) if plain else data), cohort.true_stage > 0


def _scaled(effects: Drawn, names: tuple[str, ...], strength: float) -> Drawn:
    """Effects of which some are multiplied."""
    return effects.model_copy(update={n: strength * getattr(effects, n) for n in names})


def _without_skewness(data: crossfit.Data, names: list[str]) -> crossfit.Data:
    """The features' logarithms, moved so that all are above 0, as another instrument would give."""
    values = data.features.values.copy()
    values[names] = 10 + np.log(values[names])
    table = FeatureTable(values, data.features.features)
    return crossfit.Data(data.patients, table, data.outcome, data.centre, data.arm, data.endpoint)


def judge_breast(fitted: FittedModel, fresh: crossfit.Data, _: np.ndarray) -> float:
    """C in the fresh patients."""
    risk = fitted.predict(fresh.features, HORIZON)[:, 0]
    return harrell_c(fresh.outcome.time_days, fresh.outcome.status, risk).c


def judge_lung(fitted: FittedModel, fresh: crossfit.Data, positive: np.ndarray) -> float:
    """AUC in the fresh patients, by their true stage."""
    risk = 1 - fitted.predict(fresh.features, HORIZON)[:, 0]
    return binary_auc(risk, positive.astype(int)).auc


STUDIES = {
    "breast": Study(
        modalities=("clinical", "spatial", "slide"),
        elastic="elastic_net_cox",
        draw=breast,
        judge=judge_breast,
    ),
    "lung": Study(modalities=("clinical", "scan"), elastic="logistic", draw=lung, judge=judge_lung),
}


def replicate(
    study: Study, asked: argparse.Namespace, seed: int, ceiling: FittedModel | None
) -> dict[str, float]:
    """Discrimination of every model in fresh patients, seconds, and the ridge's weights."""
    data, _ = study.draw(asked.patients, seed, asked.strength, asked.plain)
    fresh, truth = study.draw(FRESH, seed + AWAY, asked.strength, asked.plain)
    row = {}
    for name, settings in study.models(asked.imputation).items():
        began = time.process_time()
        fitted = build(settings).fit(data.features, data.outcome, seed=seed)
        row[f"{name}: seconds"] = time.process_time() - began
        row[name] = study.judge(fitted, fresh, truth)
        if name == OURS:
            for part in fitted.state["head"]["fit"]["tuning"][0]["modalities"]:
                row[f"weight: {part['modality']}"] = part["weight"]
    if ceiling is not None:
        row["ceiling"] = study.judge(ceiling, fresh, truth)
    return row


def mean_of(values: pd.Series) -> str:
    """Mean with the 95 % half width of its Monte Carlo error."""
    return f"{values.mean():+.4f} ± {1.96 * values.std() / np.sqrt(len(values)):.4f}"


def report(rows: pd.DataFrame) -> None:
    """The figures so far."""
    for name in (c for c in rows if ":" not in c):
        against = mean_of(rows[name] - rows[REFERENCE])
        line = f"  {name:28s} {rows[name].mean():.4f}  vs stack {against}"
        if name in NESTED:
            gain = rows[name] - rows[NESTED[name]]
            lower = gain.mean() - 1.96 * gain.std() / np.sqrt(len(gain))
            line += f"  vs its own clinical {mean_of(gain)}"
            if "ceiling" not in rows:
                line += f" (loss at most {-lower:.4f}; worst {gain.min():+.3f})"
        print(line)
    if "ceiling" in rows:
        print(f"  share of stack → ceiling that the ridge closes: {share(rows)}")
    read = {c.removeprefix("weight: "): rows[c].mean() for c in rows if c.startswith("weight: ")}
    seconds = {c.removesuffix(": seconds"): rows[c].median() for c in rows if "seconds" in c}
    print("  weight on reading it:", ", ".join(f"{m} {w:.2f}" for m, w in read.items()))
    print("  seconds a fit:", ", ".join(f"{m} {s:.2f}" for m, s in seconds.items()), flush=True)


def share(rows: pd.DataFrame) -> str:
    """Ratio of mean differences, with a percentile interval over resampled replicates."""
    closed = (rows[OURS] - rows[REFERENCE]).to_numpy()
    whole = (rows["ceiling"] - rows[REFERENCE]).to_numpy()
    draws = np.random.default_rng(0).integers(0, len(rows), (2000, len(rows)))
    found = closed[draws].mean(axis=1) / whole[draws].mean(axis=1)
    low, high = np.quantile(found, [0.025, 0.975])
    return f"{closed.mean() / whole.mean():.2f} (95 % interval {low:.2f} to {high:.2f})"


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--study", choices=sorted(STUDIES), default="breast")
    parser.add_argument("--replicates", type=int, default=30)
    parser.add_argument("--patients", type=int, default=400)
    parser.add_argument("--strength", type=float, default=1.0, help="of the image's effects")
    parser.add_argument("--null", action="store_true", help="the same as --strength 0")
    parser.add_argument("--plain", action="store_true")
    parser.add_argument("--imputation", choices=("median", "iterative"), default="median")
    parser.add_argument("--seed", type=int, default=1, help="of the first replicate")
    parser.add_argument("--out", type=Path, help="JSON of the replicates so far")
    asked = parser.parse_args()
    study = STUDIES[asked.study]
    asked.strength = 0.0 if asked.null else asked.strength
    ceiling = None
    if asked.strength:
        many, _ = study.draw(CEILING, CEILING_SEED, asked.strength, asked.plain)
        ridge = build(study.models(asked.imputation)[OURS])
        ceiling = ridge.fit(many.features, many.outcome, seed=1)
    began, rows = time.perf_counter(), []
    for number in range(asked.replicates):
        rows.append(replicate(study, asked, asked.seed + number, ceiling))
        if asked.out:
            asked.out.write_text(json.dumps(rows))
        if (number + 1) % 10 == 0 or number + 1 == asked.replicates:
            print(
                f"{asked.study}, effects × {asked.strength:g}{', plain' * asked.plain}: "
                f"{number + 1} replicates of {asked.patients}, {time.perf_counter() - began:.0f} s"
            )
            report(pd.DataFrame(rows))


if __name__ == "__main__":
    main()
