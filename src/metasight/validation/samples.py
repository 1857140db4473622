"""Every metric of one model under every resample: the raw material of intervals and contrasts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from metasight.validation.bootstrap import (
    Draws,
    HorizonSamples,
    resampled_concordance,
    resampled_horizon,
)
from metasight.validation.brier import integrated_brier
from metasight.validation.calibration import risk_groups
from metasight.validation.calibration_bootstrap import (
    resampled_hazard,
    resampled_logistic,
    resampled_shift,
)
from metasight.validation.discrimination import pair_order
from metasight.validation.links import to_cloglog, to_logit
from metasight.validation.ordering import Floats, Ints, follow_up
from metasight.validation.table import Aligned, ModelRisks, Target

N_GROUPS = 5


@dataclass(frozen=True, kw_only=True)
class TargetSamples:
    """Metrics at one target, averaged over repeats; first the point, then the resamples.

    Shape ``(1 + B,)``, or ``(1 + B, k)`` for ``net_benefit``, ``treat_all`` and ``groups``; NaN
    where a resample has no value. Calibration terms are NaN throughout where not asked for.
    """

    auc: Floats
    brier: Floats
    brier_null: Floats
    ipa: Floats
    oe: Floats
    intercept: Floats
    slope: Floats
    net_benefit: Floats
    treat_all: Floats
    groups: Floats


@dataclass(frozen=True, kw_only=True)
class ModelSamples:
    """Metrics of one model, averaged over repeats; shapes as :class:`TargetSamples`.

    ``harrell`` and ``uno`` are truncated at tau; ``by_fold`` is the former within each fold of each
    repeat, on the patients as they are, NaN where no pair can be compared. ``harrell`` is the
    ordinal c-index for nodal stage, where ``uno`` and the integrated scores are NaN.
    """

    harrell: Floats
    by_fold: Floats
    uno: Floats
    integrated_brier: Floats
    integrated_ipa: Floats
    targets: dict[str, TargetSamples]


def concordance_samples(
    aligned: Aligned, model: ModelRisks, draws: Draws, tau: float | None, *, censoring: bool
) -> Floats:
    """C within folds under each row of weights, averaged over repeats."""
    time, status = in_order(aligned)
    total = np.zeros(draws.shape[0])
    for ranking, strata in zip(model.ranking, model.strata, strict=True):
        order = pair_order(time, status, ranking, strata)
        total += resampled_concordance(draws, aligned.data, order, tau=tau, censoring=censoring)
    return np.asarray(total / model.ranking.shape[0])


def _concordance_by_fold(aligned: Aligned, model: ModelRisks, tau: float | None) -> Floats:
    time, status = in_order(aligned)
    found = []
    for ranking, strata in zip(model.ranking, model.strata, strict=True):
        for fold in range(int(strata.max()) + 1):
            inside = strata == fold
            data = follow_up(time[inside], status[inside])
            order = pair_order(time[inside], status[inside], ranking[inside])
            once = np.ones((1, data.n), dtype=np.int32)
            c = resampled_concordance(once, data, order, tau=tau, censoring=False)
            found.append(float(c[0]))
    return np.array(found)


def in_order(aligned: Aligned) -> tuple[Floats, Ints]:
    """Time and status in the order of the patients."""
    data = aligned.data
    time, status = np.empty(data.n), np.empty(data.n, dtype=np.int64)
    time[data.order], status[data.order] = data.time, data.status
    return time, status


def target_samples(
    target: Target,
    risk: Floats,
    strata: Ints,
    draws: Draws,
    thresholds: tuple[float, ...],
    *,
    calibrate: bool,
) -> TargetSamples:
    """Metrics at one target under each row of weights, averaged over repeats.

    Parameters
    ----------
    target
        Horizon or threshold.
    risk, strata
        Shape ``(repeats, n)``.
    draws
        Shape ``(m, n)``, patients in the aligned order.
    thresholds
        Of net benefit; ascending.
    calibrate
        Whether to fit intercept and slope in every resample.
    """
    order = target.data.order
    by_time = np.ascontiguousarray(draws[:, order])
    parts: list[HorizonSamples] = []
    slopes, intercepts = [], []
    for r, s in zip(risk, strata, strict=True):
        parts.append(
            resampled_horizon(
                by_time,
                target.data,
                r[order],
                target.horizon,
                strata=s[order],
                thresholds=thresholds,
                groups=risk_groups(r, N_GROUPS)[order],
            )
        )
        if calibrate:
            intercept, slope = _weak_calibration(target, r[order], by_time, parts[-1])
            intercepts.append(intercept)
            slopes.append(slope)
    nothing = [np.full(draws.shape[0], np.nan)]
    return TargetSamples(
        auc=_mean([p.auc for p in parts]),
        brier=_mean([p.brier for p in parts]),
        brier_null=_mean([p.brier_null for p in parts]),
        ipa=_mean([p.ipa for p in parts]),
        oe=_mean([p.oe for p in parts]),
        intercept=_mean(intercepts or nothing),
        slope=_mean(slopes or nothing),
        net_benefit=_mean([p.net_benefit for p in parts]),
        treat_all=_mean([p.treat_all for p in parts]),
        groups=_mean([_padded(p.group_observed) for p in parts]),
    )


def _mean(parts: list[Floats]) -> Floats:
    return np.asarray(np.mean(parts, axis=0))


def _padded(groups: Floats) -> Floats:
    out = np.full((groups.shape[0], N_GROUPS), np.nan)
    out[:, : groups.shape[1]] = groups
    return out


def _weak_calibration(
    target: Target, risk: Floats, by_time: Draws, part: HorizonSamples
) -> tuple[Floats, Floats]:
    """Intercept (slope 1) and slope under each row of weights; the slope of constant risks is NaN.

    Follow-up is cut at the horizon: what happens later says nothing of the risk by then.
    """
    missing = np.full(by_time.shape[0], np.nan)
    flat = float(np.ptp(risk)) < 1e-12
    if target.horizon_days is None:
        y = (target.data.status == 1).astype(np.float64)
        x = to_logit(risk)
        none = np.empty((y.size, 0))
        large = resampled_logistic(by_time, y, none, offset=x).intercept
        slope = missing if flat else resampled_logistic(by_time, y, x[:, None]).coef[:, 0]
        return large, slope
    x = to_cloglog(risk)
    large = resampled_shift(by_time, x, np.asarray(part.observed))
    if flat:
        return large, missing
    known = target.data.censored_at(target.horizon)
    fit = resampled_hazard(by_time, known, x[:, None], target.horizon)
    return large, fit.coef[:, 0]


def model_samples(
    aligned: Aligned,
    model: ModelRisks,
    draws: Draws,
    tau: float | None,
    thresholds: tuple[float, ...],
) -> ModelSamples:
    """Every metric of one model under each row of weights."""
    survival = aligned.kind != "nodal"
    missing = np.full(draws.shape[0], np.nan)
    targets = {
        t.name: target_samples(
            t,
            model.risk[:, k],
            model.strata,
            draws,
            thresholds if t.headline else (),
            calibrate=t.headline,
        )
        for k, t in enumerate(aligned.targets)
    }
    integrated, null = missing, missing
    if survival and tau is not None:
        kept = [t for t in aligned.targets if t.horizon <= tau]
        if len(kept) > 1:
            integrated = _integral(kept, [targets[t.name].brier for t in kept])
            null = _integral(kept, [targets[t.name].brier_null for t in kept])
    uno = missing
    if survival:
        uno = concordance_samples(aligned, model, draws, tau, censoring=True)
    return ModelSamples(
        harrell=concordance_samples(aligned, model, draws, tau, censoring=False),
        by_fold=_concordance_by_fold(aligned, model, tau),
        uno=uno,
        integrated_brier=integrated,
        # A resample without an event has no null score to compare with: no value, not infinity.
        integrated_ipa=1 - integrated / np.where(null > 0, null, np.nan),
        targets=targets,
    )


def _integral(targets: list[Target], scores: list[Floats]) -> Floats:
    times = np.array([t.horizon for t in targets])
    stacked = np.stack(scores)
    return np.array([integrated_brier(times, column, tau=float(times[-1])) for column in stacked.T])
