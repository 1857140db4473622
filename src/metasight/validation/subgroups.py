"""The same metrics in parts of the cohort: subgroups and centres.

A part with too few events says so. Its patients are judged on their own: G, Kaplan–Meier and the
null model are those of the part, and pairs are compared within it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from metasight.errors import EvaluationError
from metasight.estimate import Estimate
from metasight.validation.bootstrap import Draws, to_metric
from metasight.validation.centres import Scale, pool_centres
from metasight.validation.compare import bootstrap_contrast
from metasight.validation.ipcw import require_horizon
from metasight.validation.ordering import EVENT, Floats
from metasight.validation.results import (
    CentreEstimate,
    CentreSummary,
    ContrastMetric,
    EvaluationPlan,
    Metric,
    NotEstimable,
    Pooled,
    SubgroupEvaluation,
)
from metasight.validation.samples import TargetSamples, concordance_samples, target_samples
from metasight.validation.table import Aligned, ModelRisks, Target

NOT_ASKED = NotEstimable(
    not_estimable="computed for reference and headline model in left-out or external centres"
)


def headline_target(aligned: Aligned) -> Target:
    """Target of subgroups and centres: the longest headline horizon, or N1 or worse."""
    return aligned.targets[headline_number(aligned)]


def headline_number(aligned: Aligned) -> int:
    """Number of that target among all."""
    numbers = [k for k, t in enumerate(aligned.targets) if t.headline]
    return numbers[0] if aligned.kind == "nodal" else numbers[-1]


def target_events(target: Target) -> tuple[int, int]:
    """Events by the horizon, and patients known not to have had one by it."""
    data = target.data
    event = int(((data.status == EVENT) & (data.time <= target.horizon)).sum())
    free = int(((data.time > target.horizon) | (data.status == 2)).sum())
    return event, free


def refusal(part: Aligned, plan: EvaluationPlan) -> NotEstimable | None:
    """Why a part of the cohort can't be evaluated; ``None`` if it can."""
    target = headline_target(part)
    events, free = target_events(target)
    floor = plan.min_group_events
    if min(events, free) < floor:
        return NotEstimable(
            not_estimable=f"{events} events and {free} non-events by {target.name}; "
            f"{floor} of each are needed"
        )
    try:
        require_horizon(
            target.data.time,
            target.data.status,
            target.horizon,
            min_censoring_survival=plan.min_censoring_survival,
        )
    except EvaluationError as error:
        return NotEstimable(not_estimable=error.problem)
    return None


def _subset_model(aligned: Aligned, name: str) -> tuple[ModelRisks, int]:
    target = headline_target(aligned)
    index = [t.name for t in aligned.targets].index(target.name)
    return aligned.models[name], index


@dataclass(frozen=True, kw_only=True)
class PartSamples:
    """C, and the measures at the headline target, of one model in one part in every resample."""

    discrimination: Floats
    target: TargetSamples


@dataclass(frozen=True, kw_only=True)
class PartMetrics:
    """One model in one part at the headline target.

    ``discrimination`` is C; ``slope`` and ``net_benefit`` (at each threshold, ascending) where
    they were asked for.
    """

    discrimination: Metric
    auc: Metric
    oe: Metric
    ipa: Metric
    slope: Metric
    net_benefit: tuple[Metric, ...]


def part_samples(
    part: Aligned, name: str, draws: Draws, plan: EvaluationPlan, *, in_full: bool = False
) -> PartSamples | NotEstimable:
    """Every resample of one model in one part, or why the part can't be evaluated.

    ``in_full`` adds slope and net benefit.
    """
    why = refusal(part, plan)
    if why is not None:
        return why
    limits = tuple(sorted(plan.thresholds)) if in_full else ()
    target = headline_target(part)
    model, k = _subset_model(part, name)
    return PartSamples(
        discrimination=concordance_samples(part, model, draws, plan.tau_days, censoring=False),
        target=target_samples(
            target, model.risk[:, k], model.strata, draws, limits, calibrate=in_full
        ),
    )


def part_metrics(
    samples: PartSamples | NotEstimable, plan: EvaluationPlan, *, in_full: bool = False
) -> PartMetrics:
    """C, AUC, O/E and IPA of one model in one part; ``in_full`` slope and net benefit as well."""
    n_limits = len(plan.thresholds) if in_full else 0
    if isinstance(samples, NotEstimable):
        why: Metric = samples
        return PartMetrics(
            discrimination=why,
            auc=why,
            oe=why,
            ipa=why,
            slope=why if in_full else NOT_ASKED,
            net_benefit=(why,) * n_limits,
        )
    at, level = samples.target, plan.confidence
    reason = "no pair of patients of one fold can be compared"
    flat = "the risks are constant or the calibration model has no maximum"
    rate = "no event rate at or above the threshold"
    return PartMetrics(
        discrimination=to_metric(samples.discrimination, level, reason),
        auc=to_metric(at.auc, level, reason),
        oe=to_metric(at.oe, level, "no risk is predicted"),
        ipa=to_metric(at.ipa, level, "no event is predicted or observed"),
        slope=to_metric(at.slope, level, flat) if in_full else NOT_ASKED,
        net_benefit=tuple(to_metric(at.net_benefit[:, j], level, rate) for j in range(n_limits)),
    )


