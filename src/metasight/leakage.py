"""The leakage checks of DESIGN §7 that run in every study, and what they found.

What is fitted for a check is fitted by :mod:`metasight.models.crossfit`; here its results are
judged. Every check can fail, and the tests make each of them fail.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from metasight.cohort.outcome import Outcome, SurvivalOutcome
from metasight.cohort.splits import PAIR, Split, pair_number
from metasight.features.columns import FeatureTable, Kind
from metasight.predictions import Predictions
from metasight.validation.discrimination import Concordance, harrell_c

Verdict = Literal["pass", "warn", "fail", "not done"]

SINGLE_FEATURE_LIMIT = 0.95
"""A single feature that ranks patients better than this is taken for a proxy of the outcome."""
CENTRE_AUC_LIMIT = 0.80
"""Above this AUC a centre can be told from the features well enough to serve as a shortcut."""


@dataclass(frozen=True, kw_only=True)
class Check:
    """One check and its outcome.

    Attributes
    ----------
    id, title
        Stable name, and words.
    verdict
        ``fail`` is leakage, ``warn`` needs a look, ``not done`` says why in ``finding``.
    finding
        What was found, with figures.
    limit
        What would not pass.
    """

    id: str
    title: str
    verdict: Verdict
    finding: str
    limit: str

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)


def discrimination(predictions: Predictions) -> Concordance:
    """Harrell's C of one model's predictions, within each repeat and fold.

    Nodal predictions are judged by any positive node (N1 or N2 against N0); unobserved nodes do
    not count.
    """
    rows = predictions.table
    if rows["label"].notna().any():
        rows = rows[(rows["label"] == "N0") & rows["status"].notna()]
        risk = 1.0 - rows["risk"].to_numpy(dtype=float)
        positive = rows["status"].to_numpy(dtype=int) > 0
        time, status = as_times(positive)
    else:
        rows = rows[rows["horizon_days"] == rows["horizon_days"].max()]
        risk = rows["risk"].to_numpy(dtype=float)
        time = rows["time_days"].to_numpy(dtype=float)
        status = rows["status"].to_numpy(dtype=int)
    strata = rows.groupby(["repeat", "fold"]).ngroup().to_numpy()
    return harrell_c(time, status, risk, strata=strata)


def as_times(positive: NDArray[np.bool_]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Times and status whose C is the AUC: positives have the event first, the others never."""
    return np.where(positive, 1.0, 2.0), positive.astype(np.int64)


def folds_disjoint(
    splits: Sequence[Split], audits: Sequence[Mapping[str, Any]], predictions: Predictions
) -> Check:
    """Training and test ids are disjoint, and fits were handed their training ids only.

    Parameters
    ----------
    splits
        Of the analysis.
    audits
        Of every fit whose predictions count: one a split, and one a pair of folds
        (:func:`metasight.cohort.splits.pairs_of_folds`).
    predictions
        Of the random folds.
    """
    expected = {(s.scheme, s.repeat, s.fold): _hash(s.train) for s in splits}
    expected |= {key: _hash(sorted(train)) for key, train in _without_pairs(splits).items()}
    wrong = [
        a for a in audits if a["handed"] != expected.get((a["scheme"], a["repeat"], a["fold"]))
    ]
    table = predictions.table
    tested = {(s.repeat, s.fold): set(s.test) for s in splits if s.scheme == "kfold"}
    strangers = sum(
        len(set(rows["patient"]) - tested.get((int(str(r)), int(str(f))), set()))
        for (r, f), rows in table.groupby(["repeat", "fold"])
    )
    bad = len(wrong) + strangers
    pairs = sum(a["scheme"] == PAIR for a in audits)
    return Check(
        id="folds-disjoint",
        title="A patient is never in training and test of one fold",
        verdict="fail" if bad else "pass",
        finding=f"{len(audits)} fits were handed exactly their training patients"
        + (f", {pairs} of them without a pair of folds" if pairs else "")
        if not bad
        else f"{len(wrong)} fits were handed other patients, {strangers} predictions of others",
        limit="0 fits handed any other patient",
    )


def _hash(patients: Sequence[str]) -> str:
    return hashlib.sha256("\n".join(patients).encode()).hexdigest()


def _without_pairs(splits: Sequence[Split]) -> dict[tuple[str, int, int], set[str]]:
    """Who may be handed to a fit without two folds: from the folds' test sides alone."""
    divisions: dict[int, list[Split]] = {}
    for s in splits:
        if s.scheme == "kfold":
            divisions.setdefault(s.repeat, []).append(s)
    found = {}
    for repeat, division in divisions.items():
        everyone = set().union(*(s.test for s in division))
        for first, second in combinations(division, 2):
            key = (PAIR, repeat, pair_number(first.fold, second.fold, len(division)))
            found[key] = everyone - set(first.test) - set(second.test)
    return found


def corrupted_rows(hashes: Mapping[str, tuple[str, str]]) -> Check:
    """What was learnt does not change when the test rows are spoilt; by model."""
    changed = [name for name, (true, spoilt) in hashes.items() if true != spoilt]
    verdict: Verdict = "fail" if changed else ("pass" if hashes else "not done")
    return Check(
        id="corrupt-test-rows",
        title="Altered test rows leave the fitted models identical, byte for byte",
        verdict=verdict,
        finding=f"{len(hashes)} models refitted with altered test rows: "
        + (f"{', '.join(changed)} changed" if changed else "none changed"),
        limit="every model identical",
    )


