"""Outcome, predictors and definitions of the protocol, and how models were fitted and judged."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from metasight.protocol.endpoint import Endpoint
from metasight.protocol.study import Protocol, Variable
from metasight.report.blocks import (
    Block,
    BulletList,
    Column,
    DataTable,
    Heading,
    Paragraph,
    Ref,
    Row,
    Strong,
    Text,
    numeric,
)
from metasight.report.view import POPULATIONS, View
from metasight.report.wording import (
    costs_predictions,
    in_years,
    listed,
    number,
    plural,
    points,
    sentence,
    stopped,
    years,
)
from metasight.validation.decision_bands import FEWEST


def section(view: View) -> list[Block]:
    """The section."""
    return [
        Heading(1, "Outcome, predictors and methods", "methods"),
        Heading(2, "Endpoints", "endpoints"),
        _endpoints(view),
        *_plan(view),
        *_deviations(view),
        Heading(2, "Predictors", "predictors"),
        *_predictors(view),
        *_definitions(view),
        Heading(2, "Fitting and judging", "analysis"),
        *_analysis(view),
    ]


def _endpoints(view: View) -> DataTable:
    done = {a.endpoint for a in view.contents.analyses}
    rows = [
        Row(
            (
                e.label + (" (primary)" if e.primary else ""),
                _event(view, e),
                _when(e),
                points(e.thresholds),
                e.source + ("" if e.name in done else ". Not analysed here"),
            ),
            strong=e.name == view.headline.endpoint,
        )
        for e in view.contents.protocol.endpoint
    ]
    return DataTable(
        "endpoints-table",
        "Endpoints of the protocol.",
        (
            Column("Endpoint", weight=1.6),
            Column("Event", weight=1.8),
            Column("Judged", weight=1.3),
            Column("Decision thresholds", weight=1.1),
            Column("Source", weight=1.4),
        ),
        tuple(rows),
        (f"Time zero: {_entry(view.contents.protocol)}. One year is 365.25 days.",),
    )


def _entry(protocol: Protocol) -> str:
    """Time zero, and the day on which patients enter."""
    if not protocol.landmark_days:
        return protocol.time_zero
    return f"{protocol.time_zero}; patients enter on day {protocol.landmark_days} without an event"


def _event(view: View, endpoint: Endpoint) -> str:
    arm = f"; {endpoint.arm} arm only" if endpoint.arm else ""
    if endpoint.type == "nodal_stage":
        return f"{view.label(endpoint.variable)}: N0, N1 or N2; unobserved is not N0{arm}"
    first = listed((view.label(v) for v in endpoint.event), "or")
    text = f"First of: {first}" if len(endpoint.event) > 1 else first
    if endpoint.competing:
        text += f"; competing: {listed(view.label(v) for v in endpoint.competing)}"
    return text + arm


def _when(endpoint: Endpoint) -> str:
    if endpoint.type == "nodal_stage":
        return "N1 or worse; N2"
    return (
        f"at {listed(f'{y:g}' for y in endpoint.horizons_years)} years; "
        f"C truncated at {endpoint.tau_years:g} years"
    )


def _plan(view: View) -> Iterator[Block]:
    """What was planned beforehand, as far as the program knows."""
    beside = view.contents.plan
    plan = beside.plan
    if view.external:
        return
    yield Heading(2, "Analysis plan", "plan")
    if plan is None:
        yield Paragraph(
            "No analysis plan was locked (`metasight plan`). Nothing in this report is known to "
            "have been planned before outcomes were seen."
        )
        return
    before = (
        "metasight had read the study’s tables before that: the plan is not known to be blind to "
        "outcomes"
        if plan.outcomes_read_before
        else "metasight had not read the study’s tables before"
    )
    yield Paragraph(f"Locked on {plan.day}, sha256 {plan.sha256[:16]}…; {before}.")
    for a in plan.amendments:
        yield Paragraph(f"Amended on {a.day} ({listed(a.changed)}): {stopped(a.reason)}")
    if not beside.deviations:
        yield Paragraph("The analysis follows the plan.")
        return
    yield DataTable(
        "plan-deviations",
        "Where the analysis differs from the locked plan.",
        (Column("What", weight=1), Column("Planned", weight=2), Column("Done", weight=2)),
        tuple(Row((sentence(n).rstrip("."), a, b)) for n, a, b in beside.deviations),
    )


def _deviations(view: View) -> Iterator[Block]:
    told: list[Text] = []
    for a in view.contents.analyses:
        where = Strong(f"{a.endpoint}, {POPULATIONS.get(a.population, a.population)}: ")
        told += [(where, sentence(d)) for d in (*a.deviations, *a.refused_horizons)]
        told += [(where, _failure(f)) for f in a.failures]
    told += [(Strong("Horizons: "), text) for text in _other_horizons(view)]
    yield Heading(2, "Deviations, horizons not reported and failed fits", "deviations")
    if told:
        yield BulletList(tuple(dict.fromkeys(told)))
    else:
        yield Paragraph(
            "None: endpoints and horizons are as in the protocol"
            + (", and every fit succeeded." if not view.external else ".")
        )


def _failure(row: Mapping[str, str]) -> str:
    """What failed: a fit of the cross-validation, or a refit beside it that costs no prediction."""
    model, reason = row.get("criterion", ""), row.get("reason", "")
    stage = row.get("stage", "")
    if costs_predictions(row):
        return f"model “{model}” failed in {row.get('item', 'a fit')}: {reason}"
    what = {"resample": "a refit to a bootstrap resample", "noise": "a refit to noise"}
    named = what.get(stage.split(" ")[0], f"a further fit ({stage})")
    return f"{named} of “{model}” failed; cross-validated predictions are complete: {reason}"


def _other_horizons(view: View) -> Iterator[str]:
    """What is judged at other horizons than the protocol's."""
    asked = {int(h) for h in getattr(view.endpoint, "horizons_days", ())}
    judged = {int(h) for h in view.evaluation.settings.horizons_days}
    if asked and judged and judged != asked:
        yield (
            f"evaluated at {listed(years(h) for h in sorted(judged))}; the protocol’s are "
            f"{listed(years(h) for h in sorted(asked))}."
        )


