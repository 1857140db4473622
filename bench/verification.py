"""Bias and coverage of verification-corrected accuracy on simulated cohorts, beside the naive one.

    python bench/verification.py [--replicates 300] [--patients 500]

Nodes are examined more often in young patients with a low risk, disease depends on risk and age;
the truth is that of two million patients. Simulated; a fixed risk is judged, no model is fitted.
"""

from __future__ import annotations

import argparse

import numpy as np
from scipy.special import expit

from metasight.validation.binary import binary_auc
from metasight.validation.verification import METHODS, Verified, corrected_accuracy

JUDGED = ("sensitivity", "specificity", "negative_value", "auc")
THRESHOLD = 0.2


def draw(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Risk, age, who is examined, who is diseased."""
    age, score = rng.standard_normal((2, n))
    examined = rng.random(n) < expit(0.8 - 0.9 * age - 0.7 * score)
    disease = rng.random(n) < expit(-1.6 + 1.1 * score + 0.5 * age)
    return expit(-1.6 + 1.2 * score), age, examined, disease


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--replicates", type=int, default=300)
    parser.add_argument("--patients", type=int, default=500)
    asked = parser.parse_args()
    risk, _, examined, disease = draw(np.random.default_rng(0), 2_000_000)
    positive = risk >= THRESHOLD
    part = slice(0, 200_000)
    truth = {
        "sensitivity": positive[disease].mean(),
        "specificity": (~positive)[~disease].mean(),
        "negative_value": (~disease)[~positive].mean(),
        "auc": binary_auc(risk[part], disease[part].astype(int)).auc,
    }
    print(
        f"{asked.replicates} replicates of {asked.patients} patients, {examined.mean():.0%} "
        f"examined, {disease.mean():.0%} diseased; "
        f"truth {', '.join(f'{k} {v:.3f}' for k, v in truth.items())}"
    )
    found: dict[str, list[list[tuple[float, bool]]]] = {m: [] for m in METHODS}
    for number in range(asked.replicates):
        risk, age, examined, disease = draw(np.random.default_rng([1, number]), asked.patients)
        data = Verified(
            risk=risk,
            covariates=age[:, None],
            disease=np.where(examined, disease.astype(float), np.nan),
        )
        for method in METHODS:
            told = corrected_accuracy(data, THRESHOLD, method, seed=number, resamples=200)
            own = [getattr(told, name) for name in JUDGED]
            found[method].append(
                [
                    (e.value - truth[name], e.lower <= truth[name] <= e.upper)
                    for name, e in zip(JUDGED, own, strict=True)
                ]
            )
    for method, rows in found.items():
        table = np.array(rows)
        line = "  ".join(
            f"{name} bias {table[:, k, 0].mean():+.3f}, covered {table[:, k, 1].mean():.1%}"
            for k, name in enumerate(JUDGED)
        )
        print(f"{method:22s} {line}")
    print("bar: |bias| ≤ 0.02 and 93–97 % for all but the naive, which must fail")


if __name__ == "__main__":
    main()
