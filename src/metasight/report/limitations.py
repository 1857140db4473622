"""Limitations that the run itself knows of; the authors add those that it cannot know."""

from __future__ import annotations

from collections.abc import Iterator

from metasight.estimate import Estimate
from metasight.report.assumptions import LEVEL, equals
from metasight.report.blocks import Block, BulletList, Callout, Heading, Paragraph, Strong, Text
from metasight.report.conduct import size_words
from metasight.report.flow import held_back
from metasight.report.view import (
    POPULATIONS,
    View,
    discrimination,
    discrimination_contrast,
    discrimination_name,
    not_estimable,
)
from metasight.report.wording import (
    contrast,
    costs_predictions,
    count,
    listed,
    metric,
    number,
    percent,
    plural,
    sentence,
    stopped,
)
from metasight.validation.results import Contrast
from metasight.validation.validation_size import ValidationSize

WIDE_INTERVAL = 0.15
"""An interval of C wider than this says little: it spans poor and good."""
FEW_EVENTS = 100
"""Below this, validation estimates are too uncertain (Collins et al., Stat Med 2016;35:214)."""


def section(view: View) -> list[Block]:
    """The section."""
    found = tuple(limitations(view))
    return [
        Heading(1, "Limitations", "limitations"),
        Paragraph(
            "Written by metasight from the events of this run. The list cannot be switched off "
            "and is not complete."
        ),
        BulletList(found),
        Callout(
            "author",
            "For the authors to add",
            (
                "How these limitations may have changed the results and in which direction; "
                "selection "
                "of patients before they entered the table; how the outcome was ascertained and by "
                "whom; differences in treatment between then and now; for whom the results hold.",
            ),
        ),
    ]


def limitations(view: View) -> Iterator[Text]:
    """One sentence or two for each; the order is by what matters to a reader."""
    yield from _checks(view, "fail", "Leakage check failed.")
    yield from _evidence(view)
    yield from _size(view)
    yield from _shape(view)
    yield from _generality(view)
    yield from _patients(view)
    yield from _outcome(view)
    yield from _predictors(view)
    yield from _checks(view, "warn", "Leakage check to look at.")
    yield from _checks(view, "not done", "Leakage check not done.")
    if not view.contents.checks and not view.external:
        yield _item("No leakage checks.", "None was run.")


def _item(head: str, text: str) -> Text:
    return (Strong(head), f" {text}")


def _checks(view: View, verdict: str, head: str) -> Iterator[Text]:
    for check in view.contents.checks:
        if check.verdict == verdict:
            yield _item(head, f"{check.title}: {stopped(check.finding)}")


def _evidence(view: View) -> Iterator[Text]:
    lead = discrimination(view.evaluation.models[view.lead], view.kind)
    name = discrimination_name(view.kind)
    if isinstance(lead, Estimate) and lead.lower is not None and lead.upper is not None:
        if lead.lower <= 0.5 <= lead.upper:
            yield _item(
                "No signal shown.",
                f"{name} of “{view.lead}” is {metric(lead)}; chance cannot be excluded.",
            )
        elif lead.upper - lead.lower > WIDE_INTERVAL:
            yield _item(
                "Wide intervals.",
                f"{name} of “{view.lead}” is {metric(lead)}: the data cannot distinguish a poor "
                "model from a good one.",
            )
    found = view.headline_comparison
    if view.has_increment and found is not None:
        gap = discrimination_contrast(found, view.kind)
        if isinstance(gap, Contrast) and gap.lower <= 0 <= gap.upper:
            yield _item(
                "Increment not shown.",
                f"The difference in {name} between “{view.lead}” and "
                f"“{view.reference}” is {contrast(gap)}; a difference of zero cannot be excluded.",
            )
    if not view.external:
        yield _item(
            "Intervals leave out part of the uncertainty.",
            "They are from resamples of patients without refitting the models, and no correction "
            "was made for several models, "
            "horizons and measures.",
        )
    missing = dict.fromkeys(
        f"{m}, {what}: {why}" for m, what, why in not_estimable(view.evaluation)
    )
    if missing:
        yield _item("Not everything could be estimated.", sentence("; ".join(missing)))


def _size(view: View) -> Iterator[Text]:
    size = view.contents.sample_size
    if size is not None and size.required_n is not None and size.available_n < size.required_n:
        yield _item("Smaller than recommended.", size_words(size))
    elif size is not None and size.required_n is None:
        yield _item("Sample size not assessed.", sentence(size.assumptions))
    if view.headline.events < FEW_EVENTS:
        yield _item(
            "Few events.",
            f"{plural(view.headline.events, 'event')} among "
            f"{plural(view.headline.n, 'patient')}; about {FEW_EVENTS} are wanted to judge a "
            "model.",
        )
    found = view.contents.optimism
    if found is not None and found.mape >= 0.03:
        yield _item(
            "Individual risks are unstable.",
            "Refitted to other patients of the same kind, a "
            f"risk moves by {number(100 * found.mape, 1)} percentage points on average.",
        )
    if found is not None and found.optimism >= 0.05:
        yield _item(
            "Optimism.",
            f"The apparent C of “{found.model}” is {number(found.optimism)} too "
            "high; only the cross-fitted figures may be quoted.",
        )


