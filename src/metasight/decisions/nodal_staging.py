"""Invasive mediastinal staging before treatment: the guideline's rule beside the model's risk.

The rule (De Leyn et al., Eur J Cardiothorac Surg 2014;45:787, and NCCN alike): after PET/CT
without suspicious nodes, invasive staging may be left out where the tumour is peripheral and no
larger than 3 cm; it is done where the tumour is central or larger, or a node is PET-positive. The
risk is what the model says of the same patient: of any node, of N1 and of N2, since the rule and
EBUS concern the mediastinum alone. Nothing is advised: both are shown, with what they rest on, and
they are held against each other only at a risk that the protocol names.

After a negative EBUS the risk of N2 falls by Bayes' theorem. How far rests on the test's
sensitivity for mediastinal nodes that PET does not show, which is low and not well known: it is an
input, with an interval, and says nothing of a patient whose PET shows a node or who had none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from metasight.errors import EvaluationError
from metasight.estimate import Estimate

Rule = Literal["optional", "indicated", "unknown"]

NOT_A_DEVICE = (
    "Research software, not a medical device: it does not replace staging by a tumour board."
)


@dataclass(frozen=True, kw_only=True)
class StagingLimits:
    """What the rule and the update rest on; a protocol may say otherwise.

    Attributes
    ----------
    largest_peripheral_mm
        A tumour up to this size is small.
    thresholds
        Risks of nodal disease at which the study looks, rising, in (0, 1).
    sensitivity, sensitivity_lower, sensitivity_upper
        Of EBUS for nodal disease in patients whose nodes are negative on PET. The interval is of
        what is assumed, not of an estimate.
    specificity
        Of EBUS; a cytological false positive is rare.
    mediastinal_threshold
        Risk of N2 at which the team would stage invasively; None where the protocol names none,
        and rule and risk are then not held against each other.
    """

    largest_peripheral_mm: float = 30.0
    thresholds: tuple[float, ...] = (0.05, 0.10, 0.15, 0.20)
    sensitivity: float = 0.40
    sensitivity_lower: float = 0.25
    sensitivity_upper: float = 0.55
    specificity: float = 1.0
    mediastinal_threshold: float | None = None

    def __post_init__(self) -> None:
        ends = (self.sensitivity_lower, self.sensitivity, self.sensitivity_upper)
        if not (0 <= ends[0] <= ends[1] <= ends[2] <= 1 and 0 < self.specificity <= 1):
            raise EvaluationError(
                "a test's sensitivity lies within its interval, and all within [0, 1]",
                value=f"{ends}, specificity {self.specificity}",
            )
        chosen = self.mediastinal_threshold
        if chosen is not None and not 0 < chosen < 1:
            raise EvaluationError("a risk lies within (0, 1)", value=str(chosen))
        rising = all(a < b for a, b in zip(self.thresholds, self.thresholds[1:], strict=False))
        inside = all(0 < t < 1 for t in self.thresholds)
        if not (self.largest_peripheral_mm > 0 and rising and inside and self.thresholds):
            raise EvaluationError(
                "thresholds rise within (0, 1), and a size is above 0 mm",
                value=str(self.thresholds),
            )

    @classmethod
    def from_table(cls, table: Mapping[str, float], thresholds: tuple[float, ...]) -> StagingLimits:
        """From a protocol's ``[nodal_staging]`` and its endpoint's thresholds.

        Raises
        ------
        EvaluationError
            An entry is missing or unknown.
        """
        names = {
            "largest_peripheral_mm": "largest_peripheral_mm",
            "ebus_sensitivity": "sensitivity",
            "ebus_sensitivity_lower": "sensitivity_lower",
            "ebus_sensitivity_upper": "sensitivity_upper",
            "ebus_specificity": "specificity",
        }
        optional = "mediastinal_threshold"
        if set(table) - {optional} != set(names):
            raise EvaluationError(
                "entries are missing or unknown",
                where="protocol [nodal_staging]",
                value=", ".join(sorted((set(table) - {optional}) ^ set(names))),
                remedy=f"It has {', '.join(names)}, and may have {optional}",
            )
        given = {ours: float(table[theirs]) for theirs, ours in names.items()}
        chosen = float(table[optional]) if optional in table else None
        return cls(thresholds=tuple(sorted(thresholds)), mediastinal_threshold=chosen, **given)


@dataclass(frozen=True, kw_only=True)
class GuidelineAnswer:
    """What the rule says of a patient.

    Attributes
    ----------
    verdict
        ``optional``, ``indicated``, or ``unknown`` where what is missing would decide.
    reasons
        One a fact that decided, or that is missing.
    """

    verdict: Rule
    reasons: tuple[str, ...]


def guideline(
    size_mm: float | None,
    central: bool | None,
    pet_positive_node: bool | None,
    limits: StagingLimits,
    *,
    central_means: str = "",
) -> GuidelineAnswer:
    """The rule for one patient; None is not known.

    Parameters
    ----------
    size_mm
        Longest diameter of the whole tumour.
    central
        By the protocol's definition.
    pet_positive_node
        A hilar or mediastinal node with suspicious uptake; None without PET/CT.
    central_means
        What is called central here: definitions differ, and the guideline gives none.
    """
    if size_mm is not None and not size_mm > 0:
        raise EvaluationError("a tumour's size is above 0 mm", value=str(size_mm))
    most = limits.largest_peripheral_mm
    against = []
    if pet_positive_node:
        against.append("a node is positive on PET")
    if central:
        against.append(f"the tumour is central{_as(central_means)}")
    if size_mm is not None and size_mm > most:
        against.append(f"the tumour measures {size_mm:.0f} mm, above {most:.0f} mm")
    if against:
        return GuidelineAnswer(verdict="indicated", reasons=tuple(against))
    facts = {
        "the tumour's size": size_mm,
        "whether it is central": central,
        "PET/CT of the nodes": pet_positive_node,
    }
    missing = tuple(f"{name} is not known" for name, value in facts.items() if value is None)
    if missing:
        return GuidelineAnswer(verdict="unknown", reasons=missing)
    return GuidelineAnswer(
        verdict="optional",
        reasons=(
            f"peripheral{_as(central_means)}, {size_mm:.0f} mm (at most {most:.0f} mm), nodes "
            "negative on PET",
        ),
    )


def _as(meaning: str) -> str:
    return f" (central as defined here: {meaning})" if meaning else ""


def require_risk(risk: Estimate) -> tuple[float, float]:
    """Ends of a probability's interval: lower ≤ value ≤ upper, all within [0, 1].

    Raises
    ------
    EvaluationError
        It has no interval, or lies outside it or outside [0, 1].
    """
    if risk.lower is None or risk.upper is None:
        raise EvaluationError("a risk is not shown without its interval")
    if not 0 <= risk.lower <= risk.value <= risk.upper <= 1:
        raise EvaluationError(
            "a risk lies within its interval, and that within [0, 1]",
            value=f"{risk.lower}, {risk.value}, {risk.upper}",
        )
    return risk.lower, risk.upper


def after_negative(risk: float, sensitivity: float, specificity: float) -> float:
    """Probability of disease after a negative test, by Bayes' theorem.

    Examples
    --------
    >>> round(after_negative(0.20, 0.40, 1.0), 4)
    0.1304
    """
    missed = risk * (1 - sensitivity)
    negative = missed + (1 - risk) * specificity
    return missed / negative if negative > 0 else 0.0


def after_negative_ebus(risk: Estimate, limits: StagingLimits) -> Estimate:
    """Risk that remains after a negative EBUS.

    The interval takes the worst of both: the risk's upper end with the lowest sensitivity, and
    the reverse. It is wider than a 95 % interval of the product would be.
    """
    lower, upper = require_risk(risk)
    spec = limits.specificity
    return Estimate(
        value=after_negative(risk.value, limits.sensitivity, spec),
        lower=after_negative(lower, limits.sensitivity_upper, spec),
        upper=after_negative(upper, limits.sensitivity_lower, spec),
    )


@dataclass(frozen=True, kw_only=True)
class NodalRisks:
    """Probabilities of one patient, each with its interval.

    Attributes
    ----------
    any_node
        Of N1 or N2.
    n1, n2
        Of N1 as the highest stage, and of N2. None where only the risk of any node is known.
    """

    any_node: Estimate
    n1: Estimate | None = None
    n2: Estimate | None = None


@dataclass(frozen=True, kw_only=True)
class StagingView:
    """Rule and risk of one patient, side by side.

    Attributes
    ----------
    rule
        The guideline's.
    risks
        By the model; None where it abstains.
    abstains
        Why there is no risk; empty where there is one.
    above
        Per threshold whether the risk of any node is at or above it, and whether its interval is
        on one side.
    after_ebus
        Risk of N2 after a negative EBUS; None where it is not known, or PET was not negative.
    agree
        Whether rule and risk of N2 point the same way at the protocol's threshold; None where
        either does not say or the protocol names none.
    text
        Sentences for a clinician, evidence included.
    """

    rule: GuidelineAnswer
    risks: NodalRisks | None
    abstains: str
    above: tuple[tuple[float, bool, bool], ...]
    after_ebus: Estimate | None
    agree: bool | None
    text: tuple[str, ...]


def staging_view(
    rule: GuidelineAnswer,
    risks: NodalRisks | None,
    limits: StagingLimits,
    *,
    evidence: str,
    pet_negative: bool | None,
    abstains: str = "",
    interval: str = "95 % interval",
    centrality: str = "",
) -> StagingView:
    """Put rule and risk side by side.

    Parameters
    ----------
    rule
        Of `guideline`.
    risks
        Of the model; None where it abstains, and ``abstains`` says why.
    evidence
        What the risk rests on: how many patients, of how many centres, how validated.
    pet_negative
        Whether PET/CT shows no node; None without PET/CT. Only then is EBUS's sensitivity known.
    interval
        What the ends of the risk are, in words.
    centrality
        A sentence on this patient's own value of "central"; empty where it was not measured.

    Raises
    ------
    EvaluationError
        No evidence is stated, or a missing risk has no reason.
    """
    if not evidence:
        raise EvaluationError("a risk is not shown without its basis")
    if (risks is None) != bool(abstains):
        raise EvaluationError("a risk is shown, or the reason why there is none")
    if risks is None:
        silent = (_rule_text(rule), centrality, f"The model gives no risk: {abstains}.")
        text = (*(line for line in silent if line), NOT_A_DEVICE)
        return StagingView(
            rule=rule,
            risks=None,
            abstains=abstains,
            above=(),
            after_ebus=None,
            agree=None,
            text=text,
        )
    lower, upper = require_risk(risks.any_node)
    above = tuple(
        (t, risks.any_node.value >= t, (lower >= t) or (upper < t)) for t in limits.thresholds
    )
    rest = after_negative_ebus(risks.n2, limits) if risks.n2 and pet_negative else None
    agree = None
    chosen = limits.mediastinal_threshold
    if rule.verdict != "unknown" and risks.n2 is not None and chosen is not None:
        agree = (rule.verdict == "indicated") == (risks.n2.value >= chosen)
    lines = [
        _rule_text(rule),
        centrality,
        _risk_text(risks, above, interval),
        _ebus_text(rest, limits, pet_negative=pet_negative),
        _agreement_text(agree, limits),
        f"The risk rests on {evidence}.",
        NOT_A_DEVICE,
    ]
    return StagingView(
        rule=rule,
        risks=risks,
        abstains="",
        above=above,
        after_ebus=rest,
        agree=agree,
        text=tuple(line for line in lines if line),
    )


def _agreement_text(agree: bool | None, limits: StagingLimits) -> str:
    chosen = limits.mediastinal_threshold
    if chosen is None:
        return (
            "The protocol names no risk of N2 at which invasive staging would be chosen, so rule "
            "and risk are not held against each other."
        )
    if agree is None:
        return ""
    if agree:
        return f"Rule and risk agree, at a risk of N2 of {_percent(chosen)} (the protocol's)."
    return (
        f"Rule and risk do not agree, at a risk of N2 of {_percent(chosen)} (the protocol's); it "
        "is not known which is right for this patient."
    )


def _percent(p: float) -> str:
    return f"{100 * p:.0f} %" if p >= 0.095 else f"{100 * p:.1f} %"


def _span(p: Estimate) -> str:
    lower, upper = p.ends
    return f"{_percent(p.value)} ({_percent(lower)} to {_percent(upper)})"


def _rule_text(rule: GuidelineAnswer) -> str:
    said = {
        "optional": "invasive mediastinal staging may be left out",
        "indicated": "invasive mediastinal staging is indicated",
        "unknown": "cannot be applied",
    }[rule.verdict]
    return f"Guideline (ESTS 2014): {said}: {'; '.join(rule.reasons)}."


def _risk_text(risks: NodalRisks, above: Sequence[tuple[float, bool, bool]], interval: str) -> str:
    over = [t for t, is_above, _ in above if is_above]
    unsure = [t for t, _, sure in above if not sure]
    where = f"at or above {_percent(max(over))}" if over else f"below {_percent(above[0][0])}"
    lower, upper = map(_percent, risks.any_node.ends)
    ends = f"{_percent(risks.any_node.value)} ({interval} {lower} to {upper})"
    text = f"Model: probability of any nodal metastasis {ends}, {where}"
    if unsure:
        text += f"; its interval includes {', '.join(_percent(t) for t in unsure)}"
    if risks.n1 is not None and risks.n2 is not None:
        text += f". Of it N2, which the rule is about: {_span(risks.n2)}; N1: {_span(risks.n1)}"
    else:
        text += ". How much of it is N2, which the rule is about, is not known with an interval"
    return text + "."


def _ebus_text(rest: Estimate | None, limits: StagingLimits, *, pet_negative: bool | None) -> str:
    if rest is None:
        if pet_negative:
            return "What a negative EBUS would leave is not stated: the risk of N2 is not known."
        why = "PET shows a node" if pet_negative is False else "there is no PET/CT"
        return (
            "What a negative EBUS would leave is not stated: its sensitivity is assumed for nodes "
            f"that PET does not show, and here {why}."
        )
    return (
        f"Risk of N2 after a negative EBUS: {_span(rest)}, if its sensitivity for mediastinal "
        f"nodes that PET does not show is {_percent(limits.sensitivity)} "
        f"({_percent(limits.sensitivity_lower)} to {_percent(limits.sensitivity_upper)}), which "
        "is an assumption."
    )


def ebus_needed(risk: float, target: float, limits: StagingLimits) -> float:
    """Sensitivity that a negative EBUS must have for the risk to fall to ``target``.

    NaN where the risk is at or below the target already; above 1 is cut to 1, which then does
    not reach it.
    """
    if not (0 < target < 1 and 0 <= risk <= 1):
        raise EvaluationError("risks lie within [0, 1]", value=f"{risk}, {target}")
    if risk <= target:
        return float("nan")
    left = target * (1 - risk) * limits.specificity / (risk * (1 - target))
    return float(np.clip(1 - left, 0.0, 1.0))
