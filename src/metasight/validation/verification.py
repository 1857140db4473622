"""Accuracy where the truth was looked for in some patients only, and how wrong that may still be.

Nodes are examined at surgery and not before SBRT. Accuracy among those who were examined says
little of the others, for who is examined depends on what the risk depends on. Three corrections
assume that, given the risk and the covariates, examined and unexamined patients have alike nodes
(missing at random):

Begg–Greenes
    An unexamined patient counts as a case by his probability, from a logistic model of disease
    among the examined (Begg and Greenes, Biometrics 1983;39:207; for a risk and covariates: Alonzo
    and Pepe, Appl Stat 2005;54:173). With one binary test it is their closed form.
Inverse probability weighting
    An examined patient stands for 1/π like himself; π by a logistic model of being examined.
Multiple imputation
    Disease is drawn for the unexamined, from coefficients drawn in their turn; Rubin's rules
    (Harel and Zhou, Stat Med 2006;25:3769).

The assumption cannot be checked. The tipping curve gives it up: the unexamined have exp(δ) times
the odds of disease that it says, and one sees from which δ on a conclusion no longer holds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from scipy.special import expit, logit
from scipy.stats import norm
from scipy.stats import t as student

from metasight.errors import EvaluationError
from metasight.estimate import Estimate
from metasight.rubin import pool_imputations
from metasight.validation.binary import binary_auc
from metasight.validation.links import to_logit
from metasight.validation.ordering import Floats

Method = Literal["naive", "begg_greenes", "inverse_probability", "multiple_imputation"]
METHODS: tuple[Method, ...] = (
    "naive",
    "begg_greenes",
    "inverse_probability",
    "multiple_imputation",
)

_FEWEST = 5
_RIDGE = 0.05  # of standardised coefficients: a resample that separates still has a fit
_NEWTON = 30
_LEAST_PROBABILITY = 0.01
_ALIKE = 1e-6
_EXACT = 1e-9


@dataclass(frozen=True, kw_only=True)
class Verified:
    """Patients with a risk, of whom some were examined.

    Attributes
    ----------
    risk
        The judged model's, in [0, 1], shape ``(n,)``.
    disease
        1 diseased, 0 not, NaN not examined, shape ``(n,)``.
    covariates
        What examination or disease may depend on beside the risk, complete, shape ``(n, p)``.
    """

    risk: Floats
    disease: Floats
    covariates: Floats

    def __post_init__(self) -> None:
        n = len(self.risk)
        if self.disease.shape != (n,) or self.covariates.ndim != 2 or len(self.covariates) != n:
            raise EvaluationError(
                "risk, disease and covariates are of different patients",
                value=f"{n}, {len(self.disease)}, {len(self.covariates)}",
            )
        if not (np.all((self.risk >= 0) & (self.risk <= 1)) and np.isfinite(self.covariates).all()):
            raise EvaluationError("risks lie within [0, 1] and covariates are complete")
        known = self.disease[self.verified]
        if not np.isin(known, (0.0, 1.0)).all():
            raise EvaluationError("disease is 1, 0 or not examined")
        if min(known.sum(), len(known) - known.sum()) < _FEWEST:
            raise EvaluationError(
                "too few examined patients with or without disease for a correction",
                value=f"{int(known.sum())} with, {int(len(known) - known.sum())} without",
                remedy=f"At least {_FEWEST} of each are needed",
            )

    @property
    def verified(self) -> npt.NDArray[np.bool_]:
        """Who was examined."""
        return np.asarray(np.isfinite(self.disease), dtype=np.bool_)


@dataclass(frozen=True, kw_only=True)
class Accuracy:
    """How well a risk tells disease at a threshold, and at all.

    Attributes
    ----------
    method
        How it was corrected.
    threshold
        A patient at or above it counts as positive.
    prevalence, sensitivity, specificity, positive_value, negative_value, auc
        In [0, 1].
    verified, n
        Patients examined, and all.
    effective
        Examined patients that the weights are worth (Kish); the number examined unless weighted.
    """

    method: Method
    threshold: float
    prevalence: Estimate
    sensitivity: Estimate
    specificity: Estimate
    positive_value: Estimate
    negative_value: Estimate
    auc: Estimate
    verified: int
    n: int
    effective: float


MEASURES = (
    "prevalence",
    "sensitivity",
    "specificity",
    "positive_value",
    "negative_value",
    "auc",
)


def corrected_accuracy(
    data: Verified,
    threshold: float,
    method: Method,
    *,
    seed: int,
    resamples: int = 300,
    imputations: int = 50,
    confidence: float = 0.95,
) -> Accuracy:
    """Accuracy in all patients, examined or not.

    Parameters
    ----------
    data
        Patients.
    threshold
        In (0, 1).
    method
        See the module. ``naive`` takes the examined patients alone.
    seed
        Of resampling and imputation.
    resamples
        Of the bootstrap, in which models are fitted again; not for multiple imputation.
    imputations
        Data sets that are drawn.
    confidence
        Of the intervals, which are Wald intervals on the logit.

    Raises
    ------
    EvaluationError
        The threshold is no risk, or some patients were so unlikely to be examined (below 1 %)
        that nobody examined can stand for them.
    """
    if not 0 < threshold < 1:
        raise EvaluationError("a threshold is a risk within (0, 1)", value=str(threshold))
    if method == "multiple_imputation":
        return _by_imputation(data, threshold, seed, imputations, confidence)
    rng = np.random.default_rng([seed, METHODS.index(method)])
    whole = np.ones((1, len(data.risk)))
    cases, controls, effective = _dealt(data, method, whole, strict=True)
    value = _measures(data.risk, threshold, cases, controls)[:, 0]
    n = len(data.risk)
    drawn = rng.multinomial(n, np.full(n, 1 / n), size=resamples).astype(np.float64)
    again = _measures(data.risk, threshold, *_dealt(data, method, drawn, strict=False)[:2])
    z = float(norm.ppf(0.5 + confidence / 2))
    found = _stated(data, method, (threshold, effective), value, z * _spread(again))
    return _with_exact_ends(found, data.risk >= threshold, (cases[0], controls[0]), confidence)


def _stated(
    data: Verified, method: Method, at: tuple[float, float], value: Floats, half: Floats
) -> Accuracy:
    """``at``: the threshold, and the effective number of examined patients."""
    threshold, effective = at
    lower, upper = expit(_held(value) - half), expit(_held(value) + half)
    found = {name: Estimate.of(value[k], lower[k], upper[k]) for k, name in enumerate(MEASURES)}
    return Accuracy(
        method=method,
        threshold=threshold,
        verified=int(data.verified.sum()),
        n=len(data.risk),
        effective=effective,
        **found,
    )


def _with_exact_ends(
    found: Accuracy,
    positive: npt.NDArray[np.bool_],
    dealt: tuple[Floats, Floats],
    confidence: float,
) -> Accuracy:
    """Exact one-sided ends (Clopper and Pearson) where a share is 0 or 1.

    A bootstrap of nothing but successes knows no failure, and its interval has no width.
    """
    cases, controls = dealt
    counts = {
        "prevalence": cases.sum() + controls.sum(),
        "sensitivity": cases.sum(),
        "specificity": controls.sum(),
        "positive_value": (cases + controls)[positive].sum(),
        "negative_value": (cases + controls)[~positive].sum(),
    }
    changed: dict[str, Any] = {}
    for name, count in counts.items():
        own: Estimate = getattr(found, name)
        # weights make more of the examined than they are
        n = min(float(count), float(found.verified))
        if n <= 0 or not (own.value < _EXACT or own.value > 1 - _EXACT):
            continue
        reach = 1 - ((1 - confidence) / 2) ** (1 / n)
        changed[name] = (
            Estimate(value=0.0, lower=0.0, upper=reach)
            if own.value < _EXACT
            else Estimate(value=1.0, lower=1 - reach, upper=1.0)
        )
    return replace(found, **changed)


def _spread(samples: Floats) -> Floats:
    """Standard deviation on the logit over resamples in which a measure is defined; (measures,)."""
    held = _held(samples)
    known = np.isfinite(held)
    n = known.sum(axis=1)
    mean = np.where(known, held, 0.0).sum(axis=1) / np.maximum(n, 1)
    squares = np.where(known, (held - mean[:, None]) ** 2, 0.0).sum(axis=1)
    return np.asarray(np.where(n > 1, np.sqrt(squares / np.maximum(n - 1, 1)), np.nan))


def _held(share: Floats) -> Floats:
    return np.asarray(logit(np.clip(share, 1e-3, 1 - 1e-3)), dtype=np.float64)


# ------------------------------------------------------------------ who counts as what


def _dealt(
    data: Verified, method: Method, weight: Floats, *, strict: bool
) -> tuple[Floats, Floats, float]:
    """How much each patient counts as case and as control, (resamples, n), and effective number."""
    seen = data.verified
    disease = np.where(seen, data.disease, 0.0)
    if method == "naive":
        own = weight * seen
        return own * disease, own * (1 - disease), float(seen.sum())
    x = _design(data)
    if method == "begg_greenes":
        p = _probability(x, disease, weight * seen)
        share = np.where(seen, disease, p)
        return weight * share, weight * (1 - share), float(seen.sum())
    examined = _probability(x, seen.astype(np.float64), weight)
    if strict and examined.min() < _LEAST_PROBABILITY:
        raise EvaluationError(
            "some patients were so unlikely to be examined that no examined patient can represent "
            "them",
            value=f"least probability {examined.min():.4f}",
            remedy="Restrict the population, or rely on the other methods' assumptions",
        )
    own = weight * seen / np.maximum(examined, _LEAST_PROBABILITY)
    effective = float(own[0].sum() ** 2 / (own[0] ** 2).sum())
    return own * disease, own * (1 - disease), effective


def _design(data: Verified) -> Floats:
    """Intercept, logit of the risk, covariates; standardised, constant columns left out."""
    columns = np.column_stack([to_logit(data.risk), data.covariates])
    spread = columns.std(axis=0)
    columns = columns[:, spread > _ALIKE]
    columns = (columns - columns.mean(axis=0)) / columns.std(axis=0)
    return np.column_stack([np.ones(len(columns)), columns])


def _fit(x: Floats, y: Floats, weight: Floats) -> tuple[Floats, Floats]:
    """Coefficients (resamples, p) and information (resamples, p, p) of logistic regressions."""
    p = x.shape[1]
    ridge = np.full(p, _RIDGE)
    ridge[0] = 0.0
    beta = np.zeros((len(weight), p))
    pairs = (x[:, :, None] * x[:, None, :]).reshape(len(x), p * p)
    information = np.zeros((len(weight), p, p))
    for _ in range(_NEWTON):
        mean = expit(beta @ x.T)
        score = (weight * (y - mean)) @ x - ridge * beta
        information = ((weight * mean * (1 - mean)) @ pairs).reshape(-1, p, p) + np.diag(
            np.maximum(ridge, 1e-9)
        )
        step = np.linalg.solve(information, score[..., None])[..., 0]
        size = np.abs(step).max(axis=1, keepdims=True)
        beta = beta + step * np.minimum(1.0, 2.0 / np.maximum(size, 1e-12))
        if size.max() < 1e-8:
            break
    return beta, information


def _probability(x: Floats, y: Floats, weight: Floats) -> Floats:
    return np.asarray(expit(_fit(x, y, weight)[0] @ x.T), dtype=np.float64)


# ------------------------------------------------------------------ measures


def _measures(risk: Floats, threshold: float, cases: Floats, controls: Floats) -> Floats:
    """`MEASURES` of each resample, shape ``(6, resamples)``."""
    positive = risk >= threshold
    n_cases, n_controls = cases.sum(axis=1), controls.sum(axis=1)
    hit, missed = cases[:, positive].sum(axis=1), cases[:, ~positive].sum(axis=1)
    false, right = controls[:, positive].sum(axis=1), controls[:, ~positive].sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.stack(
            [
                n_cases / (n_cases + n_controls),
                hit / n_cases,
                right / n_controls,
                hit / (hit + false),
                right / (right + missed),
                _auc(risk, cases, controls),
            ]
        )


def _auc(risk: Floats, cases: Floats, controls: Floats) -> Floats:
    """Probability that a case's risk is above another patient's who is a control, ties half.

    Patients may be both in part; nobody is compared with himself.
    """
    _, level = np.unique(risk, return_inverse=True)
    order = np.argsort(level, kind="stable")
    starts = np.flatnonzero(np.r_[True, np.diff(level[order]) > 0])
    case = np.add.reduceat(cases[:, order], starts, axis=1)
    control = np.add.reduceat(controls[:, order], starts, axis=1)
    below = np.cumsum(control, axis=1) - control
    own = (cases * controls).sum(axis=1)
    won = (case * (below + control / 2)).sum(axis=1) - own / 2
    pairs = cases.sum(axis=1) * controls.sum(axis=1) - own
    return np.asarray(won / pairs, dtype=np.float64)


# ------------------------------------------------------------------ multiple imputation


def _by_imputation(
    data: Verified, threshold: float, seed: int, imputations: int, confidence: float
) -> Accuracy:
    rng = np.random.default_rng([seed, METHODS.index("multiple_imputation")])
    seen, x = data.verified, _design(data)
    disease = np.where(seen, data.disease, 0.0)
    beta, information = _fit(x, disease, seen[None].astype(np.float64))
    root = np.linalg.cholesky(np.linalg.inv(information[0]))
    drawn = beta + rng.standard_normal((imputations, x.shape[1])) @ root.T
    probability = expit(drawn @ x.T)
    cases = np.where(seen, disease, rng.random(probability.shape) < probability).astype(np.float64)
    value = _measures(data.risk, threshold, cases, 1 - cases)
    within = _complete_variance(data.risk, threshold, cases)
    on_logit = _held(value)
    defined = np.asarray(np.isfinite(on_logit).all(axis=1, keepdims=True))
    on_logit, within = np.where(defined, on_logit, 0.0), np.where(defined, within, 1.0)
    pooled = pool_imputations(on_logit.T, within.T)
    half = student.ppf(0.5 + confidence / 2, pooled.freedom) * np.sqrt(pooled.variance)
    at = (threshold, float(seen.sum()))
    known = np.where(defined[:, 0], expit(pooled.value), np.nan)
    stated = _stated(data, "multiple_imputation", at, known, half)
    share = cases.mean(axis=0)
    return _with_exact_ends(stated, data.risk >= threshold, (share, 1 - share), confidence)


def _complete_variance(risk: Floats, threshold: float, cases: Floats) -> Floats:
    """Variance of each measure's logit in completed data, shape ``(6, imputations)``."""
    positive = risk >= threshold
    controls = 1 - cases
    n_cases, n_controls = cases.sum(axis=1), controls.sum(axis=1)
    hit, false = cases[:, positive].sum(axis=1), controls[:, positive].sum(axis=1)
    right, missed = n_controls - false, n_cases - hit
    n = np.full(len(cases), float(len(risk)))
    rows = [
        (n_cases, n),
        (hit, n_cases),
        (right, n_controls),
        (hit, hit + false),
        (right, right + missed),
    ]
    found = [1 / (a + 0.5) + 1 / (b - a + 0.5) for a, b in rows]
    auc = _auc(risk, cases, controls)
    parts = [_delong_variance(risk, row > 0) for row in cases]
    held = np.clip(auc * (1 - auc), 1e-3, None)
    return np.stack([*found, np.array(parts) / held**2])


