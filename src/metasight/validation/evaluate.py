"""The evaluation of one endpoint from its predictions alone.

Conventions, printed by the report:

- C and AUC compare only patients predicted by the same fitted model (same repeat and fold) and
  are averaged over repeats; G is estimated on all patients.
- Calibration, Brier score and net benefit are computed within each repeat, pooled over its folds,
  and averaged over repeats.
- Intervals resample patients, the same resamples for all models and repeats. **They do not refit
  the models**: they describe the given predictions in new patients like these, and leave out the
  variation of model fitting, which instability and repeats show.
- Differences between models are paired: the same patients in every resample.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from metasight.errors import EvaluationError
from metasight.predictions import NODAL_LABELS, Predictions
from metasight.validation.binary import delong_within
from metasight.validation.bootstrap import Draws, draw, to_metric
from metasight.validation.calibration import d_calibration, risk_groups
from metasight.validation.centre_results import CentreEvaluation, CentreGap
from metasight.validation.compare import bootstrap_contrast
from metasight.validation.curve_samples import curve_samples
from metasight.validation.curves import censoring_survival, median_follow_up
from metasight.validation.decision_bands import Judged, contrast_band, decision_curve
from metasight.validation.group_curves import group_curves
from metasight.validation.ipcw import require_horizon, require_tau
from metasight.validation.nested_cv import nested_contrast
from metasight.validation.ordering import CENSORED, COMPETING, EVENT, Floats
from metasight.validation.refitted import fold_contrast
from metasight.validation.results import (
    Calibration,
    CalibrationGroup,
    Comparison,
    ContrastMetric,
    DataSummary,
    DCalibration,
    DeLong,
    Evaluation,
    EvaluationPlan,
    FoldContrastMetric,
    ModelEvaluation,
    NetBenefitContrast,
    NotEstimable,
    RiskDistribution,
    TargetContrast,
    TargetEvaluation,
)
from metasight.validation.samples import (
    N_GROUPS,
    ModelSamples,
    TargetSamples,
    concordance_samples,
    model_samples,
)
from metasight.validation.subgroups import (
    evaluate_by_centre,
    evaluate_subgroups,
    headline_target,
    target_events,
)
from metasight.validation.table import Aligned, ModelRisks, Target, align

NO_PAIR = "no pair of patients of one fold can be compared"
NO_FIT = "the calibration model has no maximum: constant risks or complete separation"


def evaluate(
    predictions: Predictions,
    plan: EvaluationPlan,
    *,
    pairs: Mapping[str, pd.DataFrame] | None = None,
) -> Evaluation:
    """Judge every model of one endpoint on the same patients and resamples.

    Parameters
    ----------
    predictions
        Out-of-fold or external predictions; the kind of endpoint is read from them.
    plan
        Fixed beforehand.
    pairs
        Of models that were also fitted without pairs of folds
        (:func:`metasight.validation.nested_cv.nested_contrast`).

    Returns
    -------
    Evaluation
        Every number with its interval, or the reason why there is none. Intervals resample
        patients and do not refit models.

    Raises
    ------
    EvaluationError
        Survival without tau; a headline horizon that is refused (past the follow-up, no events,
        censoring survival below the floor); a reference or headline model without predictions;
        one class only.
    """
    aligned = align(predictions, plan)
    _check(aligned, plan)
    draws = draw(aligned.n, plan.n_bootstrap, plan.seed)
    limits = tuple(sorted(plan.thresholds))
    samples = {
        name: model_samples(aligned, model, draws, plan.tau_days, limits)
        for name, model in aligned.models.items()
    }
    return Evaluation(
        endpoint=plan.endpoint,
        kind=aligned.kind,
        settings=plan.settings(),
        data=_summary(aligned, plan),
        models={name: _model(aligned, name, samples[name], draws, plan) for name in samples},
        comparisons=tuple(
            _comparison(aligned, name, samples, plan, pairs=pairs or {})
            for name in samples
            if name != plan.reference_model
        ),
        further=tuple(
            _comparison(aligned, plan.headline_model, samples, plan, against=name)
            for name in plan.also_against
            if name in samples
        ),
        notes=_notes(aligned, plan),
    )


def _check(aligned: Aligned, plan: EvaluationPlan) -> None:
    for name in (plan.reference_model, plan.headline_model):
        if name not in aligned.models:
            raise EvaluationError(
                "a model of the plan has no predictions",
                where=plan.endpoint,
                value=name,
                remedy=f"Predicted: {', '.join(aligned.models)}",
            )
    if aligned.kind == "nodal":
        if len(np.unique(aligned.stage)) < 2 or 0 not in aligned.stage:
            raise EvaluationError(
                "one class only",
                where=plan.endpoint,
                value=", ".join(NODAL_LABELS[k] for k in np.unique(aligned.stage)),
                remedy="The evaluation needs patients with and without nodal metastasis",
            )
        return
    require_tau(plan.tau_days)
    for target in aligned.targets:
        if target.headline:
            require_horizon(
                target.data.time,
                target.data.status,
                target.horizon,
                min_censoring_survival=plan.min_censoring_survival,
            )


def _summary(aligned: Aligned, plan: EvaluationPlan) -> DataSummary:
    data = aligned.data
    nodal = aligned.kind == "nodal"
    curve = censoring_survival(data.time, data.status)
    stages = {
        label: int((aligned.stage == k).sum()) for k, label in enumerate(NODAL_LABELS) if nodal
    }
    return DataSummary(
        n_patients=aligned.n,
        n_unobserved=aligned.n_unobserved,
        n_events=int((data.status == EVENT).sum()),
        n_competing=int((data.status == COMPETING).sum()),
        n_censored=0 if nodal else int((data.status == CENSORED).sum()),
        n_repeats=max(m.ranking.shape[0] for m in aligned.models.values()),
        n_folds=aligned.n_folds,
        n_centres=len(set(aligned.centre) - {""}),
        median_followup_days=None if nodal else median_follow_up(data.time, data.status),
        censoring_survival={}
        if nodal
        else {str(h): float(curve.at(h)) for h in plan.horizons_days},
        events_by_horizon={t.name: target_events(t)[0] for t in aligned.targets if t.headline},
        class_counts=stages,
    )


def _model(
    aligned: Aligned, name: str, samples: ModelSamples, draws: Draws, plan: EvaluationPlan
) -> ModelEvaluation:
    level = plan.confidence
    model = aligned.models[name]
    nodal = aligned.kind == "nodal"
    not_nodal = NotEstimable(not_estimable="not defined for nodal stage")
    c = to_metric(samples.harrell, level, NO_PAIR)
    few = "fewer than two horizons are predicted up to tau"
    return ModelEvaluation(
        model=name,
        ranking="expected nodal stage" if nodal else f"risk by {max(plan.horizons_days)} days",
        harrell_c=not_nodal if nodal else c,
        uno_c=not_nodal if nodal else to_metric(samples.uno, level, NO_PAIR),
        ordinal_c=c if nodal else NotEstimable(not_estimable="defined for nodal stage only"),
        integrated_brier=not_nodal if nodal else to_metric(samples.integrated_brier, level, few),
        integrated_ipa=not_nodal if nodal else to_metric(samples.integrated_ipa, level, few),
        targets=tuple(
            _target(
                aligned,
                t,
                model.risk[:, k],
                samples=samples.targets[t.name],
                draws=draws,
                plan=plan,
            )
            for k, t in enumerate(aligned.targets)
            if t.headline
        ),
        d_calibration=_d_calibration(aligned, model),
        centres=evaluate_by_centre(
            aligned, name, draws, plan, in_full=aligned.external and _leads(name, plan)
        ),
        subgroups=evaluate_subgroups(aligned, name, draws, plan, plan.subgroups),
        by_missing=evaluate_subgroups(aligned, name, draws, plan, plan.missing)
        if _leads(name, plan)
        else (),
        by_risk=group_curves(
            aligned,
            name,
            headline_target(aligned),
            draws,
            tau=plan.tau_days,
            confidence=level,
        )
        if name == plan.headline_model and plan.tau_days is not None
        else (),
    )


def _leads(name: str, plan: EvaluationPlan) -> bool:
    """Whether a model is one of the two that the report leads with."""
    return name in {plan.reference_model, plan.headline_model}


def _target(
    aligned: Aligned,
    target: Target,
    risk: Floats,
    *,
    samples: TargetSamples,
    draws: Draws,
    plan: EvaluationPlan,
) -> TargetEvaluation:
    level = plan.confidence
    no_event = "no patient with, or none without, the event"
    counts, edges = np.histogram(risk, bins=20, range=(0.0, 1.0))
    return TargetEvaluation(
        target=target.name,
        horizon_days=target.horizon_days,
        auc=to_metric(samples.auc, level, NO_PAIR),
        brier=to_metric(samples.brier, level, no_event),
        brier_null=to_metric(samples.brier_null, level, no_event),
        ipa=to_metric(samples.ipa, level, no_event),
        calibration=_calibration(aligned, target, risk, samples=samples, draws=draws, plan=plan),
        decision_curve=decision_curve(
            Judged.at(target, risk, samples), tuple(sorted(plan.thresholds)), level
        ),
        distribution=RiskDistribution(
            edges=tuple(edges.tolist()), counts=tuple(int(c) for c in counts)
        ),
    )


def _calibration(
    aligned: Aligned,
    target: Target,
    risk: Floats,
    *,
    samples: TargetSamples,
    draws: Draws,
    plan: EvaluationPlan,
) -> Calibration:
    level = plan.confidence
    curve, (ici, e50, e90, emax) = curve_samples(
        target, risk, draws[: 1 + plan.n_curve_bootstrap], aligned.kind, level
    )
    members = np.stack([risk_groups(r, N_GROUPS) for r in risk])
    groups = []
    for g in range(N_GROUPS):
        inside = members == g
        if inside.any(axis=1).all():
            groups.append(
                CalibrationGroup(
                    n=float(inside.sum(axis=1).mean()),
                    mean_predicted=float(np.mean([r[m].mean() for r, m in zip(risk, inside)])),  # noqa: B905
                    observed=to_metric(samples.groups[:, g], level, "an empty group"),
                )
            )
    return Calibration(
        oe=to_metric(samples.oe, level, "no risk is predicted"),
        intercept=to_metric(samples.intercept, level, NO_FIT),
        slope=to_metric(samples.slope, level, NO_FIT),
        ici=ici,
        e50=e50,
        e90=e90,
        emax=emax,
        curve=curve,
        groups=tuple(groups),
    )


def _d_calibration(aligned: Aligned, model: ModelRisks) -> DCalibration | NotEstimable:
    """D-calibration with follow-up cut at the last predicted horizon.

    Survival at a patient's own time is read between predicted horizons with a constant hazard.
    """
    if aligned.kind != "survival":
        return NotEstimable(not_estimable="defined for a single survival endpoint only")
    horizons = np.array([t.horizon for t in aligned.targets])
    if horizons.size < 3:
        return NotEstimable(
            not_estimable=f"{horizons.size} predicted horizons; reading survival between them "
            "needs three"
        )
    data = aligned.data
    event = np.empty(data.n, dtype=np.int64)
    time = np.empty(data.n)
    event[data.order] = (data.status == EVENT) & (data.time <= horizons[-1])
    time[data.order] = np.minimum(data.time, horizons[-1])
    grid = np.concatenate([[0.0], horizons])
    parts = []
    for risk in model.risk:
        hazard = -np.log1p(-np.clip(risk, 0, 1 - 1e-12))
        hazard = np.maximum.accumulate(np.vstack([np.zeros(data.n), hazard]), axis=0)
        own = np.array([np.interp(t, grid, h) for t, h in zip(time, hazard.T, strict=True)])
        parts.append(d_calibration(np.exp(-own), event))
    return DCalibration(
        bins=tuple(np.mean([p.bins for p in parts], axis=0).tolist()),
        chisq=float(np.mean([p.chisq for p in parts])),
        p=float(np.median([p.p for p in parts])),
    )


def _comparison(
    aligned: Aligned,
    name: str,
    samples: dict[str, ModelSamples],
    plan: EvaluationPlan,
    *,
    against: str | None = None,
    pairs: Mapping[str, pd.DataFrame] | None = None,
) -> Comparison:
    """A model against the plan's reference, or another."""
    reference = against or plan.reference_model
    a, b = samples[name], samples[reference]
    nodal = aligned.kind == "nodal"
    c = _contrast(a.harrell, b.harrell, plan)
    not_nodal = NotEstimable(not_estimable="not defined for nodal stage")
    return Comparison(
        model=name,
        reference=reference,
        headline=name == plan.headline_model,
        harrell_c=not_nodal if nodal else c,
        uno_c=not_nodal if nodal else _contrast(a.uno, b.uno, plan),
        ordinal_c=c if nodal else NotEstimable(not_estimable="defined for nodal stage only"),
        integrated_ipa=not_nodal if nodal else _contrast(a.integrated_ipa, b.integrated_ipa, plan),
        targets=tuple(
            _target_contrast(
                t,
                Judged.at(t, aligned.models[name].risk[:, k], a.targets[t.name]),
                Judged.at(t, aligned.models[reference].risk[:, k], b.targets[t.name]),
                plan,
                _delong(aligned, k, (name, reference), plan),
            )
            for k, t in enumerate(aligned.targets)
            if t.headline
        ),
        refitted=_refitted(aligned, name, c, (a, b), plan, pairs=pairs or {})
        if against is None
        else NotEstimable(not_estimable="computed for the increment only"),
    )


