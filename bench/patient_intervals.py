"""Does a patient's interval hold that patient's true risk? Simulated cohorts whose truth is known.

    python bench/patient_intervals.py --cohorts 50 --out patient_intervals.csv
    python bench/patient_intervals.py --summary --out patient_intervals.csv

Each cohort of 400 gets intervals by the study's own code: of its patients out of fold, and of new
patients from refits to everybody, as a bundle gives them. The truth is the probability of the
event given what was observed of the patient, never given what only the simulator knows. Five
simulators:

- ``normal``: twelve independent normal predictors (five clinical, seven of images), logistic
  outcome: the refits are of the right form;
- ``bent``: the same with a square and a product in the truth, which no refit has;
- ``nothing``: twelve predictors of nothing;
- ``breast``: the breast simulator's clinical, spatial and slide features (five-year risk of the
  Weibull truth, censored follow-up), measured with error;
- ``lung``: the lung simulator's clinical and image features, any positive node, a quarter of the
  patients not examined.

In the last two the truth is the mean of the simulator's risk over what was not observed, from a
quadratic logistic regression of it on the logarithms of all features in 40,000 patients. Printed:
coverage over all patients, in each fifth of the predicted and of the true risk, the median width,
and how often the risk of an elastic net, as a study prints it, lies outside the interval.
"""

from __future__ import annotations

import argparse
import time as clock
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from breast_recovery import data_of as breast_data
from lung_recovery import data_of as lung_data
from scipy.special import expit, logit

from metasight.cohort.outcome import NodalOutcome
from metasight.cohort.splits import repeated_kfold
from metasight.features.columns import Feature, FeatureTable, Kind
from metasight.models import crossfit
from metasight.models.registry import ModelSettings, build, interval_model
from metasight.simulate.breast.settings import BreastSettings
from metasight.simulate.breast.table import simulate_table
from metasight.simulate.lung.settings import LungSettings
from metasight.simulate.lung.table import simulate_nodal_table

HORIZON = 1826
PATIENTS, NEW, TRUTH = 400, 1000, 40_000
CLINICAL, IMAGE = 5, 7
Draw = Callable[[int, int], tuple[crossfit.Data, np.ndarray]]


@dataclass(frozen=True, kw_only=True)
class Simulator:
    """How cohorts are drawn.

    Attributes
    ----------
    draw
        Patients and seed → data, and each patient's risk as the simulator knows it.
    modalities
        Of the model.
    target
        Of the intervals; ``N0`` stands for any positive node.
    latent
        Whether the risk rests on what was not observed, and must be averaged over it.
    """

    draw: Draw
    modalities: tuple[str, ...]
    target: str
    latent: bool = False


def normal(form: str) -> Draw:
    """Normal predictors of a class; ``form`` is ``normal``, ``bent`` or ``nothing``."""

    def draw(n: int, seed: int) -> tuple[crossfit.Data, np.ndarray]:
        rng = np.random.default_rng([seed, 3])
        x = rng.normal(size=(n, CLINICAL + IMAGE))
        score = np.full(n, -1.5)
        if form != "nothing":
            score += x[:, :3] @ [0.5, -0.4, 0.3] + 0.2 * x[:, 5:9].sum(axis=1)
        if form == "bent":
            score += 0.2 * (x[:, 0] ** 2 - 1) + 0.25 * x[:, 1] * x[:, 5]
        risk = expit(score)
        names = [f"x{k:02d}" for k in range(x.shape[1])]
        patients = tuple(f"P{i:05d}" for i in range(n))
        features = tuple(
            Feature(name=c, kind=Kind.CONTINUOUS, modality="clinical" if k < CLINICAL else "scan")
            for k, c in enumerate(names)
        )
        values = pd.DataFrame(x, columns=names, index=pd.Index(patients, name="patient"))
        same = pd.Series("one", index=values.index)
        stage = NodalOutcome((rng.random(n) < risk).astype(np.int8))
        table = FeatureTable(values, features)
        return crossfit.Data(patients, table, stage, same, same, "nodal_stage"), risk

    return draw


def breast(n: int, seed: int) -> tuple[crossfit.Data, np.ndarray]:
    """Of the breast simulator."""
    cohort = simulate_table(BreastSettings(patients=n), seed)
    return breast_data(cohort), cohort.oracle_risk


def lung(n: int, seed: int) -> tuple[crossfit.Data, np.ndarray]:
    """Of the lung simulator."""
    cohort = simulate_nodal_table(LungSettings(patients=n), seed)
    return lung_data(cohort), 1 - cohort.probabilities[:, 0]


