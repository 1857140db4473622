"""What is said of the headline follows from its intervals: five cases, each with its words."""

from __future__ import annotations

from dataclasses import replace

import pytest

from metasight.report.findings import findings, signal
from metasight.report.view import View
from metasight.validation.results import Contrast, Estimate, NotEstimable
from metasight.validation.threshold_band import BandPoint, ThresholdBand


def plain(texts) -> str:
    out = []
    for text in texts:
        parts = (text,) if isinstance(text, str) else text
        out.append("".join(p if isinstance(p, str) else p.text for p in parts))
    return " | ".join(out).replace("\u00a0", " ")


def with_model(contents, **changes) -> View:
    """The headline model with other metrics."""
    first = contents.analyses[0]
    lead = View(contents).lead
    models = {**first.evaluation.models, lead: replace(first.evaluation.models[lead], **changes)}
    changed = replace(first, evaluation=replace(first.evaluation, models=models))
    return View(replace(contents, analyses=(changed, *contents.analyses[1:])))


def with_gap(contents, gap) -> View:
    first = contents.analyses[0]
    lead = View(contents).lead
    comparisons = tuple(
        replace(c, harrell_c=gap, targets=()) if c.model == lead else c
        for c in first.evaluation.comparisons
    )
    changed = replace(first, evaluation=replace(first.evaluation, comparisons=comparisons))
    return View(replace(contents, analyses=(changed, *contents.analyses[1:])))


@pytest.mark.parametrize(
    ("c", "said"),
    [
        (Estimate(value=0.72, lower=0.61, upper=0.80), "” ranks patients better than chance"),
        (Estimate(value=0.58, lower=0.49, upper=0.66), "There is hardly any signal."),
        (Estimate(value=0.50, lower=0.50, upper=0.62), "There is hardly any signal."),
        (Estimate(value=0.40, lower=0.31, upper=0.49), "in the wrong order"),
        (NotEstimable(not_estimable="no pair can be compared"), "could not be estimated"),
    ],
)
def test_discrimination(survival, c, said):
    told = plain(signal(with_model(survival, harrell_c=c)))
    assert said in told
    others = {
        "” ranks patients better than chance",
        "There is hardly any signal.",
        "in the wrong order",
        "could not be estimated",
    } - {said}
    assert not [o for o in others if o in told]


@pytest.mark.parametrize("value", [0.45, 0.8])
def test_an_estimate_without_an_interval_is_held_against_nothing(survival, value):
    told = plain(signal(with_model(survival, harrell_c=Estimate(value=value))))
    assert "it is unknown" in told
    assert "” ranks patients better than chance" not in told
    assert "There is hardly any signal" not in told


@pytest.mark.parametrize(
    ("ipa", "said"),
    [
        (
            Estimate(value=-0.1, lower=-0.2, upper=-0.01),
            "less accurate than the same risk for every patient",
        ),
        (Estimate(value=0.02, lower=-0.05, upper=0.09), "no evidence that the risks"),
        (Estimate(value=0.08, lower=0.01, upper=0.15), ""),
    ],
)
def test_accuracy(survival, ipa, said):
    view = View(survival)
    targets = tuple(replace(t, ipa=ipa) for t in view.evaluation.models[view.lead].targets)
    told = plain(signal(with_model(survival, targets=targets)))
    both = ("less accurate than the same risk for every patient", "no evidence that the risks")
    assert [b for b in both if b in told] == ([said] if said else [])


@pytest.mark.parametrize(
    ("gap", "said"),
    [
        (
            Contrast(difference=0.04, lower=0.01, upper=0.07, probability_better=0.9),
            "discriminates better than",
        ),
        (
            Contrast(difference=-0.04, lower=-0.07, upper=-0.01, probability_better=0.9),
            "discriminates worse than",
        ),
        (
            Contrast(difference=0.02, lower=-0.01, upper=0.05, probability_better=0.9),
            "There is no evidence",
        ),
        (NotEstimable(not_estimable="one class only"), "is not estimable: one class only"),
    ],
)
def test_the_increment(survival, gap, said):
    told = plain(findings(with_gap(survival, gap)))
    assert said in told
    if said == "There is no evidence":
        assert "the data are compatible" in told
        assert "\u22120.010" in told
        assert "+0.050" in told


def test_a_single_model_has_no_increment(survival):
    first = survival.analyses[0]
    settings = replace(first.evaluation.settings, headline_model=View(survival).reference)
    changed = replace(first, evaluation=replace(first.evaluation, settings=settings))
    view = View(replace(survival, analyses=(changed,)))
    told = plain(findings(view)[len(signal(view)) :])
    assert "the better of treat all and treat none" in told
    assert "differ" not in told
    assert "increment" not in told


def test_the_thresholds_at_which_a_simultaneous_band_excludes_zero_are_named(survival):
    view = with_bands(survival, {0.1: (0.01, 0.03), 0.2: (0.002, 0.05), 0.3: (-0.05, -0.01)})
    told = plain(findings(view))
    assert (
        "The net benefit of “clinical + maps” at 5 years is higher than that of the better of "
        "treat all and treat none at thresholds of 10 and 20 % and lower than that of the better "
        "of treat all and treat none at a threshold of 30 %"
    ) in told
    assert "simultaneous 95 % bands over the protocol’s thresholds" in told
    none = plain(findings(with_bands(survival, {0.1: (-0.01, 0.03), 0.2: (None, None)})))
    assert "at no threshold distinguishable from that of the better of treat all" in none


def with_bands(contents, limits) -> View:
    """The headline's difference to the better default, with these limits at its first target."""
    band = ThresholdBand(
        points=tuple(
            BandPoint(threshold=t, value=0.0, lower=low, upper=high, reason="")
            for t, (low, high) in limits.items()
        ),
        confidence=0.95,
        critical=2.5,
        resamples=500,
    )
    view = View(contents)
    first, *others = view.evaluation.models[view.lead].targets
    curve = replace(first.decision_curve, over_default=band)
    return with_model(contents, targets=(replace(first, decision_curve=curve), *others))
