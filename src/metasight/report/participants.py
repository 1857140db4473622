"""Participants: flow, what was not assessed, characteristics, missing values, follow-up."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from metasight.cohort.describe import FollowUp, Table1
from metasight.cohort.outcome import Landmark
from metasight.features.missing import Imputer
from metasight.protocol.criteria import Criterion
from metasight.report.blocks import (
    Block,
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
from metasight.report.contents import ACCEPTED_LESION, AnalysisResult
from metasight.report.flow import Branch, branch, flow_figure
from metasight.report.view import POPULATIONS, View
from metasight.report.wording import NBSP, count, listed, percent, plural, sentence, years

MOST_GROUPS = 4
MOST_MISSING = 30


def section(view: View) -> list[Block]:
    """The section."""
    return [
        Heading(1, "Participants", "participants"),
        *_flow(view),
        *_slides(view),
        *_readers(view),
        *_not_assessed(view),
        Heading(2, "Characteristics", "characteristics"),
        *_characteristics(view),
        *_missing(view),
        *_follow_up(view),
    ]


def _flow(view: View) -> Iterator[Block]:
    flow, split = view.contents.flow, branch(view)
    yield Heading(2, "Flow of patients", "flow-section")
    if view.contents.accrual:
        first, last = view.contents.accrual[0], view.contents.accrual[-1]
        yield Paragraph(
            f"Time zero ({view.contents.protocol.time_zero}) lies between {first} and {last}."
        )
    else:
        yield Paragraph(
            f"Time zero: {view.contents.protocol.time_zero}. It is not dated in the "
            "tables, so accrual dates cannot be given."
        )
    yield flow_figure(view)
    silent = [s.criterion for s in flow.steps if not (s.excluded or s.unknown or s.waived)]
    told = []
    if silent:
        told.append(f"Assessed, no patient excluded: {listed(silent)}.")
    if any(s.unknown for s in flow.steps):
        told.append(
            "A patient whose eligibility is unknown is held back and not counted as eligible."
        )
    if split:
        told.append(_two_populations(view, split))
    if told:
        yield Paragraph(" ".join(told))


def _two_populations(view: View, split: Branch) -> str:
    ids = listed(split.ids)
    texts = "; ".join(t[:1].lower() + t[1:] for t in split.texts)
    lead = POPULATIONS.get(view.headline.population, view.headline.population)
    text = (
        f"{ids} ({texts}) selects patients by information that was only known after time zero. "
        "Applied as written it excludes patients because of what happened to them later, which "
        "can bias event rates and performance; without it, all patients eligible at time zero are "
        "kept and short follow-up is handled by weighting. "
    )
    if split.here == 0:
        return text + "It excludes no patient here, so the two populations are the same."
    both = {a.population for a in view.contents.analyses}
    if {"as_written", "all_eligible"} <= both:
        return text + (
            f"Both are analysed, the headline is “{lead}”, and the difference is shown "
            "under “Both populations”."
        )
    return text + f"Only “{lead}” is analysed."


def _slides(view: View) -> Iterator[Block]:
    stages = view.contents.slides
    if not stages:
        return
    yield Heading(2, "Slides", "slides")
    yield Paragraph(
        "The quality of every slide was assessed before it was used; a slide that could not be "
        "read or is of insufficient quality is listed in the ledger with the reason, and the "
        "sheet of each patient's slides "
        "(slides/PATIENT/sheet.html beside this report) shows what was measured."
    )
    yield DataTable(
        "slides-table",
        "Slides and section pairs by stage and result.",
        (
            Column("Stage", weight=2),
            *(numeric(c) for c in ("Kept", "Refused", "Not readable", "Unknown")),
        ),
        tuple(
            Row((s.stage, str(s.kept), str(s.excluded), str(s.failed), str(s.unknown)))
            for s in stages
        ),
    )


def _readers(view: View) -> Iterator[Block]:
    """What readers decided in place of a verdict, where they did."""
    found = view.contents.reader_verdicts
    if not found:
        return
    known = view.contents.protocol.criteria
    lesions = sum(f.n for f in found if f.about == ACCEPTED_LESION)
    total = sum(f.n for f in found) - lesions
    yield Heading(2, "Verdicts replaced by readers", "readers")
    if total:
        yield Paragraph(
            f"{plural(total, 'verdict')} of the rules {'was' if total == 1 else 'were'} replaced "
            "by a reader. What follows rests on the reader's verdict; the ledger gives who, when "
            "and why."
        )
    if lesions:
        yield Paragraph(
            f"In {plural(lesions, 'patient')} the lesion that is measured is one that a reader "
            "accepted; the ledger gives who, when and why."
        )
    yield DataTable(
        "readers-table",
        "Verdicts replaced by readers.",
        (
            Column("About", weight=2),
            Column("Verdict by rule"),
            Column("Verdict by reader"),
            numeric("Verdicts"),
            numeric("Readers"),
        ),
        tuple(
            Row((_criterion(f.about, known), f.replaced, f.verdict, str(f.n), str(f.readers)))
            for f in found
        ),
    )


def _criterion(about: str, known: Mapping[str, Criterion]) -> str:
    return f"{about} {known[about].text}" if about in known else about


def _not_assessed(view: View) -> Iterator[Block]:
    contents = view.contents
    known = contents.protocol.criteria
    if not (contents.waived or contents.constants or contents.not_recorded):
        return
    rows: list[Row] = []
    if contents.waived:
        rows.append(Row(("Criteria not assessed (waived)",), group=True))
        for step in contents.flow.steps:  # its text says who stays in against the table, too
            if step.waived:
                part = " (in part)" if step.in_part else ""
                text = f"{step.criterion} {known[step.criterion].text}{part}"
                rows.append(Row((text, sentence(step.waived))))
    rows += _reasons("Not recorded", contents.not_recorded, view)
    rows += _reasons("The same for every patient (assumed, not measured)", contents.constants, view)
    yield Heading(2, "What this study does not assess or record", "not-assessed")
    yield DataTable(
        "waived",
        "Criteria and variables that this study does not assess or record, with the reasons given "
        "in its study file.",
        (Column("Criterion or variable", weight=1), Column("Value and reason", weight=1)),
        tuple(rows),
    )


def _reasons(head: str, given: Mapping[str, str], view: View) -> list[Row]:
    if not given:
        return []
    return [Row((head,), group=True)] + [
        Row((view.label(name), sentence(_yes_no(reason)))) for name, reason in given.items()
    ]


def _yes_no(reason: str) -> str:
    """``True: …`` and ``False: …`` as ``yes: …`` and ``no: …``."""
    value, colon, rest = reason.partition(":")
    return {"True": "yes", "False": "no"}.get(value, value) + colon + rest


# ------------------------------------------------------------------------------ characteristics


def _characteristics(view: View) -> Iterator[Block]:
    a = view.headline
    groups = [g for g in a.table1.groups if g != "All"]
    parts = [groups[k : k + MOST_GROUPS] for k in range(0, len(groups), MOST_GROUPS)] or [[]]
    for k, part in enumerate(parts):
        more = f", part {k + 1} of {len(parts)}" if len(parts) > 1 else ""
        yield _table1(view, a.table1, part, k, more)


def _table1(view: View, table: Table1, groups: list[str], k: int, more: str) -> DataTable:
    shown = ["All", *groups] if "All" in table.groups else groups
    total = table.groups.get("All", 0)
    times = set(_event_times(view))
    rows = []
    for row in table.rows:
        missing = row.missing.get("All", 0)
        level = row.label.startswith(" ")
        after = "–" if row.label in times else count(missing)
        rows.append(
            Row(
                (
                    row.label.strip(),
                    *(row.cells.get(g) or "" for g in shown),
                    "" if level else after,
                ),
                indent=level,
            )
        )
    population = POPULATIONS.get(view.headline.population, view.headline.population)
    return DataTable(
        f"table1-{k}" if k else "table1",
        f"Characteristics of the patients analysed ({population}){more}.",
        (
            Column("Characteristic", weight=2.2),
            *(numeric(f"{g} (n{NBSP}={NBSP}{count(table.groups[g])})", 1.35) for g in shown),
            numeric("Missing", 0.7),
        ),
        tuple(rows),
        (
            "Median (quartiles) or number (% of those recorded). Missing: patients without a "
            "value, of "
            f"{count(total)}; – for the time of an event that not every patient had.",
        ),
    )


def _event_times(view: View) -> Iterator[str]:
    """Labels of times that only those who had the event can have."""
    known = view.contents.protocol.variables
    for name, v in known.items():
        if name.endswith("_days") and name.removesuffix("_days") in known:
            yield f"{v.label}, {v.unit}" if v.unit else v.label


# -------------------------------------------------------------------------- missing, follow-up


def _missing(view: View) -> Iterator[Block]:
    a = view.headline
    yield Heading(2, "Missing values", "missing")
    absent = {f: n for f, n in a.missing.items() if n}
    total = len(a.missing)
    if not absent:
        yield Paragraph(
            f"None of the {plural(total, 'predictor')} that models may read has a "
            f"missing value among the {plural(a.n, 'patient')} analysed."
        )
        return
    yield Paragraph(
        (
            f"{count(len(absent))} of {plural(total, 'predictor')} have missing values (",
            Ref("missing-table"),
            "). ",
            _imputed(sum(n == a.n for n in absent.values()), len(absent)),
        )
    )
    ordered = sorted(absent.items(), key=lambda item: (-item[1], item[0]))
    notes: tuple[str, ...] = ()
    if len(ordered) > MOST_MISSING:
        notes = (
            f"The {MOST_MISSING} with most missing values; {len(ordered) - MOST_MISSING} more "
            "have fewer.",
        )
    yield DataTable(
        "missing-table",
        "Predictors with missing values.",
        (Column("Predictor", weight=2), numeric("Missing", 1), numeric("Share of patients", 1)),
        tuple(
            Row((view.label(f), count(n), percent(n / a.n, 1))) for f, n in ordered[:MOST_MISSING]
        ),
        notes,
    )


def _imputed(never: int, absent: int) -> str:
    """What becomes of gaps; ``never`` of the ``absent`` predictors have no value in anybody."""
    rule = (
        "imputed inside each training fold, with an indicator where at least "
        f"{Imputer().indicator_from} training patients have no value"
    )
    whole = "No patient is excluded because of a missing value."
    if not never:
        return f"They are {rule}. {whole}"
    told = f"{count(never)} of them {'has' if never == 1 else 'have'} no value in any patient and "
    told += "are not used" if never > 1 else "is not used"
    return f"{told}{f'; the others are {rule}' if never < absent else ''}. {whole}"


def _follow_up(view: View) -> Iterator[Block]:
    followed = [(a, a.follow_up) for a in view.contents.analyses if a.follow_up is not None]
    if not followed:
        if view.nodal:
            yield Heading(2, "Observed outcome", "follow-up")
            yield from _stages(view)
        return
    yield Heading(2, "Follow-up and events", "follow-up")
    yield Paragraph(_follow_words(*followed[0]))
    if followed[0][0].landmark is not None:
        yield Paragraph(_landmark_words(view, followed[0][0].landmark))
    yield DataTable(
        "follow-up-table",
        "Follow-up by reverse Kaplan–Meier, and patients by outcome.",
        (
            Column("Endpoint and population", weight=2),
            numeric("Patients", 0.75),
            numeric("Median follow-up", 0.95),
            numeric("Longest", 0.9),
            numeric("Events", 0.65),
            numeric("Competing", 0.85),
            numeric("Censored", 0.8),
        ),
        tuple(_follow_row(view, a, f) for a, f in followed),
    )


def _landmark_words(view: View, landmark: Landmark) -> Text:
    """Who left before patients enter, and what the risk is therefore of."""
    lead = f"Patients enter on day {landmark.day} after the {view.contents.protocol.time_zero}"
    left = (
        f"{plural(landmark.left, 'patient')} had left by then: {landmark.events} with the event, "
        f"{landmark.competing} with a competing event, {landmark.censored} no longer followed. "
        if landmark.left
        else "Nobody had left by then. "
    )
    return (
        Strong(lead),
        ", by when every predictor is known. ",
        left,
        "A risk is that of a patient without an event on that day; years count from the "
        f"{view.contents.protocol.time_zero}.",
    )


def _follow_words(a: AnalysisResult, f: FollowUp) -> Text:
    median = f.median_days
    told = (
        f"Median follow-up is {years(median)}"
        if median is not None
        else ("Median follow-up was not reached: fewer than half the patients were censored")
    )
    d = a.evaluation.data
    parts = []
    for target in next(iter(a.evaluation.models.values())).targets:
        if target.horizon_days is None:
            continue
        g = d.censoring_survival.get(str(target.horizon_days))
        n = d.events_by_horizon.get(target.target)
        if n is not None and g is not None:
            parts.append(
                f"{plural(n, 'event')} within {years(target.horizon_days)}, by when "
                f"{percent(g)} would still be followed"
            )
    return (Strong(told), ". There were " + listed(parts) + "." if parts else ".")


def _follow_row(view: View, a: AnalysisResult, f: FollowUp) -> Row:
    name = f"{view.endpoint_of(a).label}; {POPULATIONS.get(a.population, a.population)}"
    median = "not reached" if f.median_days is None else years(f.median_days)
    return Row(
        (
            name,
            count(a.n),
            median,
            years(f.maximum_days),
            count(f.events),
            count(f.competing),
            count(f.censored),
        ),
        strong=a.headline,
    )


def _stages(view: View) -> Iterator[Block]:
    d = view.evaluation.data
    rows = [
        Row((stage, count(n), percent(n / max(d.n_patients, 1))))
        for stage, n in d.class_counts.items()
    ]
    rows.append(Row(("Not observed (nodes not examined)", count(d.n_unobserved), "–")))
    yield DataTable(
        "stages",
        "Patients by observed nodal stage.",
        (Column("Stage", weight=2), numeric("Patients"), numeric("Share of those observed")),
        tuple(rows),
        ("An unobserved stage is never counted as N0.",),
    )
