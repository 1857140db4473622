"""Do intervals of an increment hold what they are intervals of? Judged on fresh patients.

    python bench/coverage.py --replicates 400 --out coverage.csv
    python bench/coverage.py --summary --out coverage.csv

Each replicate draws patients with clinical and image features and an outcome, fits in folds the
headline (ridge on both) and its nested reference (the same on clinical features), and takes the
difference in C with its interval by every method that the product has: the bootstrap of patients,
Nadeau and Bengio, nested cross-validation with two numbers of splits, and the permutation test of
the image features. Scenarios in turn: survival (C up to five years) and nodal stage (AUC of any
node) of normal features, and the lung simulator's features and stages, each with an image effect
and without. The intervals are held against three truths: the mean difference in new patients of the
very models that were fitted in the folds; its expectation, which is what the procedure does at that
size (mean over replicates); and zero. The C in new patients of a score of normal features follows
from its correlation with the true score; one of the lung simulator's features is judged by the true
risks of 20,000 patients. So no fresh outcomes add their own error.

A row a replicate and scenario is appended to ``--out``; a run that was stopped goes on where it
was. ``--heads "elastic net"`` and ``--heads stack`` fit a study's own models, which cost fifty and
three hundred times as much. Simulated; nothing of it is a study.
"""

from __future__ import annotations

import sys

_FOLDER = sys.path.pop(0)
# While numba loads: this file's name hides the package `coverage`, which numba looks for.
import numba  # noqa: E402, F401

sys.path.insert(0, _FOLDER)

import argparse  # noqa: E402
import functools  # noqa: E402
import time as clock  # noqa: E402
from collections.abc import Callable  # noqa: E402
from dataclasses import dataclass  # noqa: E402
from itertools import combinations  # noqa: E402
from pathlib import Path  # noqa: E402

import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402
from lung_recovery import OF_IMAGE  # noqa: E402
from ridge_heads import ridge  # noqa: E402

from metasight.cohort.outcome import NodalOutcome, SurvivalOutcome  # noqa: E402
from metasight.cohort.splits import repeated_kfold  # noqa: E402
from metasight.features.columns import Feature, FeatureTable, Kind  # noqa: E402
from metasight.models.crossfit import order_within  # noqa: E402
from metasight.models.registry import ModelSettings, build  # noqa: E402
from metasight.simulate.lung.settings import LungSettings  # noqa: E402
from metasight.simulate.lung.table import SimulatedNodalTable, simulate_nodal_table  # noqa: E402
from metasight.validation.bootstrap import draw, resampled_concordance  # noqa: E402
from metasight.validation.calibration import risk_groups  # noqa: E402
from metasight.validation.compare import bootstrap_contrast  # noqa: E402
from metasight.validation.discrimination import pair_order  # noqa: E402
from metasight.validation.fold_contrast import FoldContrast  # noqa: E402
from metasight.validation.nested_cv import (  # noqa: E402
    SplitDifferences,
    nested_cv,
    paired_difference,
)
from metasight.validation.ordering import follow_up  # noqa: E402
from metasight.validation.permutation import permutation_test  # noqa: E402
from metasight.validation.refitted import nadeau_bengio  # noqa: E402
from metasight.validation.results import Contrast  # noqa: E402

CLINICAL, IMAGE = 5, 8
LUNG_CLINICAL, LUNG_IMAGE = 7, 8
MODELS = ("headline", "nested")
TAU = 1826.0
FOLDS = 5
LEVEL = 0.95
SCENARIOS = {
    f"{kind} {name}": (kind, name == "planted")
    for name in ("planted", "null")
    for kind in ("survival", "nodal", "lung")
}
Head = Callable[[np.ndarray, "np.ndarray | None", np.ndarray], np.ndarray]
Arrays = tuple[np.ndarray, np.ndarray, np.ndarray]


def weights(effect: float) -> np.ndarray:
    """Three clinical features and, with ``effect``, four image features tell of the outcome."""
    found = np.zeros(CLINICAL + IMAGE)
    found[:3] = 0.5, -0.4, 0.3
    found[CLINICAL : CLINICAL + 4] = effect
    return found