def _predictors(view: View) -> Iterator[Block]:
    protocol = view.contents.protocol
    known = protocol.variables
    present = set(view.headline.missing)
    names = [n for n in protocol.clinical_predictors if n in known]
    other = [f for f in view.headline.missing if f not in known]
    yield Paragraph(
        (
            "Clinical predictors of the protocol are in ",
            Ref("dictionary"),
            ". A value measured outside its window is rejected."
            + (
                f" Models may also read {plural(len(other), 'feature')} of further modalities."
                if other
                else ""
            ),
        )
    )
    yield DataTable(
        "dictionary",
        "Clinical predictors: definition, timing and source.",
        (
            Column("Predictor", weight=1.7),
            Column("Accepted values", weight=1.5),
            Column("Measured", weight=1.6),
            numeric("Window, days", 1),
            Column("Source", weight=1.5),
            Column("In this study", weight=0.8),
        ),
        tuple(_predictor(known[n], present) for n in names),
    )


def _predictor(v: Variable, present: set[str]) -> Row:
    window = (
        f"{number(v.window.from_days, 0)} to {number(v.window.to_days, 0)}" if v.window else "–"
    )
    return Row(
        (
            v.label,
            v.accepted,
            v.measured or "–",
            window,
            v.source or "–",
            "yes" if v.name in present else "no",
        )
    )


def _definitions(view: View) -> Iterator[Block]:
    definitions = view.contents.protocol.definition
    if not definitions or not view.reads_images:
        return  # definitions are of what is measured on slides and scans
    yield Heading(2, "Definitions", "definitions")
    yield DataTable(
        "definitions-table",
        f"Definitions of protocol version {view.contents.protocol.version}.",
        (
            Column("Name", weight=1.1),
            Column("Definition", weight=2.4),
            Column("Value", weight=1),
            Column("Source", weight=1.5),
        ),
        tuple(
            Row((_named(d.name), sentence(d.text), _value(d.value, d.unit), d.source))
            for d in definitions
        ),
    )