def _refitted(
    aligned: Aligned,
    name: str,
    c: ContrastMetric,
    samples: tuple[ModelSamples, ModelSamples],
    plan: EvaluationPlan,
    *,
    pairs: Mapping[str, pd.DataFrame],
) -> FoldContrastMetric:
    """The difference in C with an interval that counts the fitting: nested where it can be."""
    if isinstance(c, NotEstimable):
        return c
    if name in pairs:
        nested = nested_contrast(aligned, name, c.difference, pairs, plan)
        if not isinstance(nested, NotEstimable):
            return nested
    by_fold = (samples[0].by_fold, samples[1].by_fold)
    return fold_contrast(aligned, name, c.difference, by_fold, plan)


def _target_contrast(
    target: Target,
    model: Judged,
    reference: Judged,
    plan: EvaluationPlan,
    delong: DeLong | NotEstimable,
) -> TargetContrast:
    a, b = model.samples, reference.samples
    limits = tuple(sorted(plan.thresholds))
    return TargetContrast(
        target=target.name,
        horizon_days=target.horizon_days,
        auc=_contrast(a.auc, b.auc, plan),
        brier=_contrast(a.brier, b.brier, plan, higher_is_better=False),
        ipa=_contrast(a.ipa, b.ipa, plan),
        net_benefit=tuple(
            NetBenefitContrast(
                threshold=threshold,
                contrast=_contrast(a.net_benefit[:, k], b.net_benefit[:, k], plan),
            )
            for k, threshold in enumerate(limits)
        ),
        net_benefit_band=contrast_band(model, reference, limits, plan.confidence),
        delong=delong,
    )


