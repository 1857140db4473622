"""Metrics beside scikit-survival and lifelines, in one process on the same data.

Prints the table that the docs quote and one line ``ratio NAME VALUE`` for each comparison. Both
sides are warmed up first (ours compiles once and is cached on disk), and the results are compared
before they are timed. A slow competitor is timed on a few resamples and scaled, and the table
says so.

    python bench/metrics.py
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
from lifelines.utils import concordance_index
from sksurv.metrics import (
    brier_score,
    concordance_index_censored,
    concordance_index_ipcw,
    cumulative_dynamic_auc,
)
from sksurv.nonparametric import kaplan_meier_estimator
from sksurv.util import Surv

from metasight.validation.bootstrap import draw, resampled_concordance
from metasight.validation.brier import prediction_error_curve
from metasight.validation.curves import kaplan_meier
from metasight.validation.discrimination import pair_order, uno_c
from metasight.validation.dynamic_auc import auc_at_times
from metasight.validation.ordering import follow_up

N = 5000
B = 1000
TIMES = np.array([300.0, 600.0, 1000.0, 1500.0, 2000.0])


def cohort(n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Days, events (58 %) and a score, with ties in time."""
    rng = np.random.default_rng(0)
    score = rng.normal(size=n)
    onset = rng.exponential(np.exp(-score) * 2000) + 1
    censoring = rng.uniform(100, 4000, n)
    return np.ceil(np.minimum(onset, censoring)), onset <= censoring, score


def seconds(call: Callable[[], object], repeats: int) -> float:
    """Best of ``repeats``, after one call that is not counted."""
    call()
    best = np.inf
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        best = min(best, time.perf_counter() - start)
    return best


def agree(ours: object, theirs: object, name: str, tolerance: float = 1e-10) -> None:
    gap = float(np.max(np.abs(np.asarray(ours) - np.asarray(theirs))))
    if not gap <= tolerance:
        raise SystemExit(f"{name}: results differ by {gap:.3g}")


def main() -> None:
    days, event, score = cohort(N)
    status = event.astype(np.int64)
    outcome = Surv.from_arrays(event, days)
    data, order = follow_up(days, status), pair_order(days, status, score)
    draws = draw(N, B, 1)
    picks = [np.repeat(np.arange(N), w) for w in draws[1:6]]
    rows: list[tuple[str, str, str, float, float]] = []

    # scikit-survival calls risks closer than 1e-8 tied, lifelines pairs a few ties otherwise
    ours = resampled_concordance(draws, data, order, tau=None, censoring=False)
    theirs = [concordance_index_censored(event[p], days[p], score[p])[0] for p in picks]
    agree(ours[1:6], theirs, "Harrell's C on resamples", 1e-5)
    whole = seconds(lambda: resampled_concordance(draws, data, order, tau=None, censoring=False), 3)

    def sksurv_c() -> None:
        for p in picks[:2]:
            concordance_index_censored(event[p], days[p], score[p])

    def lifelines_c() -> None:
        for p in picks[:2]:
            concordance_index(days[p], -score[p], event[p])

    rows.append(
        (
            "harrell_c_bootstrap_vs_sksurv",
            "1,000 bootstraps of Harrell's C",
            "scikit-survival*",
            whole,
            seconds(sksurv_c, 2) / 2 * B,
        )
    )
    rows.append(
        (
            "harrell_c_bootstrap_vs_lifelines",
            "1,000 bootstraps of Harrell's C",
            "lifelines*",
            whole,
            seconds(lifelines_c, 2) / 2 * B,
        )
    )

    tau = 2000.0
    agree(
        uno_c(days, status, score, tau=tau).c,
        concordance_index_ipcw(outcome, outcome, score, tau=tau)[0],
        "Uno's C",
        2e-3,  # scikit-survival keeps events at t in the risk set of G
    )
    ones = draws[:1]
    rows.append(
        (
            "uno_c_vs_sksurv",
            "Uno's C",
            "scikit-survival",
            seconds(
                lambda: resampled_concordance(
                    ones,
                    follow_up(days, status),
                    pair_order(days, status, score),
                    tau=tau,
                    censoring=True,
                ),
                5,
            ),
            seconds(lambda: concordance_index_ipcw(outcome, outcome, score, tau=tau), 2),
        )
    )

    theirs_auc = cumulative_dynamic_auc(outcome, outcome, score, TIMES)[0]
    agree(auc_at_times(days, status, score, TIMES), theirs_auc, "AUC", 2e-3)
    rows.append(
        (
            "auc_5_times_vs_sksurv",
            "AUC at 5 times",
            "scikit-survival",
            seconds(lambda: auc_at_times(days, status, score, TIMES), 20),
            seconds(lambda: cumulative_dynamic_auc(outcome, outcome, score, TIMES), 5),
        )
    )

    risk = 1 - np.exp(-np.outer(np.exp(score), TIMES / 2000))
    theirs_brier = brier_score(outcome, outcome, 1 - risk, TIMES)[1]
    agree(prediction_error_curve(days, status, risk, TIMES), theirs_brier, "Brier", 2e-3)
    rows.append(
        (
            "brier_5_times_vs_sksurv",
            "Brier score at 5 times",
            "scikit-survival",
            seconds(lambda: prediction_error_curve(days, status, risk, TIMES), 20),
            seconds(lambda: brier_score(outcome, outcome, 1 - risk, TIMES), 5),
        )
    )

    agree(kaplan_meier(days, status).values, kaplan_meier_estimator(event, days)[1], "Kaplan-Meier")
    rows.append(
        (
            "kaplan_meier_vs_sksurv",
            "Kaplan-Meier with its error",
            "scikit-survival",
            seconds(lambda: kaplan_meier(days, status), 20),
            seconds(lambda: kaplan_meier_estimator(event, days), 20),
        )
    )
    report(rows)


def report(rows: list[tuple[str, str, str, float, float]]) -> None:
    print(f"n = {N:,}, one core; * timed on 2 resamples and scaled to {B:,}\n")
    print(f"| {'metric':<34} | metasight    | {'other':<16} | other        | ratio  |")
    print(f"|{'-' * 36}|--------------|{'-' * 18}|--------------|--------|")
    for _, what, who, ours, theirs in rows:
        print(
            f"| {what:<34} | {ours * 1e3:9.2f} ms | {who:<16} | {theirs * 1e3:9.1f} ms "
            f"| {theirs / ours:5.0f}x |"
        )
    print()
    for name, _, _, ours, theirs in rows:
        print(f"ratio {name} {theirs / ours:.1f}")


if __name__ == "__main__":
    main()
