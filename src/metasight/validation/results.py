"""What an evaluation says: the plan it followed and the tree of numbers it found.

Every number stands beside its interval, or a stated reason why there is none::

    Evaluation
    ├── settings: EvaluationSettings        what was asked (no patient ids)
    ├── data: DataSummary                   patients, events, follow-up, censoring survival
    ├── models: {name: ModelEvaluation}
    │   ├── harrell_c, uno_c, integrated_brier, integrated_ipa   (survival)
    │   ├── ordinal_c                                            (nodal stage)
    │   ├── targets: (TargetEvaluation, …)  one a horizon, or one a threshold (N1 or worse, …)
    │   │   ├── auc, brier, brier_null, ipa, distribution
    │   │   ├── calibration: Calibration    O/E, slope, ICI…, curve with band, grouped fifths
    │   │   └── decision_curve: DecisionCurve
    │   ├── d_calibration
    │   ├── centres: CentreSummary          by centre, pooled by REML
    │   ├── subgroups: (SubgroupEvaluation, …)
    │   └── by_missing: (SubgroupEvaluation, …)   by what patients lack
    └── comparisons: (Comparison, …)        every model against the reference model

A metric is a :class:`metasight.estimate.Estimate` or a :class:`NotEstimable`, never NaN.
``to_json`` and ``from_json`` are inverse (:mod:`metasight.validation.json_tree`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from metasight.errors import EvaluationError
from metasight.estimate import Estimate
from metasight.formats import KEY, require_format, with_format
from metasight.validation.fold_contrast import FoldContrast
from metasight.validation.group_curve import GroupCurve
from metasight.validation.json_tree import from_jsonable, to_jsonable
from metasight.validation.threshold_band import ThresholdBand

Kind = Literal["survival", "competing", "nodal"]
FORMAT = 5
"""Of an evaluation as JSON."""
DEFAULT_THRESHOLDS = (0.05, 0.10, 0.15, 0.20, 0.25, 0.30, 0.40, 0.50)


@dataclass(frozen=True, kw_only=True)
class EvaluationPlan:
    """What to evaluate and how, fixed before the predictions are looked at.

    Attributes
    ----------
    endpoint
        One endpoint of the predictions.
    horizons_days
        Headline horizons, each predicted; empty for nodal stage.
    tau_days
        Upper limit of follow-up for Uno's C and integrated scores; required for survival.
    reference_model
        The clinical model that every other model is compared with.
    headline_model
        The model whose increment over the reference is the headline.
    also_against
        Further models that the headline model is compared with.
    thresholds
        Risk thresholds of the decision curves, in (0, 1).
    n_bootstrap
        Patient resamples for the intervals of metrics and contrasts.
    n_curve_bootstrap
        Resamples for the band of the smoothed calibration curve and ICI; each fits a model.
    seed
        Seed of the resamples; the same seed gives the same intervals.
    confidence
        Level of every interval.
    subgroups
        ``{variable: {patient: level}}``; a patient without a level is in no group.
    missing
        The same by what a patient lacks; judged for the reference and the headline model.
    min_group_events
        A subgroup or centre with fewer events (or fewer non-events) is stated not estimable.
    min_censoring_survival
        A horizon where the censoring survival G is below this is refused.

    Raises
    ------
    EvaluationError
        A threshold or level outside (0, 1), or too few resamples for an interval.
    """

    endpoint: str
    horizons_days: tuple[int, ...] = ()
    tau_days: float | None = None
    reference_model: str
    headline_model: str
    also_against: tuple[str, ...] = ()
    thresholds: tuple[float, ...] = DEFAULT_THRESHOLDS
    n_bootstrap: int = 500
    n_curve_bootstrap: int = 100
    seed: int = 20250101
    confidence: float = 0.95
    subgroups: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    missing: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    min_group_events: int = 10
    min_censoring_survival: float = 0.1

    def __post_init__(self) -> None:
        if any(not 0 < t < 1 for t in self.thresholds):
            raise EvaluationError(
                "a decision threshold is a risk",
                value=str(self.thresholds),
                remedy="Give thresholds in (0, 1)",
            )
        if not 0 < self.confidence < 1:
            raise EvaluationError(
                "the confidence level is a probability",
                value=str(self.confidence),
                remedy="Give a level in (0, 1), such as 0.95",
            )
        if self.n_bootstrap < 20 or self.n_curve_bootstrap < 20:
            raise EvaluationError(
                "too few bootstrap resamples for an interval",
                value=f"{self.n_bootstrap}, {self.n_curve_bootstrap}",
                remedy="Ask for 20 or more; 500 for a report",
            )

    def settings(self) -> EvaluationSettings:
        """Return the plan as the result carries it: without the patients of the subgroups."""
        return EvaluationSettings(
            endpoint=self.endpoint,
            horizons_days=tuple(self.horizons_days),
            tau_days=self.tau_days,
            reference_model=self.reference_model,
            headline_model=self.headline_model,
            thresholds=tuple(self.thresholds),
            n_bootstrap=self.n_bootstrap,
            n_curve_bootstrap=self.n_curve_bootstrap,
            seed=self.seed,
            confidence=self.confidence,
            subgroups=tuple(self.subgroups),
            min_group_events=self.min_group_events,
            min_censoring_survival=self.min_censoring_survival,
        )


@dataclass(frozen=True, kw_only=True)
class EvaluationSettings:
    """The plan as it was followed; see :class:`EvaluationPlan`. Names no patient."""

    endpoint: str
    horizons_days: tuple[int, ...]
    tau_days: float | None
    reference_model: str
    headline_model: str
    thresholds: tuple[float, ...]
    n_bootstrap: int
    n_curve_bootstrap: int
    seed: int
    confidence: float
    subgroups: tuple[str, ...]
    min_group_events: int
    min_censoring_survival: float


@dataclass(frozen=True, kw_only=True)
class NotEstimable:
    """A number that the data cannot give, and why."""

    not_estimable: str


Metric = Estimate | NotEstimable


@dataclass(frozen=True, kw_only=True)
class Contrast:
    """Model minus reference, on the same resamples of the same patients.

    Attributes
    ----------
    difference
        Model minus reference. Higher is better for C, AUC, IPA and net benefit, lower for Brier.
    lower, upper
        Bootstrap percentile interval.
    probability_better
        Share of resamples in which the model is better than the reference (ties count half).
    """

    difference: float
    lower: float
    upper: float
    probability_better: float


ContrastMetric = Contrast | NotEstimable


FoldContrastMetric = FoldContrast | NotEstimable


@dataclass(frozen=True, kw_only=True)
class DataSummary:
    """Who was evaluated.

    Attributes
    ----------
    n_patients
        Patients with predictions and an observed outcome.
    n_unobserved
        Patients left out because the outcome was not observed (nodes not examined).
    n_events, n_competing, n_censored
        Over the whole follow-up; for nodal stage events are N1 or worse and the others are 0.
    n_repeats, n_folds, n_centres
        Of the cross-fitting; ``n_folds`` is the number of distinct (repeat, fold) pairs.
    median_followup_days
        Reverse Kaplan–Meier; ``None`` for nodal stage or where it is not reached.
    censoring_survival
        G at each headline horizon, keyed by days as text.
    events_by_horizon
        Events by each headline horizon (or at each threshold), keyed by the target's name.
    class_counts
        Patients at each nodal stage; empty for survival.
    """

    n_patients: int
    n_unobserved: int
    n_events: int
    n_competing: int
    n_censored: int
    n_repeats: int
    n_folds: int
    n_centres: int
    median_followup_days: float | None
    censoring_survival: dict[str, float]
    events_by_horizon: dict[str, int]
    class_counts: dict[str, int]


@dataclass(frozen=True, kw_only=True)
class CalibrationCurve:
    """Smoothed observed risk against predicted risk, averaged over repeats.

    Attributes
    ----------
    method
        How it was smoothed.
    predicted
        Grid of predicted risk from the 1st to the 99th percentile.
    observed
        Smoothed observed risk at the grid.
    lower, upper
        Pointwise bootstrap band.
    """

    method: str
    predicted: tuple[float, ...]
    observed: tuple[float, ...]
    lower: tuple[float, ...]
    upper: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class CalibrationGroup:
    """Patients of like predicted risk (a fifth), averaged over repeats.

    ``observed`` is 1 − Kaplan–Meier, Aalen–Johansen, or a proportion, with its bootstrap interval.
    """

    n: float
    mean_predicted: float
    observed: Metric


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """Do predicted and observed risks agree? Ideal: O/E 1, intercept 0, slope 1, ICI 0.

    Attributes
    ----------
    oe
        Observed over expected events by the horizon.
    intercept
        Calibration in the large (log-odds, or log cumulative hazard), slope fixed at 1.
    slope
        Slope on the logit (nodal) or complementary log-log (survival) of the predicted risk.
    ici, e50, e90, emax
        Mean, median, 90th percentile and maximum of |smoothed observed − predicted|.
    curve
        The smoothed curve.
    groups
        Fifths of predicted risk.
    """

    oe: Metric
    intercept: Metric
    slope: Metric
    ici: Metric
    e50: Metric
    e90: Metric
    emax: Metric
    curve: CalibrationCurve | NotEstimable
    groups: tuple[CalibrationGroup, ...]


@dataclass(frozen=True, kw_only=True)
class DecisionPoint:
    """Net benefit at one threshold, per patient; treating none has net benefit 0.

    ``treated`` is the share of patients at or above the threshold.
    """

    threshold: float
    net_benefit: Metric
    treat_all: Metric
    treated: float


@dataclass(frozen=True, kw_only=True)
class DecisionCurve:
    """Net benefit across thresholds: intervals at each, and bands that hold over all of them.

    ``band`` is of the model, ``over_default`` of its difference to the better of treating all and
    treating none.
    """

    points: tuple[DecisionPoint, ...]
    band: ThresholdBand
    over_default: ThresholdBand


@dataclass(frozen=True, kw_only=True)
class RiskDistribution:
    """Histogram of predicted risk over all repeats: ``counts[i]`` lies in ``edges[i : i + 2]``."""

    edges: tuple[float, ...]
    counts: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class TargetEvaluation:
    """One model at one horizon (survival) or one threshold of nodal stage.

    Attributes
    ----------
    target
        ``"1826 days"``, or ``"N1 or worse"``, ``"N2"``.
    horizon_days
        ``None`` for nodal stage.
    auc
        Cumulative/dynamic AUC with IPCW (survival, competing), or the binary AUC. Pairs are
        compared within a repeat and fold only.
    brier, brier_null
        Brier score of the model and of one risk for everybody (Kaplan–Meier, Aalen–Johansen or
        prevalence in these patients).
    ipa
        1 − brier / brier_null; 0 is no better than one risk for everybody.
    """

    target: str
    horizon_days: int | None
    auc: Metric
    brier: Metric
    brier_null: Metric
    ipa: Metric
    calibration: Calibration
    decision_curve: DecisionCurve
    distribution: RiskDistribution


@dataclass(frozen=True, kw_only=True)
class DCalibration:
    """Uniformity of the survival probabilities at the event times (Haider 2020).

    ``bins`` are expected counts in ten bins of predicted survival, high to low survival reversed
    (first bin: 0–0.1); ``p`` is of the chi-square with the bins less one degrees of freedom,
    averaged over repeats by its median.
    """

    bins: tuple[float, ...]
    chisq: float
    p: float


@dataclass(frozen=True, kw_only=True)
class CentreEstimate:
    """One centre's own numbers; patients of other centres played no part in them.

    ``slope``, ``ipa`` and ``net_benefit`` (at each threshold of the plan, ascending) are computed
    for reference and headline model in left-out or external centres.
    """

    centre: str
    n: int
    events: int
    discrimination: Metric
    oe: Metric
    slope: Metric
    ipa: Metric
    net_benefit: tuple[Metric, ...]


@dataclass(frozen=True, kw_only=True)
class Pooled:
    """Random-effects summary of centres (REML, Hartung–Knapp).

    Attributes
    ----------
    value, lower, upper
        Average over centres and its Hartung–Knapp interval.
    prediction_lower, prediction_upper
        Where a new centre's value is expected; ``None`` with fewer than three centres.
    tau2, i2
        Between-centre variance on the pooling scale, and its share of the total (0–1).
    k
        Centres pooled.
    scale
        ``logit`` for C and AUC, ``log`` for O/E, ``identity`` for slope, IPA and net benefit.
    """

    value: float
    lower: float
    upper: float
    prediction_lower: float | None
    prediction_upper: float | None
    tau2: float
    i2: float
    k: int
    scale: str


@dataclass(frozen=True, kw_only=True)
class CentreSummary:
    """Estimates by centre and their pooling.

    ``measure`` names the discrimination measure (Harrell's C, or AUC of N1 or worse);
    ``net_benefit`` is pooled at each threshold of the plan, ascending.
    """

    measure: str
    target: str
    centres: tuple[CentreEstimate, ...]
    discrimination: Pooled | NotEstimable
    oe: Pooled | NotEstimable
    slope: Pooled | NotEstimable
    ipa: Pooled | NotEstimable
    net_benefit: tuple[Pooled | NotEstimable, ...]


@dataclass(frozen=True, kw_only=True)
class SubgroupEvaluation:
    """One level of one variable, judged by the same metrics at the headline target.

    Each metric is ``NotEstimable`` where the group has too few events or non-events.
    ``difference`` is of discrimination, and ``oe_ratio`` the ratio of O/E, to the level
    ``against``: of the levels that can be judged the one with most events, for which it is empty.
    """

    variable: str
    level: str
    n: int
    events: int
    discrimination: Metric
    auc: Metric
    oe: Metric
    ipa: Metric
    against: str
    difference: ContrastMetric
    oe_ratio: Metric


@dataclass(frozen=True, kw_only=True)
class ModelEvaluation:
    """Everything found about one model.

    Attributes
    ----------
    harrell_c
        Harrell's C up to tau; with competing events Wolbers' C (a competing event never has the
        event).
        ``NotEstimable`` for nodal stage.
    uno_c
        Uno's C up to tau (IPCW); with competing events the IPCW version of Wolbers' C.
    ordinal_c
        Generalised c-index of the expected stage; ``NotEstimable`` for survival.
    integrated_brier, integrated_ipa
        Over the predicted horizons from 0 to tau, divided by the last horizon (trapezoid).
    ranking
        What C ranks patients by.
    by_risk
        Cumulative incidence by thirds of risk; of the headline model only.
    by_missing
        By what patients lack; of the reference and the headline model only.
    """

    model: str
    ranking: str
    harrell_c: Metric
    uno_c: Metric
    ordinal_c: Metric
    integrated_brier: Metric
    integrated_ipa: Metric
    targets: tuple[TargetEvaluation, ...]
    d_calibration: DCalibration | NotEstimable
    centres: CentreSummary | NotEstimable
    subgroups: tuple[SubgroupEvaluation, ...]
    by_risk: tuple[GroupCurve, ...] = ()
    by_missing: tuple[SubgroupEvaluation, ...] = ()


@dataclass(frozen=True, kw_only=True)
class NetBenefitContrast:
    """Difference in net benefit at one threshold."""

    threshold: float
    contrast: ContrastMetric


@dataclass(frozen=True, kw_only=True)
class DeLong:
    """DeLong's test of a difference in AUC, patients compared within a fold only."""

    difference: float
    lower: float
    upper: float
    p: float


@dataclass(frozen=True, kw_only=True)
class TargetContrast:
    """A model minus the reference at one horizon or threshold of nodal stage.

    ``delong`` stands beside the bootstrap of ``auc`` for a class; ``net_benefit_band`` holds the
    difference in net benefit at all thresholds at once.
    """

    target: str
    horizon_days: int | None
    auc: ContrastMetric
    brier: ContrastMetric
    ipa: ContrastMetric
    net_benefit: tuple[NetBenefitContrast, ...]
    net_benefit_band: ThresholdBand
    delong: DeLong | NotEstimable


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """A model minus the reference; ``headline`` marks the plan's headline model.

    ``refitted`` is the difference in the leading C with an interval that counts the fitting.
    """

    model: str
    reference: str
    headline: bool
    harrell_c: ContrastMetric
    uno_c: ContrastMetric
    ordinal_c: ContrastMetric
    integrated_ipa: ContrastMetric
    targets: tuple[TargetContrast, ...]
    refitted: FoldContrastMetric = NotEstimable(not_estimable="computed for the increment only")


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """The evaluation of one endpoint; see the module's docstring for the tree.

    ``comparisons`` are of every model with the plan's reference, ``further`` of the headline model
    with other references. ``notes`` are sentences the report must print beside the numbers.
    """

    endpoint: str
    kind: Kind
    settings: EvaluationSettings
    data: DataSummary
    models: dict[str, ModelEvaluation]
    comparisons: tuple[Comparison, ...]
    notes: tuple[str, ...]
    further: tuple[Comparison, ...] = ()

    def to_json(self) -> dict[str, object]:
        """Return the format, plain dicts, lists, text and numbers; NaN becomes null."""
        return with_format(to_jsonable(self), FORMAT)

    @classmethod
    def from_json(cls, data: Mapping[str, object]) -> Evaluation:
        """Read what :meth:`to_json` gave.

        Raises
        ------
        StoreError
            It was written in another format.
        EvaluationError
            A field is missing or unknown.
        """
        require_format(data.get(KEY), FORMAT, file="evaluation")
        return from_jsonable(cls, {k: v for k, v in data.items() if k != KEY})