def evaluate_subgroups(
    aligned: Aligned,
    name: str,
    draws: Draws,
    plan: EvaluationPlan,
    groups: Mapping[str, Mapping[str, str]],
) -> tuple[SubgroupEvaluation, ...]:
    """Metrics of one model in every level of every variable of ``groups``, as the plan has them.

    Levels of one variable are compared on the resamples of all patients, so that the interval of a
    difference counts that a resample holds more of one level and fewer of another.
    """
    out: list[SubgroupEvaluation] = []
    for variable, levels in groups.items():
        of = np.array([levels.get(str(p), "") for p in aligned.patients], dtype=object)
        inside = {str(level): of == level for level in sorted(set(of) - {""})}
        parts = {level: aligned.subset(keep) for level, keep in inside.items()}
        events = {v: target_events(headline_target(part))[0] for v, part in parts.items()}
        samples = {
            v: part_samples(part, name, draws[:, inside[v]], plan) for v, part in parts.items()
        }
        judged = [v for v, found in samples.items() if isinstance(found, PartSamples)]
        against = max(judged, key=lambda v: events[v]) if judged else ""
        for level, part in parts.items():
            found = part_metrics(samples[level], plan)
            difference, ratio = _beside(samples, level, against, plan)
            out.append(
                SubgroupEvaluation(
                    variable=variable,
                    level=level,
                    n=part.n,
                    events=events[level],
                    discrimination=found.discrimination,
                    auc=found.auc,
                    oe=found.oe,
                    ipa=found.ipa,
                    against="" if level == against else against,
                    difference=difference,
                    oe_ratio=ratio,
                )
            )
    return tuple(out)


def _beside(
    samples: Mapping[str, PartSamples | NotEstimable],
    level: str,
    against: str,
    plan: EvaluationPlan,
) -> tuple[ContrastMetric, Metric]:
    """Difference in C and ratio of O/E of one level to another."""
    own, other = samples[level], samples.get(against)
    if isinstance(own, NotEstimable):
        return own, own
    if level == against or not isinstance(other, PartSamples):
        nothing = NotEstimable(not_estimable="the level that others are compared with")
        return nothing, nothing
    gap = own.discrimination - other.discrimination
    difference = bootstrap_contrast(
        float(gap[0]), gap[1:], confidence=plan.confidence, higher_is_better=True
    )
    below = np.where(other.target.oe > 0, other.target.oe, np.nan)
    ratio = to_metric(own.target.oe / below, plan.confidence, "no event in one of the levels")
    return difference, ratio


def evaluate_by_centre(
    aligned: Aligned, name: str, draws: Draws, plan: EvaluationPlan, *, in_full: bool = False
) -> CentreSummary | NotEstimable:
    """One model centre by centre, pooled by REML with Hartung–Knapp (ad hoc correction).

    A centre's C is pooled on the logit and its O/E on the log scale, slope, IPA and net benefit
    (``in_full``) as they are, with bootstrap standard errors; a centre that is not estimable is
    listed but not pooled.
    """
    names = sorted(set(aligned.centre) - {""})
    if len(names) < 2:
        return NotEstimable(not_estimable=f"{len(names)} centre; pooling needs two")
    rows = [_centre(aligned, str(c), name, draws, plan, in_full=in_full) for c in names]
    measure = "ordinal c-index" if aligned.kind == "nodal" else "Harrell's C"
    level = plan.confidence
    return CentreSummary(
        measure=measure,
        target=headline_target(aligned).name,
        centres=tuple(rows),
        discrimination=_pool([r.discrimination for r in rows], "logit", level),
        oe=_pool([r.oe for r in rows], "log", level),
        slope=_pool([r.slope for r in rows], "identity", level) if in_full else NOT_ASKED,
        ipa=_pool([r.ipa for r in rows], "identity", level) if in_full else NOT_ASKED,
        net_benefit=tuple(
            _pool([r.net_benefit[j] for r in rows], "identity", level)
            for j in range(len(rows[0].net_benefit))
        ),
    )


def _centre(
    aligned: Aligned,
    centre: str,
    name: str,
    draws: Draws,
    plan: EvaluationPlan,
    *,
    in_full: bool,
) -> CentreEstimate:
    keep: npt.NDArray[np.bool_] = aligned.centre == centre
    part = aligned.subset(keep)
    events, _ = target_events(headline_target(part))
    samples = part_samples(part, name, draws[:, keep], plan, in_full=in_full)
    found = part_metrics(samples, plan, in_full=in_full)
    return CentreEstimate(
        centre=centre,
        n=part.n,
        events=events,
        discrimination=found.discrimination,
        oe=found.oe,
        slope=found.slope,
        ipa=found.ipa if in_full else NOT_ASKED,
        net_benefit=found.net_benefit,
    )


_RANGE: Mapping[Scale, tuple[float, float]] = {
    "logit": (0.0, 1.0),
    "log": (0.0, np.inf),
    "identity": (-np.inf, np.inf),
}
"""Between which values a measure can be put on a scale."""


def _pool(metrics: list[Metric], scale: Scale, confidence: float) -> Pooled | NotEstimable:
    low, high = _RANGE[scale]
    usable = [
        (m.value, m.se)
        for m in metrics
        if isinstance(m, Estimate) and m.se is not None and m.se > 0 and low < m.value < high
    ]
    if len(usable) < 2:
        return NotEstimable(
            not_estimable=f"{len(usable)} of {len(metrics)} centres have an estimate; "
            "pooling needs two"
        )
    values, errors = zip(*usable, strict=True)
    return pool_centres(values, errors, scale=scale, confidence=confidence, ad_hoc=True)