def outcome_of(kind: str, score: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    """Time and status: about 45 % are seen with an event, 30 % with a positive node.

    A class is a time that orders it: positive on day 1, negative followed to day 3.
    """
    if kind == "nodal":
        positive = rng.random(len(score)) < 1 / (1 + np.exp(1.0 - score))
        return np.where(positive, 1.0, 3.0), positive.astype(np.int64)
    onset = rng.exponential(6000 * np.exp(-score))
    censored = rng.uniform(700, 4000, len(score))
    time = np.ceil(np.minimum(onset, censored))
    return time, (onset <= censored).astype(np.int64)


@functools.cache
def attainable(kind: str, effect: float) -> np.ndarray:
    """C − 1/2 of a linear score as an odd polynomial of its correlation with the true one."""
    rng = np.random.default_rng([7, kind == "nodal", round(1000 * effect)])
    size, n = float(np.linalg.norm(weights(effect))), 100_000
    true, other = rng.normal(size=(2, n))
    time, status = outcome_of(kind, size * true, rng)
    data = follow_up(time, status)
    at = np.linspace(0.05, 1.0, 20)
    found = [
        resampled_concordance(
            np.ones((1, n), dtype=np.int32),
            data,
            pair_order(time, status, r * true + np.sqrt(1 - r**2) * other),
            tau=None if kind == "nodal" else TAU,
            censoring=False,
        )[0]
        for r in at
    ]
    powers = np.column_stack([at, at**3, at**5])
    return np.linalg.lstsq(powers, np.array(found) - 0.5, rcond=None)[0]


def c_in_new(kind: str, effect: float, coefficients: np.ndarray) -> float:
    """C in new patients of a score with these coefficients (of the first columns)."""
    true, length = weights(effect), float(np.linalg.norm(coefficients))
    if length == 0:
        return 0.5
    r = float(coefficients @ true[: len(coefficients)]) / length / float(np.linalg.norm(true))
    return 0.5 + float(attainable(kind, effect) @ np.array([r, r**3, r**5]))


# ------------------------------------------------------------------------ the lung simulator


def lung_settings(patients: int, *, planted: bool) -> LungSettings:
    """With the image's effects on nodal stage, or without."""
    settings = LungSettings(patients=patients)
    none = settings.effects.model_copy(update=dict.fromkeys(OF_IMAGE, 0.0))
    return settings if planted else settings.model_copy(update={"effects": none})


def lung_features(cohort: SimulatedNodalTable) -> np.ndarray:
    """Clinical columns, then those of the image; what is missing is the median."""
    table = pd.concat([cohort.clinical, cohort.image], axis=1)
    return table.fillna(table.median()).to_numpy(dtype=np.float64)


@functools.cache
def lung_patients(planted: bool) -> tuple[np.ndarray, np.ndarray]:
    """Features and true risks of new patients, whether their nodes were examined or not."""
    cohort = simulate_nodal_table(lung_settings(20_000, planted=planted), 900_001)
    return lung_features(cohort), 1 - cohort.probabilities[:, 0]


def lung_auc(planted: bool, coefficients: np.ndarray) -> float:
    """Expected AUC of a score in new patients: each is a case as often as the true risk says."""
    x, risk = lung_patients(planted)
    _, rank = np.unique(x[:, : len(coefficients)] @ coefficients, return_inverse=True)
    cases, controls = np.bincount(rank, risk), np.bincount(rank, 1 - risk)
    below = np.cumsum(controls) - controls / 2
    return float(cases @ below / (cases.sum() * controls.sum()))


@dataclass(frozen=True, kw_only=True)
class World:
    """A scenario.

    Attributes
    ----------
    nodal
        Whether the outcome is a class.
    clinical
        Columns that are clinical; the others are of the image.
    draw
        Patients and seed to features, time and status.
    c_in_new
        Coefficients to C in new patients.
    """

    nodal: bool
    clinical: int
    draw: Callable[[int, int], Arrays]
    c_in_new: Callable[[np.ndarray], float]

    @property
    def tau(self) -> float | None:
        """Up to which events count."""
        return None if self.nodal else TAU

    def width(self, model: str, x: np.ndarray) -> int:
        """Columns that a model reads."""
        return x.shape[1] if model == "headline" else self.clinical


def world_of(kind: str, planted: bool, effect: float) -> World:
    """The scenario of that name."""
    if kind == "lung":

        def examined(n: int, seed: int) -> Arrays:
            cohort = simulate_nodal_table(lung_settings(n, planted=planted), seed + 1)
            seen = cohort.stage >= 0
            positive = (cohort.stage[seen] > 0).astype(np.int64)
            return lung_features(cohort)[seen], np.where(positive, 1.0, 3.0), positive

        in_new = functools.partial(lung_auc, planted)
        return World(nodal=True, clinical=LUNG_CLINICAL, draw=examined, c_in_new=in_new)
    size = effect if planted else 0.0

    def normal(n: int, seed: int) -> Arrays:
        rng = np.random.default_rng([seed, planted, kind == "nodal"])
        x = rng.normal(size=(n, CLINICAL + IMAGE))
        time, status = outcome_of(kind, x @ weights(size), rng)
        return x, time, status

    in_new = functools.partial(c_in_new, kind, size)
    return World(nodal=kind == "nodal", clinical=CLINICAL, draw=normal, c_in_new=in_new)


# ------------------------------------------------------------------------------- heads and fits


def study_head(which: str, x: np.ndarray, time: np.ndarray | None, event: np.ndarray) -> np.ndarray:
    """Coefficients by a study's own model: ``elastic net`` (mix 0.05) or ``stack``."""
    net = "logistic" if time is None else "elastic_net_cox"
    n, p = x.shape
    settings = ModelSettings(
        kind="stacked" if which == "stack" else net,
        name="head",
        modalities=("clinical", "image") if p in _CLINICAL_OF else ("clinical",),
        l1_ratios=(0.05,),
    )
    outcome = (
        NodalOutcome(event.astype(np.int8))
        if time is None
        else SurvivalOutcome(time, event.astype(np.int8))
    )
    fitted = build(settings).fit(_table(x, "P"), outcome, seed=n)
    probe = _table(np.vstack([np.zeros(p), np.eye(p)]), "Q")
    risk = fitted.predict(probe, np.array([] if time is None else [int(TAU)], dtype=np.int64))
    free = np.clip(risk[:, 0] if time is None else 1 - risk[:, 0], 1e-12, 1 - 1e-12)
    score = np.log((1 - free) / free) if time is None else np.log(-np.log(free))
    # A column that the model leaves out moves the score by rounding alone.
    return np.round(score[1:] - score[0], 12)


_CLINICAL_OF = {CLINICAL + IMAGE: CLINICAL, LUNG_CLINICAL + LUNG_IMAGE: LUNG_CLINICAL}
"""Columns of a headline model to those that are clinical."""


def _table(x: np.ndarray, mark: str) -> FeatureTable:
    clinical = _CLINICAL_OF.get(x.shape[1], x.shape[1])
    names = [f"x{k:02d}" for k in range(x.shape[1])]
    index = pd.Index([f"{mark}{i:05d}" for i in range(len(x))], name="patient")
    about = tuple(
        Feature(name=c, kind=Kind.CONTINUOUS, modality="clinical" if k < clinical else "image")
        for k, c in enumerate(names)
    )
    return FeatureTable(pd.DataFrame(x, columns=names, index=index), about)


HEADS: dict[str, Head] = {
    "ridge": ridge,
    "elastic net": functools.partial(study_head, "elastic net"),
    "stack": functools.partial(study_head, "stack"),
}


class Procedure:
    """One model's fits without some patients of a cohort."""

    def __init__(self, world: World, data: Arrays, model: str, head: Head) -> None:
        self.x = data[0][:, : world.width(model, data[0])]
        self.time = None if world.nodal else data[1]
        self.status, self.head = data[2], head

    def without(self, left_out: np.ndarray) -> np.ndarray:
        """Coefficients fitted to the others."""
        kept = ~left_out
        time = None if self.time is None else self.time[kept]
        return self.head(self.x[kept], time, self.status[kept])


def fold_numbers(status: np.ndarray, splits: int, seed: int) -> np.ndarray:
    """Fold of each patient in each division, as a study draws them; shape (splits, n)."""
    names = [f"P{i:05d}" for i in range(len(status))]
    found = np.empty((splits, len(status)), dtype=np.int64)
    for split in repeated_kfold(names, status, folds=FOLDS, repeats=splits, seed=seed):
        found[split.repeat, [int(p[1:]) for p in split.test]] = split.fold
    return found


def difference_in_folds(
    world: World, data: Arrays, folds: np.ndarray, pair: tuple[np.ndarray, ...]
) -> tuple[np.ndarray, np.ndarray]:
    """Mean over divisions of the difference within folds, its draws, and that of every fold."""
    _, time, status = data
    tau = world.tau
    follow = follow_up(time, status)
    draws = draw(len(time), 200, int(folds.sum()) % 2**31)
    gap = np.zeros(len(draws))
    by_fold = np.empty((len(folds), FOLDS))
    for k, fold in enumerate(folds):
        a, b = (
            resampled_concordance(
                draws, follow, pair_order(time, status, risk[k], fold), tau=tau, censoring=False
            )
            for risk in pair
        )
        gap += (a - b) / len(folds)
        for f in range(FOLDS):
            own = fold == f
            by_fold[k, f] = paired_difference(
                time[own], status[own], pair[0][k, own], pair[1][k, own], tau=tau
            )[0]
    return gap, by_fold


def nested_splits(
    world: World, data: Arrays, folds: np.ndarray, models: dict[str, Procedure]
) -> tuple[dict[str, np.ndarray], list[list[np.ndarray]], list[SplitDifferences]]:
    """Out-of-fold scores, coefficients of every outer fold, and what nested CV reads."""
    x, time, status = data
    tau = world.tau
    scores = {name: np.empty(folds.shape) for name in models}
    outer_fits, told = [], []

    def gap(inside: np.ndarray, fits: list[np.ndarray]) -> tuple[float, float]:
        risk = [x[inside, : len(b)] @ b for b in fits]
        return paired_difference(time[inside], status[inside], risk[0], risk[1], tau=tau)

    for k, fold in enumerate(folds):
        outer, inner = np.empty((FOLDS, 2)), np.full((FOLDS, FOLDS), np.nan)
        for f in range(FOLDS):
            fits = [models[name].without(fold == f) for name in MODELS]
            for name, b in zip(MODELS, fits, strict=True):
                scores[name][k, fold == f] = x[fold == f, : len(b)] @ b
            outer[f] = gap(fold == f, fits)
            outer_fits.append(fits)
        for a, b in combinations(range(FOLDS), 2):
            fits = [models[name].without((fold == a) | (fold == b)) for name in MODELS]
            inner[a, b], inner[b, a] = gap(fold == b, fits)[0], gap(fold == a, fits)[0]
        told.append(SplitDifferences(outer=outer[:, 0], variance=outer[:, 1], inner=inner))
    return scores, outer_fits, told


def permuted_p(
    world: World,
    data: Arrays,
    folds: np.ndarray,
    scores: dict[str, np.ndarray],
    *,
    asked: argparse.Namespace,
    seed: int,
) -> float:
    """The permutation test: image rows dealt out within fifths of the reference's risk."""
    x, time, status = data
    tau, clinical = world.tau, world.clinical
    used = folds[: asked.permuted_splits]
    rank = scores["nested"].argsort(axis=1).argsort(axis=1).mean(axis=0)
    strata = risk_groups(rank, 5)

    def increment(headline: np.ndarray) -> float:
        return float(
            np.mean(
                [
                    paired_difference(
                        time[own], status[own], headline[k, own], scores["nested"][k, own], tau=tau
                    )[0]
                    for k, fold in enumerate(used)
                    for own in (fold == f for f in range(FOLDS))
                ]
            )
        )

    rng = np.random.default_rng([seed, 11])
    found = []
    for _ in range(asked.permutations):
        order = order_within(strata, rng)
        dealt = np.column_stack([x[:, :clinical], x[order, clinical:]])
        model = Procedure(world, (dealt, time, status), "headline", HEADS[asked.heads])
        risk = np.empty(used.shape)
        for k, fold in enumerate(used):
            for f in range(FOLDS):
                risk[k, fold == f] = dealt[fold == f] @ model.without(fold == f)
        found.append(increment(risk))
    return permutation_test(increment(scores["headline"][: len(used)]), found).p


def replicate(kind: str, planted: bool, seed: int, asked: argparse.Namespace) -> dict[str, object]:
    """One cohort in one scenario."""
    world = world_of(kind, planted, asked.effect)
    data = world.draw(asked.patients, seed)
    folds = fold_numbers(data[2], asked.splits, seed)
    models = {n: Procedure(world, data, n, HEADS[asked.heads]) for n in MODELS}
    scores, fits, told = nested_splits(world, data, folds, models)
    gap, by_fold = difference_in_folds(world, data, folds, (scores["headline"], scores["nested"]))
    own = [world.c_in_new(a) - world.c_in_new(b) for a, b in fits]
    row: dict[str, object] = {
        "outcome": kind,
        "planted": planted,
        "seed": seed,
        "heads": asked.heads,
        "patients": asked.patients,
        "splits": asked.splits,
        "events": int(data[2].sum()),
        "difference": gap[0],
        "own": round(float(np.mean(own)), 9),
    }
    found = {
        "bootstrap": bootstrap_contrast(gap[0], gap[1:], confidence=LEVEL, higher_is_better=True),
        "Nadeau-Bengio": nadeau_bengio(
            gap[0], by_fold.ravel(), test_share=1 / (FOLDS - 1), confidence=LEVEL
        ),
        "nested CV": nested_cv(gap[0], told, confidence=LEVEL),
        "nested CV, half the splits": nested_cv(
            gap[0], told[: asked.splits // 2], confidence=LEVEL
        ),
    }
    for name, interval in found.items():
        known = isinstance(interval, Contrast | FoldContrast)
        row[f"{name} lower"] = interval.lower if known else np.nan
        row[f"{name} upper"] = interval.upper if known else np.nan
    if asked.permutations:
        row["p"] = permuted_p(world, data, folds, scores, asked=asked, seed=seed)
    return row


METHODS = ("bootstrap", "Nadeau-Bengio", "nested CV, half the splits", "nested CV")


def share(held: pd.Series) -> str:
    """Percent with its Monte Carlo error."""
    rate = float(held.mean())
    return f"{100 * rate:5.1f} ± {100 * np.sqrt(rate * (1 - rate) / len(held)):.1f} %"


def summary(rows: pd.DataFrame) -> None:
    """Coverage of each method in each scenario, and of all planted outcomes together."""
    rows = rows.assign(
        expected=rows.groupby(["heads", "patients", "outcome", "planted"])["own"].transform("mean")
    )
    for (heads, n, planted, outcome), own in rows.groupby(
        ["heads", "patients", "planted", "outcome"]
    ):
        title = "planted" if planted else "null"
        print(
            f"\n{outcome}, {title}, {heads} heads: {len(own)} replicates of {n} patients "
            f"({own['events'].mean():.0f} events), {own['splits'].iloc[0]} × {FOLDS} folds. "
            f"Difference {own['difference'].mean():+.4f} (SD {own['difference'].std():.4f}); "
            f"in new patients {own['own'].mean():+.4f} (SD {own['own'].std():.4f})"
        )
        _lines(own)
    for (heads, planted), own in rows.groupby(["heads", "planted"]):
        title = "planted" if planted else "null"
        print(f"\nall outcomes, {title}, {heads} heads: {len(own)} replicates")
        _lines(own)


def _lines(own: pd.DataFrame) -> None:
    for name in METHODS:
        known = own[own[f"{name} lower"].notna()]
        low, high = known[f"{name} lower"], known[f"{name} upper"]
        held = {
            "expected": (low <= known["expected"]) & (known["expected"] <= high),
            "the fold models' own": (low <= known["own"]) & (known["own"] <= high),
            "0": (low <= 0) & (high >= 0),
        }
        print(
            f"  {name:27s} holds {'; '.join(f'{k} {share(v)}' for k, v in held.items())}; "
            f"above 0 {share(low > 0)}; [0, 0] {share((low == 0) & (high == 0))}; "
            f"width {(high - low).mean():.3f}"
            + (f"; {len(own) - len(known)} without" if len(known) < len(own) else "")
        )
    if "p" in own and own["p"].notna().any():
        told = own["p"].dropna()
        print(f"  permutation test            p ≤ 0.05 in {share(told <= 0.05)}")


def main() -> None:
    """Go on with a run, or sum one up."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--replicates", type=int, default=400, help="of each scenario")
    parser.add_argument("--patients", type=int, default=300)
    parser.add_argument("--splits", type=int, default=10, help="divisions into five folds")
    parser.add_argument("--effect", type=float, default=0.2)
    parser.add_argument("--permutations", type=int, default=39)
    parser.add_argument("--permuted-splits", type=int, default=2)
    parser.add_argument("--heads", choices=tuple(HEADS), default="ridge")
    parser.add_argument("--scenarios", nargs="+", choices=tuple(SCENARIOS), default=list(SCENARIOS))
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("coverage.csv"))
    parser.add_argument("--minutes", type=float, default=np.inf, help="stop after")
    parser.add_argument("--summary", action="store_true")
    asked = parser.parse_args()
    done: set[tuple[str, bool, int]] = set()
    if asked.out.exists():
        there = pd.read_csv(asked.out)
        there = there[there["heads"] == asked.heads]
        done = set(zip(there["outcome"], there["planted"], there["seed"], strict=True))
    begun = clock.monotonic()
    for seed in range(asked.first, asked.first + (0 if asked.summary else asked.replicates)):
        for kind, planted in (SCENARIOS[name] for name in asked.scenarios):
            if (kind, planted, seed) in done:
                continue
            if clock.monotonic() - begun > 60 * asked.minutes:
                return
            row = pd.DataFrame([replicate(kind, planted, seed, asked)])
            row.to_csv(asked.out, mode="a", header=not asked.out.exists(), index=False)
    summary(pd.read_csv(asked.out))


if __name__ == "__main__":
    main()