def _shape(view: View) -> Iterator[Text]:
    """Reference and headline models of Cox's kind whose hazard ratios change over time."""
    named = {view.reference, view.lead, view.contents.study_reference}
    for model in view.contents.models:
        tests = model.final.over_time
        if model.name in named and tests and tests[-1].p < LEVEL:
            yield _item(
                "Hazard ratios that change over time.",
                f"“{model.name}” assumes that they do not; the score test of all terms has p "
                f"{equals(tests[-1].p)}.",
            )


def _generality(view: View) -> Iterator[Text]:
    if view.contents.demonstration:
        yield _item("A demonstration.", sentence(view.contents.demonstration))
    if view.external:
        yield _item(
            "Another case mix.",
            "Differences from the figures of the development run may be due to other patients, to "
            "other measurement or to a model that does not transport; this report cannot separate "
            "them.",
        )
        size = view.headline.validation_size
        if isinstance(size, ValidationSize) and size.n > view.headline.n:
            yield _item(
                "A small validation.",
                f"{count(view.headline.n)} patients; {count(size.n)} are needed for O/E, slope and "
                "C to be precise.",
            )
        return
    yield _item(
        "No external validation.",
        "All patients come from the data that the models were "
        "developed in; performance elsewhere is unknown.",
    )
    if view.headline.centres is None:
        why = view.contents.single_centre_reason or "no reason given"
        yield _item(
            "Not tested across centres.", f"Leave-one-centre-out was not done: {stopped(why)}"
        )
    elif view.evaluation.data.n_centres < 4:
        yield _item(
            "Few centres.",
            f"{plural(view.evaluation.data.n_centres, 'centre')} are too few to predict "
            "performance in a new one.",
        )
    if view.headline.temporal is None:
        yield _item("Not tested over time.", "Patients were not split by date; a model may age.")


def _patients(view: View) -> Iterator[Text]:
    contents = view.contents
    yield _item(
        "Retrospective.",
        "The patients were treated before this analysis and the tables were collected for other "
        "purposes, unless the authors state otherwise.",
    )
    waived = [s.criterion for s in contents.flow.steps if s.waived]
    if waived:
        yield _item(
            "Criteria not assessed.",
            f"{listed(waived)} were waived: patients whom the "
            "protocol would have excluded may be among those analysed.",
        )
    held = sum(s.unknown for s in held_back(view))
    if held:
        yield _item(
            "Unknown eligibility.",
            f"{plural(held, 'patient')} could not be assessed and "
            "were held back; they may differ from the others.",
        )
    if contents.flow.failed:
        yield _item(
            "Errors in the data.",
            f"{plural(contents.flow.failed, 'patient')} were excluded because of an error in "
            "their row.",
        )
    if contents.flow.as_written != contents.flow.all_eligible:
        gap = contents.flow.all_eligible - contents.flow.as_written
        both = {a.population for a in contents.analyses} >= {"as_written", "all_eligible"}
        given = "are given both ways" if both else f"are of the {_population(view)} alone"
        yield _item(
            "A criterion that selects on the future.",
            f"{plural(gap, 'patient')} would be "
            f"removed by what was only known later; results {given}.",
        )
    if not contents.accrual:
        yield _item("Accrual not dated.", "When the patients were treated is not in the tables.")


def _population(view: View) -> str:
    return "population “" + POPULATIONS.get(view.headline.population, "analysed") + "”"


def _outcome(view: View) -> Iterator[Text]:
    for name, reason in view.contents.not_recorded.items():
        yield _item("Not recorded.", f"{view.label(name)}: {stopped(reason)}")
    if view.headline.deviations:
        told = " ".join(sentence(d) for d in view.headline.deviations)
        yield _item("Deviation from the protocol.", told)
    if view.headline.refused_horizons:
        yield _item("Horizons refused.", sentence("; ".join(view.headline.refused_horizons)))
    unseen = view.evaluation.data.n_unobserved
    if unseen:
        yield _item(
            "Outcome not observed.",
            f"In {plural(unseen, 'patient')} nodes were not examined; "
            "the figures apply to patients whose nodes were examined.",
        )
    failed = [costs_predictions(f) for f in view.headline.failures]
    if any(failed):
        yield _item(
            "Failed fits.",
            f"{plural(sum(failed), 'fit')} failed; the models concerned are excluded.",
        )
    if not all(failed):
        yield _item(
            "Failed refits.",
            f"{plural(len(failed) - sum(failed), 'refit')} to resamples, noise, permuted rows or "
            "other patients failed; what rests on them is estimated from the others or not given.",
        )


def _predictors(view: View) -> Iterator[Text]:
    absent = {f: n for f, n in view.headline.missing.items() if n}
    if absent:
        worst = max(absent, key=lambda f: absent[f])
        yield _item(
            "Missing values.",
            f"{count(len(absent))} of "
            f"{plural(len(view.headline.missing), 'predictor')}; most in "
            f"{view.label(worst)} ({percent(absent[worst] / view.headline.n)}). They were "
            "imputed as missing at random.",
        )
    if view.contents.constants:
        names = listed(view.label(c) for c in view.contents.constants)
        yield _item(
            "Stated, not measured.", f"The same value was assumed for every patient for: {names}."
        )
