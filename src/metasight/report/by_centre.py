"""Centre by centre: discrimination, calibration, accuracy and net benefit, and their averages."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from metasight.estimate import Estimate
from metasight.report.blocks import Block, Column, DataTable, Row, numeric
from metasight.report.view import View
from metasight.report.wording import (
    Footnotes,
    count,
    in_years,
    listed,
    number,
    percent,
    plural,
    span,
)
from metasight.validation.results import CentreEstimate, CentreSummary, NotEstimable, Pooled

MOST_THRESHOLDS = 4
"""Of net benefit in one table."""

Summaries = Mapping[str, CentreSummary | NotEstimable]


def by_centre(view: View, summaries: Summaries) -> Iterator[Block]:
    """Tables of the headline model in every centre, and of both leading models over centres.

    Parameters
    ----------
    view
        Of the run.
    summaries
        Model → its centres, left out or external.
    """
    lead = summaries.get(view.lead)
    if not isinstance(lead, CentreSummary):
        return
    known = [c for c in lead.centres if _known(c)]
    if known:
        yield _measures(view, lead, known)
        yield from _net_benefit(view, lead, known)
    yield _averages(view, summaries)


def _known(centre: CentreEstimate) -> bool:
    """Whether any measure of the centre could be estimated."""
    measures = (centre.discrimination, centre.oe, centre.slope, centre.ipa)
    return any(isinstance(m, Estimate) for m in measures)


def _measures(view: View, lead: CentreSummary, known: list[CentreEstimate]) -> DataTable:
    notes = Footnotes()
    rows = [
        Row(
            (
                c.centre,
                count(c.n),
                count(c.events),
                notes.metric(c.discrimination, 2),
                notes.metric(c.oe, 2),
                notes.metric(c.slope, 2),
                notes.metric(c.ipa, 1, scale=100),
            )
        )
        for c in known
    ]
    return DataTable(
        "by-centre",
        f"“{view.lead}” centre by centre, {in_years(f'at {lead.target}')}, with 95 % intervals.",
        (
            Column("Centre", weight=2.1),
            numeric("Patients", 0.65),
            numeric("Events", 0.6),
            numeric(lead.measure.replace("'", "’"), 1.3),
            numeric("O/E", 1.3),
            numeric("Slope", 1.3),
            numeric("IPA, %", 1.45),
        ),
        tuple(rows),
        (*notes.notes, *_too_small(view, lead)),
    )


def _too_small(view: View, lead: CentreSummary) -> tuple[str, ...]:
    """The limit, and the centres that are below it, in one note however many they are."""
    floor = view.evaluation.settings.min_group_events
    limit = f"A centre is evaluated on its own with at least {floor} events and {floor} non-events"
    left = [c for c in lead.centres if not _known(c)]
    if not left:
        return (f"{limit}.",)
    named = listed(f"{c.centre} ({plural(c.events, 'event')})" for c in left)
    n, events = sum(c.n for c in left), sum(c.events for c in left)
    many = plural(len(left), "centre")
    return (
        f"{limit} whose censoring lets the horizon be reached. Not shown: {many} with "
        f"{plural(n, 'patient')} and {plural(events, 'event')}: {named}.",
    )


def _net_benefit(
    view: View, lead: CentreSummary, known: list[CentreEstimate]
) -> Iterator[DataTable]:
    """In as many tables as keep the centres' names and the intervals on one line."""
    limits = sorted(view.evaluation.settings.thresholds)
    tables = -(-len(limits) // MOST_THRESHOLDS)
    each = -(-len(limits) // tables)
    for k in range(tables):
        notes, chosen = Footnotes(), slice(k * each, (k + 1) * each)
        rows = [
            Row((c.centre, *(notes.metric(m, 1, scale=100) for m in c.net_benefit[chosen])))
            for c in known
        ]
        more = f" Part {k + 1} of {tables}." if tables > 1 else ""
        yield DataTable(
            "by-centre-net-benefit" + (f"-{k + 1}" if k else ""),
            f"Net benefit of “{view.lead}” per 100 patients, centre by centre, "
            f"{in_years(f'at {lead.target}')}, with 95 % intervals, by risk threshold; treating "
            f"none has net benefit 0.{more}",
            (
                Column("Centre", weight=1.9),
                *(numeric(f"{100 * t:g} %", 1.2) for t in limits[chosen]),
            ),
            tuple(rows),
            notes.notes,
        )


def _averages(view: View, summaries: Summaries) -> DataTable:
    notes, rows = Footnotes(), []
    limits = sorted(view.evaluation.settings.thresholds)
    for model in view.leading:
        found = summaries.get(model)
        if not isinstance(found, CentreSummary):
            continue
        rows.append(Row((model,), group=True))
        rows.append(_average("Calibration slope", found.slope, notes, 2, 1))
        rows.append(_average("IPA, %", found.ipa, notes, 1, 100))
        rows += [
            _average(f"Net benefit per 100 at {100 * t:g} %", p, notes, 1, 100)
            for t, p in zip(limits, found.net_benefit, strict=True)
        ]
    return DataTable(
        "by-centre-averages",
        "Average over centres of slope, IPA and net benefit.",
        (
            Column("Model and measure", weight=1.8),
            numeric("Average", 1.5),
            numeric("Prediction interval", 1.4),
            numeric("I²", 0.5),
            numeric("Centres", 0.6),
        ),
        tuple(rows),
        (
            *notes.notes,
            "Random effects (REML) with bootstrap standard errors of each centre; Hartung–Knapp "
            "intervals that are never narrower than the centres’ own errors allow. Prediction "
            "interval: of a new centre, with three centres or more. Centres: number that could be "
            "pooled.",
        ),
    )


def _average(
    name: str, found: Pooled | NotEstimable, notes: Footnotes, digits: int, scale: float
) -> Row:
    if isinstance(found, NotEstimable):
        return Row((name, notes.mark(found.not_estimable), "–", "–", "–"), indent=True)
    between = span(scale * found.lower, scale * found.upper, digits)
    far = "–"
    if found.prediction_lower is not None and found.prediction_upper is not None:
        far = span(scale * found.prediction_lower, scale * found.prediction_upper, digits)
    return Row(
        (
            name,
            f"{number(scale * found.value, digits)} ({between})",
            far,
            percent(found.i2),
            count(found.k),
        ),
        indent=True,
    )
