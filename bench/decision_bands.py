"""Do the bands of a decision curve hold the whole true curve? Judged on 300,000 fresh patients.

    python bench/decision_bands.py --replicates 1000

Each replicate draws patients with a risk that is miscalibrated as models are (slope 0.8), a
reference risk that knows less, a follow-up with censoring, or a class, and takes the bands of the
model's net benefit, of its difference to the better of treating all and treating none, and of its
difference to the reference, at eight thresholds, beside the intervals that hold at each threshold
by itself (percentiles). Held is the whole curve, at the thresholds that have a band. Printed with
the Monte Carlo error. Simulated; nothing of it is a study.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from dataclasses import dataclass

import numpy as np

from metasight.validation.bootstrap import draw
from metasight.validation.decision_bands import (
    Judged,
    band_over_default,
    contrast_band,
    model_band,
    seen_by_horizon,
)
from metasight.validation.decision_curve import net_benefit_class
from metasight.validation.ordering import follow_up
from metasight.validation.samples import TargetSamples, target_samples
from metasight.validation.table import Target
from metasight.validation.threshold_band import ThresholdBand

THRESHOLDS = (0.05, 0.10, 0.15, 0.20, 0.25, 0.30, 0.40, 0.50)
HORIZON = 5.0
LEVEL = 0.95
FRESH = 300_000
CURVES = ("model", "over the better default", "over the reference")


@dataclass(frozen=True, kw_only=True)
class Patients:
    """Outcome and the two risks; ``time`` and ``status`` of a class order it."""

    time: np.ndarray
    status: np.ndarray
    risk: np.ndarray
    reference: np.ndarray


def simulate(n: int, rng: np.random.Generator, *, censored: bool) -> Patients:
    """Patients whose true five-year risk averages some 20 %."""
    known, image = rng.normal(size=n), rng.normal(size=n)
    hazard = 0.035 * np.exp(0.7 * known + 0.5 * image)
    onset = rng.exponential(1 / hazard)
    end = rng.uniform(2, 12, n) if censored else np.full(n, 12.0)
    time, status = np.minimum(onset, end), (onset <= end).astype(np.int64)
    if not censored:
        status = (onset <= HORIZON).astype(np.int64)
        time = np.where(status == 1, 1.0, 2.0)
    said = 0.045 * np.exp(0.8 * (0.7 * known + 0.5 * image))
    less = 0.045 * np.exp(0.8 * 0.7 * known)
    return Patients(
        time=time,
        status=status,
        risk=-np.expm1(-HORIZON * said),
        reference=-np.expm1(-HORIZON * less),
    )


def true_curves(*, censored: bool, seed: int = 1) -> dict[str, np.ndarray]:
    """The three curves in fresh patients without censoring."""
    big = simulate(FRESH, np.random.default_rng(seed), censored=False)
    own = net_benefit_class(big.risk, big.status, THRESHOLDS)
    other = net_benefit_class(big.reference, big.status, THRESHOLDS)
    return {
        CURVES[0]: own.model,
        CURVES[1]: own.model - np.maximum(own.treat_all, 0),
        CURVES[2]: own.model - other.model,
    }


def bands(
    patients: Patients, draws: np.ndarray, *, censored: bool
) -> tuple[dict[str, ThresholdBand], dict[str, np.ndarray]]:
    """The product's bands, and the resamples of the same curves for intervals by threshold."""
    data = follow_up(patients.time, patients.status)
    target = Target(
        name="event",
        horizon_days=5 if censored else None,
        data=data,
        horizon=HORIZON if censored else 1.5,
        headline=True,
    )
    risks = patients.risk[None], patients.reference[None]
    samples: list[TargetSamples] = [
        target_samples(
            target, r, np.zeros_like(r, dtype=np.int64), draws, THRESHOLDS, calibrate=False
        )
        for r in risks
    ]
    own, other = samples
    event = seen_by_horizon(target)
    model, reference = (
        Judged(risk=r, event=event, samples=s) for r, s in zip(risks, samples, strict=True)
    )
    found = {
        CURVES[0]: model_band(model, THRESHOLDS, LEVEL),
        CURVES[1]: band_over_default(model, THRESHOLDS, LEVEL),
        CURVES[2]: contrast_band(model, reference, THRESHOLDS, LEVEL),
    }
    resampled = {
        CURVES[0]: own.net_benefit,
        CURVES[1]: own.net_benefit - np.maximum(own.treat_all, 0),
        CURVES[2]: own.net_benefit - other.net_benefit,
    }
    return found, resampled


def holds(band: ThresholdBand, resampled: np.ndarray, truth: np.ndarray) -> tuple[bool, bool]:
    """Whether the band, and the intervals by threshold, hold the curve where there is a band."""
    there = np.array([p.lower is not None for p in band.points])
    lower = np.array([np.nan if p.lower is None else p.lower for p in band.points])[there]
    upper = np.array([np.nan if p.upper is None else p.upper for p in band.points])[there]
    low, high = np.quantile(resampled[1:, there], [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
    wanted = truth[there]
    return (
        bool(((lower <= wanted) & (wanted <= upper)).all()),
        bool(((low <= wanted) & (wanted <= high)).all()),
    )


def coverage(
    *, n: int, replicates: int, resamples: int, censored: bool, seed: int
) -> dict[str, tuple[float, float, float]]:
    """Share of replicates held by band and by intervals, and the mean thresholds with a band."""
    truth = true_curves(censored=censored)
    held: dict[str, list[tuple[bool, bool, int]]] = defaultdict(list)
    for k in range(replicates):
        rng = np.random.default_rng([seed, k])
        patients = simulate(n, rng, censored=censored)
        found, resampled = bands(patients, draw(n, resamples, k), censored=censored)
        for name in CURVES:
            both = holds(found[name], resampled[name], truth[name])
            told = sum(p.lower is not None for p in found[name].points)
            held[name].append((*both, told))
    return {name: tuple(np.mean(rows, axis=0)) for name, rows in held.items()}


def main() -> None:
    """Print the coverage of every curve and size."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--replicates", type=int, default=1000)
    parser.add_argument("--resamples", type=int, default=500)
    parser.add_argument("--seed", type=int, default=20250101)
    given = parser.parse_args()
    print(f"{'':10}{'n':>5}  {'curve':26}{'band':>16}{'by threshold':>16}{'thresholds':>12}")
    for censored in (True, False):
        for n in (200, 400, 1000):
            found = coverage(
                n=n,
                replicates=given.replicates,
                resamples=given.resamples,
                censored=censored,
                seed=given.seed,
            )
            for name, (band, single, told) in found.items():
                shown = [
                    f"{100 * p:.1f} ± {100 * np.sqrt(p * (1 - p) / given.replicates):.1f} %"
                    for p in (band, single)
                ]
                kind = "survival" if censored else "class"
                print(f"{kind:10}{n:>5}  {name:26}{shown[0]:>16}{shown[1]:>16}{told:>12.1f}")


if __name__ == "__main__":
    main()