SIMULATORS = {
    **{
        form: Simulator(draw=normal(form), modalities=("clinical", "scan"), target="N0")
        for form in ("normal", "bent", "nothing")
    },
    "breast": Simulator(
        draw=breast,
        modalities=("clinical", "spatial", "slide"),
        target=str(HORIZON),
        latent=True,
    ),
    "lung": Simulator(draw=lung, modalities=("clinical", "scan"), target="N0", latent=True),
}


class ObservedRisk:
    """Mean of the simulator's risk given what was observed: quadratic in logarithms."""

    def __init__(self, features: pd.DataFrame, risk: np.ndarray) -> None:
        self.median = features.median()
        filled = features.fillna(self.median)
        self.positive = [c for c in filled if filled[c].min() >= 0 and filled[c].nunique() > 10]
        self.least = {c: max(float(filled[c].quantile(0.01)), 1e-3) for c in self.positive}
        z = self._logs(features)
        self.mean, self.sd = z.mean(axis=0), z.std(axis=0)
        basis = self._basis(features)
        b = np.zeros(basis.shape[1])
        b[0] = logit(risk.mean())
        for _ in range(12):
            p = expit(basis @ b)
            information = basis.T @ (basis * (p * (1 - p))[:, None]) + np.eye(len(b))
            b = b + np.linalg.solve(information, basis.T @ (risk - p) - b)
        self.coefficients = b
        self.explained = float(np.corrcoef(basis @ b, logit(risk))[0, 1] ** 2)

    def _logs(self, features: pd.DataFrame) -> np.ndarray:
        missing = features.columns[features.isna().any()]
        lost = features[missing].isna().to_numpy(dtype=float)
        filled = features.fillna(self.median)
        for c in self.positive:
            filled[c] = np.log(filled[c].clip(lower=0) + self.least[c])
        return np.column_stack([filled.to_numpy(dtype=float), lost])

    def _basis(self, features: pd.DataFrame) -> np.ndarray:
        z = np.clip((self._logs(features) - self.mean) / np.maximum(self.sd, 1e-9), -4, 4)
        a, b = np.triu_indices(z.shape[1])
        return np.column_stack([np.ones(len(z)), z, z[:, a] * z[:, b]])

    def __call__(self, features: pd.DataFrame) -> np.ndarray:
        return expit(self._basis(features) @ self.coefficients)


def cohort_rows(
    name: str, simulator: Simulator, seed: int, observed: ObservedRisk | None, refits: int
) -> list[dict[str, object]]:
    """Coverage in one cohort, of its own patients and of new ones."""
    data, risk = simulator.draw(PATIENTS, seed)
    new, new_risk = simulator.draw(NEW, 700_000 + seed)
    if observed is not None:
        risk, new_risk = observed(data.features.values), observed(new.features.values)
    nodal = isinstance(data.outcome, NodalOutcome)
    horizons = np.array([] if nodal else [HORIZON], dtype=np.int64)
    settings = ModelSettings(
        kind="logistic" if nodal else "elastic_net_cox",
        name="headline",
        modalities=simulator.modalities,
        l1_ratios=(0.05,),
    )
    model = interval_model(settings, refits=refits)
    assert model is not None
    strata = data.outcome.stage if nodal else data.outcome.status
    splits = repeated_kfold(data.patients, strata, folds=5, repeats=1, seed=seed)
    begun = clock.process_time()
    own = pd.concat([crossfit.fold_intervals(model, data, s, horizons, seed=seed) for s in splits])
    own = own[own["target"] == simulator.target].set_index("patient").loc[list(data.patients)]
    everybody = crossfit.everybody_intervals(model, data, horizons, seed=seed)
    seconds = clock.process_time() - begun
    bands = everybody.bands(new.features)[simulator.target]
    printed = np.empty(len(risk))
    for split in splits:
        fitted = build(settings).fit(*data.take(split.train), seed=seed)
        test = data.positions(split.test)
        told = fitted.predict(data.features.rows(split.test), horizons)
        printed[test] = 1 - told[:, 0] if nodal else told[:, 0]
    fitted = crossfit.fit_everybody(build(settings), data, seed=seed)
    told = fitted.predict(new.features, horizons)
    new_printed = 1 - told[:, 0] if nodal else told[:, 0]
    found = []
    for whose, ends, truth, shown in (
        ("own", own[["lower", "centre", "upper"]].to_numpy().T, risk, printed),
        ("new", np.stack([bands.lower, bands.centre, bands.upper]), new_risk, new_printed),
    ):
        low, centre, high = (1 - ends[::-1]) if simulator.target == "N0" else ends
        row = judged(low, centre, high, truth, shown)
        events = (data.outcome.stage > 0).sum() if nodal else _events(data)
        found.append(
            {"simulator": name, "seed": seed, "whose": whose, "refits": refits}
            | {"events": int(events), "seconds": seconds}
            | row
        )
    return found


