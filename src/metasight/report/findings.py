"""What the intervals allow to be said about the headline, and no more."""

from __future__ import annotations

from metasight.estimate import Estimate
from metasight.report.blocks import Strong, Text
from metasight.report.decision_curves import DEFAULT, headline_differences
from metasight.report.view import (
    View,
    at_target,
    discrimination,
    discrimination_contrast,
    discrimination_name,
)
from metasight.report.wording import (
    NBSP,
    above_chance,
    contrast,
    contrast_over_folds,
    count,
    covers,
    excludes_zero,
    listed,
    metric,
    number,
    points,
)
from metasight.validation.fold_contrast import FoldContrast
from metasight.validation.results import (
    Comparison,
    Contrast,
    NotEstimable,
    TargetEvaluation,
)
from metasight.validation.threshold_band import ThresholdBand


def findings(view: View) -> list[Text]:
    """Sentences that say what the intervals allow to be said, and no more."""
    told: list[Text] = [*signal(view)]
    if view.has_increment:
        told += _increment(view)
    return [*told, *_decisions(view)]


def _decisions(view: View) -> list[Text]:
    """At which thresholds a simultaneous band of net benefit excludes zero, one target each."""
    told: list[Text] = []
    for k, target in enumerate(view.evaluation.models[view.lead].targets):
        parts = [
            _against(name, band)
            for name, band in headline_differences(view, k).items()
            if band.critical is not None
        ]
        if parts:
            level = 100 * target.decision_curve.band.confidence
            told.append(
                f"The net benefit of “{view.lead}” {at_target(target)} is {'; it is '.join(parts)} "
                f"(simultaneous {level:g}{NBSP}% bands over the protocol’s thresholds)."
            )
    return told


def _against(name: str, band: ThresholdBand) -> str:
    against = name if name == DEFAULT else f"“{name}”"
    parts = [
        f"{word} than that of {against} at {_threshold_words(at)}"
        for word, at in (("higher", band.above_zero), ("lower", band.below_zero))
        if at
    ]
    return " and ".join(parts) or f"at no threshold distinguishable from that of {against}"


def _threshold_words(at: tuple[float, ...]) -> str:
    """``a threshold of 10 %``, ``thresholds of 10 and 20 %``."""
    return ("a threshold of " if len(at) == 1 else "thresholds of ") + points(at)


def signal(view: View) -> list[Text]:
    """Whether the headline model tells patients apart at all, and beats one risk for everybody."""
    model = view.evaluation.models[view.lead]
    name = discrimination_name(view.kind)
    lead = discrimination(model, view.kind)
    if isinstance(lead, NotEstimable):
        return [
            (
                Strong("Discrimination could not be estimated"),
                f" for “{view.lead}”: {lead.not_estimable}.",
            )
        ]
    told: list[Text] = []
    shown = f"{name} {metric(lead)}"
    if lead.lower is None or lead.upper is None:
        told.append(
            f"“{view.lead}” has {shown} without an interval: too few resamples could be "
            "evaluated, so it is unknown whether it ranks patients better than chance."
        )
    elif covers(lead, 0.5):
        told.append(
            (
                Strong("There is hardly any signal."),
                f" “{view.lead}” has {shown}: the interval includes 0.5, so there is no "
                "evidence that it ranks patients better than chance.",
            )
        )
    elif lead.upper < 0.5:
        told.append(
            (
                Strong("The model ranks patients in the wrong order."),
                f" “{view.lead}” has {shown}, below 0.5.",
            )
        )
    else:
        told.append((f"“{view.lead}” ranks patients better than chance: {shown}.",))
    chance = [t for t in model.targets if covers(t.auc, 0.5)]
    if chance and not covers(lead, 0.5):
        told.append(
            f"Its AUC is not distinguishable from 0.5 {listed(at_target(t) for t in chance)}."
        )
    told += _accuracy(view.lead, model.targets)
    return told


def _accuracy(name: str, targets: tuple[TargetEvaluation, ...]) -> list[Text]:
    unclear, worse = [], []
    for t in targets:
        if isinstance(t.ipa, Estimate) and t.ipa.lower is not None and t.ipa.upper is not None:
            shown = f"IPA {metric(t.ipa, 1, scale=100)}{NBSP}% {at_target(t)}"
            if t.ipa.upper < 0:
                worse.append(shown)
            elif t.ipa.lower <= 0:
                unclear.append(shown)
    told: list[Text] = []
    if worse:
        told.append(
            f"The risks of “{name}” are less accurate than the same risk for every patient: "
            f"{listed(worse)}."
        )
    if unclear:
        told.append(
            f"There is no evidence that the risks of “{name}” are more accurate than the same "
            f"risk for every patient: {listed(unclear)}; the interval includes zero."
        )
    return told


def _increment(view: View) -> list[Text]:
    found = view.headline_comparison
    if found is None:
        return [f"“{view.lead}” could not be compared with “{view.reference}”."]
    name = discrimination_name(view.kind)
    gap = discrimination_contrast(found, view.kind)
    if isinstance(gap, NotEstimable):
        return [f"The increment over “{view.reference}” is not estimable: {gap.not_estimable}."]
    shown = f"{name} {contrast(gap)}"
    refitted = found.refitted
    sign = excludes_zero(gap)
    if sign and isinstance(refitted, FoldContrast) and refitted.lower <= 0 <= refitted.upper:
        return [
            (
                Strong(f"The increment over “{view.reference}” is not established"),
                f": difference in {shown} in these fitted models, but fitting to other patients "
                f"moves it: {contrast_over_folds(refitted)}.",
            ),
            *_others(found),
        ]
    text: Text
    if sign > 0 and not above_chance(discrimination(view.evaluation.models[view.lead], view.kind)):
        text = (
            f"The difference to “{view.reference}” in {shown} excludes zero, but “{view.lead}” "
            "does not itself rank patients better than chance, so this difference is not "
            "interpreted."
        )
    elif sign > 0:
        text = (
            Strong(f"“{view.lead}” discriminates better than “{view.reference}”"),
            f": difference in {shown}; the interval excludes zero.",
        )
    elif sign < 0:
        text = (
            Strong(f"“{view.lead}” discriminates worse than “{view.reference}”"),
            f": difference in {shown}; the interval excludes zero.",
        )
    else:
        text = (
            Strong(
                f"There is no evidence that “{view.lead}” discriminates better than "
                f"“{view.reference}”"
            ),
            f": difference in {shown}. The interval includes zero: the data are compatible "
            f"with anything from a change of {number(gap.lower, 3, signed=True)} to one of "
            f"{number(gap.upper, 3, signed=True)}.",
        )
    return [text, *_others(found)]


def _others(found: Comparison) -> list[Text]:
    total = 0
    better: list[str] = []
    worse: list[str] = []
    for target in found.targets:
        for name, c in (("AUC", target.auc), ("IPA", target.ipa)):
            total += isinstance(c, Contrast)
            sign = excludes_zero(c)
            if sign:
                (better if sign > 0 else worse).append(f"{name} {at_target(target)}")
    if not total:
        return []
    told = f"Of the {total} further differences in AUC and IPA, "
    parts = []
    if better:
        parts.append(
            f"{count(len(better))} favour{'s' if len(better) == 1 else ''} it with an "
            f"interval that excludes zero ({listed(better)})"
        )
    if worse:
        parts.append(
            f"{count(len(worse))} favour{'s' if len(worse) == 1 else ''} the reference "
            f"({listed(worse)})"
        )
    told += listed(parts) if parts else "none has an interval that excludes zero"
    return [told + "; no correction was made for multiple comparisons."]