def _delong(
    aligned: Aligned, k: int, pair: tuple[str, str], plan: EvaluationPlan
) -> DeLong | NotEstimable:
    """DeLong's test at the ``k``-th threshold of nodal stage."""
    if aligned.kind != "nodal":
        return NotEstimable(not_estimable="defined for a class only")
    a, b = (aligned.models[name] for name in pair)
    if not np.array_equal(a.strata, b.strata):
        return NotEstimable(not_estimable="the models were fitted in other folds")
    above = (aligned.stage >= k + 1).astype(np.int64)
    try:
        test = delong_within(
            a.risk[:, k], b.risk[:, k], above, a.strata, confidence=plan.confidence
        )
    except EvaluationError as error:
        return NotEstimable(not_estimable=error.problem)
    return DeLong(difference=test.difference, lower=test.lower, upper=test.upper, p=test.p)


def _contrast(
    a: Floats, b: Floats, plan: EvaluationPlan, *, higher_is_better: bool = True
) -> ContrastMetric:
    gap = a - b
    return bootstrap_contrast(
        float(gap[0]), gap[1:], confidence=plan.confidence, higher_is_better=higher_is_better
    )


def _notes(aligned: Aligned, plan: EvaluationPlan) -> tuple[str, ...]:
    notes = [
        "Models were not refitted in the resamples of patients.",
        "C and AUC compare only patients predicted by the same fitted model (same repeat and "
        "fold) and are averaged over repeats.",
    ]
    if aligned.n_dropped:
        notes.append(
            f"{aligned.n_dropped} patients were excluded because not every model predicts them."
        )
    if aligned.n_unobserved:
        notes.append(
            f"{aligned.n_unobserved} patients were excluded because their outcome was not observed."
        )
    if aligned.kind == "competing":
        notes.append(
            "Competing events are not censored: observed risk is the Aalen-Johansen cumulative "
            "incidence, and C is Wolbers' for competing risks."
        )
    return tuple(notes)