def _delong_variance(risk: Floats, case: npt.NDArray[np.bool_]) -> float:
    return binary_auc(risk, case.astype(np.int64)).variance


# ------------------------------------------------------------------ giving the assumption up


@dataclass(frozen=True, kw_only=True)
class TippingCurve:
    """Accuracy when the unexamined are sicker, or healthier, than missing at random says.

    Attributes
    ----------
    delta
        Logarithm of the odds ratio of disease, unexamined to examined, given risk and covariates;
        shape ``(k,)``, with 0 among them.
    threshold
        Risk from which a patient counts as positive.
    value, lower, upper
        Measure → shape ``(k,)``, by Begg–Greenes with δ.
    """

    delta: Floats
    threshold: float
    value: dict[str, Floats]
    lower: dict[str, Floats]
    upper: dict[str, Floats]


def tipping_curve(
    data: Verified,
    threshold: float,
    deltas: Sequence[float] = tuple(np.linspace(-2, 2, 17)),
    *,
    seed: int,
    resamples: int = 300,
    confidence: float = 0.95,
) -> TippingCurve:
    """Accuracy over δ, by Begg–Greenes; the same resamples at every δ.

    Raises
    ------
    EvaluationError
        The deltas do not rise or lack 0.
    """
    delta = np.asarray(deltas, dtype=np.float64)
    if not ((np.diff(delta) > 0).all() and (np.abs(delta) < 1e-9).any()):
        raise EvaluationError("deltas rise, and 0 is among them", value=str(list(deltas)))
    rng = np.random.default_rng([seed, 17])
    n, seen, x = len(data.risk), data.verified, _design(data)
    disease = np.where(seen, data.disease, 0.0)
    drawn = rng.multinomial(n, np.full(n, 1 / n), size=resamples).astype(np.float64)
    weight = np.concatenate([np.ones((1, n)), drawn])
    linear = _fit(x, disease, weight * seen)[0] @ x.T
    z = float(norm.ppf(0.5 + confidence / 2))
    value, half = np.zeros((len(MEASURES), len(delta))), np.zeros((len(MEASURES), len(delta)))
    for k, d in enumerate(delta):
        share = np.where(seen, disease, expit(linear + d))
        found = _measures(data.risk, threshold, weight * share, weight * (1 - share))
        value[:, k] = found[:, 0]
        half[:, k] = z * _spread(found[:, 1:])
    return TippingCurve(
        delta=delta,
        threshold=threshold,
        value={m: value[k] for k, m in enumerate(MEASURES)},
        lower={m: expit(_held(value[k]) - half[k]) for k, m in enumerate(MEASURES)},
        upper={m: expit(_held(value[k]) + half[k]) for k, m in enumerate(MEASURES)},
    )