def noise_replay(replicates: Sequence[Predictions], model: str) -> Check:
    """C of the whole procedure on noise lies within 2 standard errors of 0.5.

    The error is that of the mean over replicates: the larger of the spread between replicates
    and the standard error that the number of pairs implies. Well above 0.5 is leakage; below it
    is none (a fold that holds more of the good outcomes leaves fewer to learn from, which
    pushes cross-fitted C on noise a little under 0.5), but is shown.
    """
    title = "The whole procedure repeated on noise finds nothing"
    limit = "0.5 ± 2 standard errors; more than 3 above it fails"
    if not replicates:
        return Check(
            id="noise-replay",
            title=title,
            verdict="not done",
            limit=limit,
            finding=f"{model} could not be fitted to noise",
        )
    scores = [discrimination(p) for p in replicates]
    values = np.array([s.c for s in scores])
    mean = float(values.mean())
    implied = float(np.sqrt(np.mean([s.se**2 for s in scores]) / len(scores)))
    between = float(values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else 0.0
    # A model that selects nothing gives everybody one risk: C is 0.5 and its error 0.
    se = max(implied, between, 1e-9)
    above = (mean - 0.5) / se
    verdict: Verdict = "pass" if abs(above) <= 2 else ("fail" if above > 3 else "warn")
    return Check(
        id="noise-replay",
        title=title,
        verdict=verdict,
        finding=f"{model}: C {mean:.3f} ± {se:.3f} over {len(scores)} replays",
        limit=limit,
    )


def duplicates(features: FeatureTable) -> Check:
    """No two patients have the same measurements (one patient entered twice).

    Only tables with at least five continuous features can tell; the check says so otherwise.
    """
    names = [f.name for f in features.features if f.kind is Kind.CONTINUOUS and not f.error_of]
    title = "No two patients have identical measurements"
    limit = "no pair identical in all continuous features"
    if len(names) < 5:
        return Check(
            id="duplicates",
            title=title,
            verdict="not done",
            limit=limit,
            finding=f"{len(names)} continuous features are too few for this check",
        )
    values = features.values[names].dropna(thresh=5)
    twice = int(values.duplicated(keep=False).sum())
    return Check(
        id="duplicates",
        title=title,
        verdict="warn" if twice else "pass",
        finding=f"{twice} of {len(values)} patients share all {len(names)} continuous features"
        if twice
        else f"{len(values)} patients, all different in {len(names)} continuous features",
        limit=limit,
    )


def single_features(features: FeatureTable, outcome: Outcome) -> Check:
    """No single numeric feature tells the outcome almost by itself (a proxy, or the future)."""
    found: dict[str, float] = {}
    for feature in features.features:
        if feature.kind is Kind.CATEGORICAL or feature.kind.is_key or feature.error_of:
            continue
        values = features.values[feature.name].to_numpy(dtype=float)
        there = ~np.isnan(values)
        if isinstance(outcome, SurvivalOutcome):
            time, status = outcome.time_days, outcome.status.astype(np.int64)
        else:
            there &= outcome.observed
            time, status = as_times(outcome.stage > 0)
        usable = (status[there] == 1).sum() >= 5 and np.unique(values[there]).size > 1
        if usable:
            c = harrell_c(time[there], status[there], values[there]).c
            found[feature.name] = max(c, 1 - c)
    proxies = [n for n, c in found.items() if c > SINGLE_FEATURE_LIMIT]
    best = max(found, key=lambda n: found[n]) if found else ""
    return Check(
        id="single-feature",
        title="No single feature reveals the outcome",
        verdict="warn" if proxies else "pass",
        finding=f"{', '.join(proxies)} reach C > {SINGLE_FEATURE_LIMIT}"
        if proxies
        else (
            f"strongest of {len(found)}: {best}, C {found[best]:.2f}" if found else "none usable"
        ),
        limit=f"C or AUC ≤ {SINGLE_FEATURE_LIMIT}",
    )


def centre_shortcut(probabilities: pd.DataFrame | None, centre: pd.Series[str]) -> Check:
    """How well the centre is told from the features, out of fold (mean one-against-rest AUC)."""
    title = "The features do not predict the centre"
    limit = f"mean AUC ≤ {CENTRE_AUC_LIMIT}; leave-one-centre-out shows the effect"
    if probabilities is None:
        return Check(
            id="centre-shortcut",
            title=title,
            verdict="not done",
            limit=limit,
            finding="one centre only",
        )
    truth = centre.loc[probabilities.index]
    aucs = []
    for name in probabilities.columns:
        time, status = as_times((truth == name).to_numpy())
        if 0 < status.sum() < len(status):
            aucs.append(harrell_c(time, status, probabilities[name].to_numpy()).c)
    auc = float(np.mean(aucs))
    return Check(
        id="centre-shortcut",
        title=title,
        verdict="warn" if auc > CENTRE_AUC_LIMIT else "pass",
        finding=f"mean AUC {auc:.2f} over {len(aucs)} centres",
        limit=limit,
    )


def windows(checked: Sequence[str], declared: Sequence[str]) -> Check:
    """Predictors were measured within the protocol's window.

    Parameters
    ----------
    checked
        Predictors with a measurement date, each of which lay within its window (others are
        refused when the table is read).
    declared
        Predictors without one: the window is the author's word.
    """
    return Check(
        id="windows",
        title="Predictors were measured within their window",
        verdict="warn" if declared else "pass",
        finding=f"{len(checked)} checked by date; {len(declared)} are as stated by the authors"
        + (f" ({', '.join(declared)})" if declared else ""),
        limit="every predictor dated and within its window",
    )
