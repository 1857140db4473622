"""The study in both populations, and its other endpoints."""

from __future__ import annotations

from collections.abc import Iterator

from metasight.estimate import Estimate
from metasight.report.blocks import Block, Column, DataTable, Heading, Paragraph, Row, numeric
from metasight.report.contents import AnalysisResult
from metasight.report.view import (
    POPULATIONS,
    View,
    at_target,
    comparison,
    discrimination,
    discrimination_contrast,
    discrimination_name,
    target_name,
)
from metasight.report.wording import Footnotes, count, number, percent
from metasight.validation.results import Metric


def section(view: View) -> list[Block]:
    """The section; empty where there is one population and one endpoint."""
    blocks: list[Block] = [*_both(view), *_secondary(view)]
    if blocks:
        blocks.insert(0, Heading(1, "Both populations and other endpoints", "populations"))
    return blocks


def _both(view: View) -> Iterator[Block]:
    written, everyone = view.of_endpoint("as_written"), view.of_endpoint("all_eligible")
    if written is None or everyone is None:
        return
    yield Heading(2, "Both populations", "both-populations")
    shared = [
        m for m in view.models if m in written.evaluation.models and m in everyone.evaluation.models
    ]
    yield Paragraph(
        "The same endpoint with every criterion applied as written, and without the "
        "criterion that selects on the future. The difference is the effect of that selection; "
        "the two populations overlap, so no interval is given for it."
    )
    notes = Footnotes()
    rows = [
        Row(("Patients", count(written.n), count(everyone.n), _gap(written.n, everyone.n))),
        Row(
            (
                "Events",
                count(written.events),
                count(everyone.events),
                _gap(written.events, everyone.events),
            )
        ),
        Row(
            (
                "Patients with an event",
                percent(written.events / written.n, 1),
                percent(everyone.events / everyone.n, 1),
                "–",
            )
        ),
    ]
    for m in shared:
        rows.append(Row((m,), group=True))
        rows += _measures(view, m, written, everyone, notes)
    yield DataTable(
        "populations-table",
        "Eligible as written and all eligible.",
        (
            Column("Measure", weight=1.7),
            numeric(f"As written (n = {count(written.n)})", 1.6),
            numeric(f"All eligible (n = {count(everyone.n)})", 1.6),
            numeric("As written − all eligible", 1),
        ),
        tuple(rows),
        notes.notes,
    )


def _gap(a: int, b: int) -> str:
    return number(a - b, 0, signed=True)


def _measures(
    view: View, model: str, written: AnalysisResult, everyone: AnalysisResult, notes: Footnotes
) -> Iterator[Row]:
    a, b = written.evaluation.models[model], everyone.evaluation.models[model]
    name = discrimination_name(view.kind)
    yield _row(name, discrimination(a, view.kind), discrimination(b, view.kind), notes)
    theirs = {t.target: t for t in b.targets}
    for t in a.targets:
        other = theirs.get(t.target)
        if other is None:
            continue
        where = at_target(t)
        yield _row(f"AUC {where}", t.auc, other.auc, notes)
        yield _row(f"IPA {where}, %", t.ipa, other.ipa, notes, digits=1, scale=100.0)
        yield _row(f"O/E {where}", t.calibration.oe, other.calibration.oe, notes, digits=2)


def _row(
    name: str, a: Metric, b: Metric, notes: Footnotes, *, digits: int = 3, scale: float = 1.0
) -> Row:
    gap = "–"
    if isinstance(a, Estimate) and isinstance(b, Estimate):
        gap = number(scale * (a.value - b.value), digits, signed=True)
    return Row(
        (name, notes.metric(a, digits, scale=scale), notes.metric(b, digits, scale=scale), gap),
        indent=True,
    )


def _secondary(view: View) -> Iterator[Block]:
    others = [a for a in view.contents.analyses if a.endpoint != view.headline.endpoint]
    if not others:
        return
    yield Heading(2, "Other endpoints", "other-endpoints")
    for k, a in enumerate(others):
        yield _endpoint_table(view, a, k)


def _endpoint_table(view: View, a: AnalysisResult, k: int) -> DataTable:
    e, notes = a.evaluation, Footnotes()
    name = discrimination_name(e.kind)
    rows = []
    for m in view.order(e):
        model = e.models[m]
        found = comparison(e, m)
        gap = (
            "reference"
            if m == e.settings.reference_model
            else (notes.contrast(discrimination_contrast(found, e.kind)) if found else "–")
        )
        rows.append(Row((m,), group=True))
        rows.append(
            Row(
                (f"{name}, over all", notes.metric(discrimination(model, e.kind)), "–", "–", gap),
                indent=True,
            )
        )
        for t in model.targets:
            rows.append(
                Row(
                    (
                        target_name(t),
                        f"AUC {notes.metric(t.auc)}",
                        notes.metric(t.ipa, 1, scale=100),
                        notes.metric(t.calibration.oe, 2),
                        "–",
                    ),
                    indent=True,
                )
            )
    label = view.endpoint_of(a).label
    people = POPULATIONS.get(a.population, a.population)
    competing = e.data.n_competing
    extra = f", {count(competing)} competing events" if e.kind == "competing" else ""
    return DataTable(
        f"endpoint-{k}",
        f"{label} ({people}): {count(a.n)} patients, {count(a.events)} events{extra}.",
        (
            Column("Model and horizon", weight=1.5),
            numeric("Discrimination", 2),
            numeric("IPA, %", 1.3),
            numeric("O/E", 1.3),
            numeric("Δ C to reference", 1.5),
        ),
        tuple(rows),
        (
            *notes.notes,
            *(
                (f"Refused horizons: {'; '.join(a.refused_horizons)}",)
                if a.refused_horizons
                else ()
            ),
        ),
    )