def evaluate_centres(predictions: Predictions, plan: EvaluationPlan) -> CentreEvaluation:
    """Judge predictions whose fold is the held-out centre, centre by centre.

    Parameters
    ----------
    predictions
        Leave-one-centre-out: every patient predicted by a model that saw none of his centre.
    plan
        As for :func:`evaluate`.

    Raises
    ------
    EvaluationError
        A fold holds patients of more than one centre, or as :func:`evaluate`.
    """
    aligned = align(predictions, plan)
    _check(aligned, plan)
    for name, model in aligned.models.items():
        for strata in model.strata:
            pairs = {(int(s), str(c)) for s, c in zip(strata, aligned.centre, strict=True)}
            if len(pairs) > len({s for s, _ in pairs}):
                raise EvaluationError(
                    "a fold holds more than one centre",
                    where=f"model {name}",
                    remedy="Give predictions from leave-one-centre-out folds",
                )
    draws = draw(aligned.n, plan.n_bootstrap, plan.seed)
    return CentreEvaluation(
        endpoint=plan.endpoint,
        kind=aligned.kind,
        settings=plan.settings(),
        models={
            name: evaluate_by_centre(aligned, name, draws, plan, in_full=_leads(name, plan))
            for name in aligned.models
        },
        notes=(
            "Each centre is evaluated with a model that saw none of its patients.",
            f"Centres are pooled at {headline_target(aligned).name} by REML with Hartung-Knapp "
            "intervals.",
        ),
    )