def _events(data: crossfit.Data) -> int:
    return int(((data.outcome.time_days <= HORIZON) & (data.outcome.status == 1)).sum())


def judged(
    low: np.ndarray, centre: np.ndarray, high: np.ndarray, truth: np.ndarray, shown: np.ndarray
) -> dict[str, float]:
    """Coverage over all, by fifths of centre and of truth; of the interval that is printed too."""
    held = (low <= truth) & (truth <= high)
    row = {
        "held": float(held.mean()),
        "printed held": float(
            ((np.minimum(low, shown) <= truth) & (truth <= np.maximum(high, shown))).mean()
        ),
        "width": float(np.median(high - low)),
        "shown outside": float(((shown < low) | (shown > high)).mean()),
        "error of centre": float(np.mean((centre - truth) ** 2) ** 0.5),
        "error of shown": float(np.mean((shown - truth) ** 2) ** 0.5),
    }
    for what, by in (("predicted", centre), ("true", truth)):
        fifth = by.argsort().argsort() * 5 // len(by)
        row |= {f"{what} {k + 1}": float(held[fifth == k].mean()) for k in range(5)}
    return row


def summary(rows: pd.DataFrame) -> None:
    """Coverage with its Monte Carlo error over cohorts."""
    for (name, whose, refits), own in rows.groupby(["simulator", "whose", "refits"]):
        error = own["held"].std() / np.sqrt(len(own))
        fifths = {
            what: ", ".join(f"{100 * own[f'{what} {k}'].mean():.1f}" for k in range(1, 6))
            for what in ("predicted", "true")
        }
        print(
            f"{name}, {whose} patients: {len(own)} cohorts of {PATIENTS} "
            f"({own['events'].mean():.0f} events), {refits} refits, "
            f"{own['seconds'].mean():.2f} s. Holds the true risk in {100 * own['held'].mean():.1f} "
            f"± {100 * error:.1f} % (as printed {100 * own['printed held'].mean():.1f} %); fifths "
            f"of predicted risk {fifths['predicted']}; of true risk {fifths['true']}; median width "
            f"{100 * own['width'].mean():.1f} points; risk shown outside in "
            f"{100 * own['shown outside'].mean():.1f} %; root mean squared error of the centre "
            f"{100 * own['error of centre'].mean():.1f}, of the risk shown "
            f"{100 * own['error of shown'].mean():.1f} points"
        )


def main() -> None:
    """Go on with a run, or sum one up."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cohorts", type=int, default=50, help="of each simulator")
    parser.add_argument("--refits", type=int, default=200)
    parser.add_argument(
        "--simulators", nargs="+", choices=tuple(SIMULATORS), default=tuple(SIMULATORS)
    )
    parser.add_argument("--first", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=np.inf, help="stop after")
    parser.add_argument("--out", type=Path, default=Path("patient_intervals.csv"))
    parser.add_argument("--summary", action="store_true")
    asked = parser.parse_args()
    done: set[tuple[str, int]] = set()
    if asked.out.exists():
        there = pd.read_csv(asked.out)
        there = there[there["refits"] == asked.refits]
        done = set(zip(there["simulator"], there["seed"], strict=True))
    begun = clock.monotonic()
    for name in () if asked.summary else asked.simulators:
        simulator, observed = SIMULATORS[name], None
        for seed in range(asked.first, asked.first + asked.cohorts):
            if (name, seed) in done:
                continue
            if clock.monotonic() - begun > 60 * asked.minutes:
                return
            if simulator.latent and observed is None:
                whole, risk = simulator.draw(TRUTH, 900_001)
                observed = ObservedRisk(whole.features.values, risk)
                print(f"{name}: what is observed explains {observed.explained:.2f} of the log odds")
            rows = pd.DataFrame(cohort_rows(name, simulator, seed, observed, asked.refits))
            rows.to_csv(asked.out, mode="a", header=not asked.out.exists(), index=False)
    summary(pd.read_csv(asked.out))


if __name__ == "__main__":
    main()