_ACRONYMS = {"tls": "TLS", "tils": "TILs", "he": "H&E", "ihc": "IHC", "od": "optical density"}
_NO_LIMIT = -1.0


def _named(name: str) -> str:
    """Name of a definition in words, without the unit that it may end in."""
    words = name.split("_")
    if len(words) > 1 and words[-1] in {"um", "mm", "hu", "percent", "days", "years"}:
        words = words[:-1]
    if len(words) == 1 and len(name) <= 4:
        return {"tils": "TILs"}.get(name, name.upper())
    text = " ".join(_ACRONYMS.get(w, w) for w in words)
    return text[:1].upper() + text[1:]


def _value(value: object, unit: str) -> str:
    if value is None:
        return unit or "–"
    many = value if isinstance(value, tuple) else (value,)
    told = ", ".join(
        "no limit" if v == _NO_LIMIT else f"{v:g}" if isinstance(v, float) else str(v) for v in many
    )
    return f"{told} ({unit})" if len(many) > 1 and unit else f"{told} {unit}".strip()


# ------------------------------------------------------------------------------------- methods


def _analysis(view: View) -> Iterator[Block]:
    if not view.external:
        yield Paragraph(fitting_words(view))
    yield Paragraph(judging_words(view))
    yield BulletList(tuple(in_years(n) for n in view.evaluation.notes))


def asked(view: View) -> dict[str, Any]:
    """The analysis part of the study's settings."""
    found = view.contents.settings.get("analysis", {})
    return dict(found) if isinstance(found, dict) else {}


def fitting_words(view: View) -> Text:
    """How every model was fitted, in a paragraph."""
    d, settings = view.evaluation.data, asked(view)
    seed = settings.get("seed", view.evaluation.settings.seed)
    folds = round(d.n_folds / max(d.n_repeats, 1))
    return (
        f"Patients were split into {folds} folds, stratified by outcome"
        + (f", and the split was repeated {d.n_repeats} times" if d.n_repeats > 1 else "")
        + f" (seed {seed}). In every fold imputation, scaling, selection, tuning (inner "
        "cross-validation) and the model itself were fitted to the training patients only, and the "
        "held-out patients were predicted once. Published scores were computed as published; "
        "where a score gives no absolute risk, its baseline was fitted in the training fold and "
        "is labelled as such. ",
        "Models, settings and coefficients are in ",
        Ref("models"),
        ".",
    )


def judging_words(view: View) -> Text:
    """What was measured, in a paragraph."""
    s = view.evaluation.settings
    level = f"{100 * s.confidence:g} %"
    what = {
        "survival": "Discrimination: Harrell’s C and Uno’s C (inverse probability of censoring "
        "weights, IPCW), and the cumulative/dynamic AUC at each horizon. ",
        "competing": "Discrimination: Wolbers’ C, its IPCW version, and the cumulative/dynamic AUC "
        "at each horizon, all with the competing event as no event. ",
        "nodal": "Discrimination: the generalised (ordinal) c-index and the AUC of each threshold "
        "of "
        "stage. ",
    }[view.kind]
    tau = (
        f" C and integrated scores are truncated at {years(s.tau_days)}; slope, intercept and "
        "smoothed curve at a horizon use follow-up only up to that horizon."
        if s.tau_days
        else ""
    )
    return (
        f"{what}Accuracy: Brier score and index of prediction accuracy (IPA). Calibration: "
        "observed "
        "over expected (O/E), slope, and the integrated calibration index (ICI) of a smoothed "
        "curve. "
        f"Clinical use: net benefit at {points(s.thresholds)}.{tau} Intervals are {level} "
        "percentile "
        f"intervals of {s.n_bootstrap} bootstrap resamples of patients ({s.n_curve_bootstrap} for "
        "calibration curves); differences between models are taken within each resample. Bands of "
        "decision curves are simultaneous over the thresholds (largest studentised deviation over "
        "the same resamples; Montiel Olea and Plagborg-Møller 2019); there is none at a threshold "
        f"where fewer than {FEWEST} patients with, or without, the event decide the difference."
    )