def centre_gap(
    random_folds: Predictions, left_out: Predictions, plan: EvaluationPlan
) -> tuple[CentreGap, ...]:
    """Discrimination in random folds minus that in left-out centres, for each shared model.

    Only pairs of one centre are compared on both sides, so that the difference is not one of
    telling centres apart.

    Parameters
    ----------
    random_folds, left_out
        The same endpoint and patients.
    plan
        As for :func:`evaluate`.

    Raises
    ------
    EvaluationError
        The two tables are of different patients.
    """
    a, b = align(random_folds, plan), align(left_out, plan)
    if a.n != b.n or not (a.patients == b.patients).all():
        raise EvaluationError(
            "random folds and left-out centres are of different patients",
            where=plan.endpoint,
            value=f"{a.n} and {b.n}",
            remedy="Predict the same patients in both schemes",
        )
    draws = draw(a.n, plan.n_bootstrap, plan.seed)
    out = []
    for name in [m for m in a.models if m in b.models]:
        c = [
            concordance_samples(x, _within_centre(x, name), draws, plan.tau_days, censoring=False)
            for x in (a, b)
        ]
        out.append(
            CentreGap(
                model=name,
                measure="ordinal c-index within centre"
                if a.kind == "nodal"
                else "Harrell's C within centre",
                random_folds=to_metric(c[0], plan.confidence, NO_PAIR),
                left_out_centres=to_metric(c[1], plan.confidence, NO_PAIR),
                gap=_contrast(c[0], c[1], plan),
            )
        )
    return tuple(out)


def _within_centre(aligned: Aligned, name: str) -> ModelRisks:
    model = aligned.models[name]
    centre = np.unique(aligned.centre.astype(str), return_inverse=True)[1]
    strata = [
        np.unique(s * (centre.max() + 1) + centre, return_inverse=True)[1] for s in model.strata
    ]
    return ModelRisks(
        risk=model.risk, ranking=model.ranking, strata=np.stack(strata).astype(np.int64)
    )
